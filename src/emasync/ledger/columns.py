"""Rows as bytes, column by column: numbers as they lie in memory, texts one behind the other. Pure.

A blob has the number of its rows, the columns of numbers, and for each column of texts one byte (whether there are
any) and their lengths; then come all texts. Numbers are little-endian.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Final

Text = bytes | None

_NONE: Final = -1
_LENGTHS: Final = "i"
_COUNT_BYTES: Final = 4


def pack_rows(codes: str, numbers: Sequence[Sequence[int]], texts: Sequence[Sequence[Text]]) -> bytes:
    """Pack columns of equal length.

    Parameters
    ----------
    codes : str
        Type of each column of numbers, as :mod:`array` names it.
    numbers : sequence of sequence of int
    texts : sequence of sequence of (bytes or None)
    """
    count = len(numbers[0])
    parts: list[bytes | array[int]] = [count.to_bytes(_COUNT_BYTES, "little")]
    parts += [_little(array(code, column)) for code, column in zip(codes, numbers, strict=True)]
    written: list[Sequence[Text]] = []
    for column in texts:
        if column.count(None) == count:
            parts.append(b"\0")
            continue
        whole = None not in column
        lengths = map(len, column) if whole else [_NONE if text is None else len(text) for text in column]  # type: ignore[arg-type]  # whole: no None
        parts += [b"\1", _little(array(_LENGTHS, lengths))]
        written.append(column if whole else [text for text in column if text])
    return b"".join([*parts, *chain.from_iterable(written)])  # type: ignore[list-item]  # no None is left


class Columns:
    """Columns back from :func:`pack_rows`; texts are cut when they are asked for.

    Parameters
    ----------
    data : bytes
    codes : str
        As they were packed.
    texts : int
        Number of columns of texts.

    Attributes
    ----------
    count : int
        Rows.
    numbers : list of array

    Raises
    ------
    ValueError
        The lengths do not agree.
    """

    __slots__ = ("_begins", "_data", "_lengths", "count", "numbers")

    def __init__(self, data: bytes, codes: str, texts: int) -> None:
        self._data = data
        self.count = int.from_bytes(data[:_COUNT_BYTES], "little")
        self._lengths: list[array[int] | None] = []
        self._begins: list[int] = []
        at = self._read_numbers(codes)
        for _ in range(texts):
            at = self._read_lengths(at)
        for lengths in self._lengths:
            self._begins.append(at)
            at += 0 if lengths is None else _total(lengths)
        if at != len(data):
            raise ValueError(f"{len(data)} bytes for {self.count} rows that end at {at}")

    def _read_numbers(self, codes: str) -> int:
        at = _COUNT_BYTES
        self.numbers: list[array[int]] = []
        for code in codes:
            column, at = self._column(code, at)
            self.numbers.append(column)
        return at

    def _read_lengths(self, at: int) -> int:
        if self._data[at : at + 1] == b"\0":
            self._lengths.append(None)
            return at + 1
        column, at = self._column(_LENGTHS, at + 1)
        self._lengths.append(column)
        return at

    def _column(self, code: str, at: int) -> tuple[array[int], int]:
        end = at + self.count * array(code).itemsize
        if end > len(self._data):
            raise ValueError(f"{len(self._data)} bytes for {self.count} rows")
        return _little(array(code, self._data[at:end])), end

    def texts(self, column: int, start: int = 0, stop: int | None = None) -> list[Text]:
        """Texts of one column, of the rows in ``[start, stop)``."""
        lengths = self._lengths[column]
        if lengths is None:
            return [None] * len(range(self.count)[start:stop])
        at, data = self._begins[column] + _total(lengths[:start]), self._data
        found: list[Text] = []
        for length in lengths[start:stop]:
            if length < 0:
                found.append(None)
            else:
                found.append(data[at : at + length])
                at += length
        return found

    def text(self, column: int) -> tuple[bytes, bytes] | None:
        """All texts of a column one behind the other, and their lengths as little-endian 32-bit integers.

        None where a row has none.
        """
        lengths = self._lengths[column]
        if lengths is None or _NONE in lengths:
            return None
        begin = self._begins[column]
        return self._data[begin : begin + sum(lengths)], little_bytes(lengths)

    def has_any(self, column: int) -> bool:
        """Whether any row has a text in a column."""
        return self._lengths[column] is not None


def _total(lengths: array[int]) -> int:
    return sum(lengths) + lengths.count(_NONE)


def little_bytes(column: array[int]) -> bytes:
    """The bytes of a column, little-endian."""
    return _little(column[:]).tobytes()


def _little(column: array[int]) -> array[int]:
    """The column with its bytes in little-endian order, or back from there."""
    if sys.byteorder == "big":  # pragma: no cover  # no such machine at hand
        column.byteswap()
    return column
