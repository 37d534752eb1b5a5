"""Sealed objects as the journal holds them: packed rows, and batches of them as bytes. Pure."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from emasync.ledger.sidenotes import StoredKey


class Entry(NamedTuple):
    """A sealed object, packed: columns of its row.

    Attributes
    ----------
    set_id : int
    key : bytes or int
    size : int
        On disk, bytes.
    crc : int
    verified : int
    validator : bytes or None
        Of the answer that delivered the bytes.
    computed : bytes or None
        Digests computed beyond the CRC.
    generation : int
        Of the partial name.
    epoch : int
    """

    set_id: int
    key: StoredKey
    size: int
    crc: int
    verified: int
    validator: bytes | None
    computed: bytes | None
    generation: int
    epoch: int


_NONE: Final = -1
"""Length of a text that is not there; number of an object that is no chunk."""

_NUMBERS: Final = "qqqqIBiii"
"""Columns of numbers: set, chunk, size, generation, CRC, check; lengths of key, validator and digests."""

_ROW_BYTES: Final = sum(array(code).itemsize for code in _NUMBERS)

_COUNT_BYTES: Final = 4


def pack_entries(entries: Sequence[Entry]) -> bytes:
    """All but the epoch, which a batch has in common.

    How many there are, columns of numbers (little-endian) one after the other, then all texts, column by column.
    """
    if not entries:
        return bytes(_COUNT_BYTES)
    sets, keys, sizes, crcs, checks, validators, computed, generations, _ = zip(*entries, strict=True)
    chunks = [key if isinstance(key, int) else _NONE for key in keys]
    texts = ([None if isinstance(key, int) else key for key in keys], validators, computed)
    lengths = ([_NONE if text is None else len(text) for text in column] for column in texts)
    columns = (sets, chunks, sizes, generations, crcs, checks, *lengths)
    packed = [_little(array(code, column)) for code, column in zip(_NUMBERS, columns, strict=True)]
    written = (text for column in texts for text in column if text)
    return b"".join([len(entries).to_bytes(_COUNT_BYTES, "little"), *packed, *written])


def unpack_entries(data: bytes, epoch: int) -> list[Entry]:
    """Entries of one epoch back from :func:`pack_entries`.

    Raises
    ------
    ValueError
        The lengths do not agree.
    """
    count, at = int.from_bytes(data[:_COUNT_BYTES], "little"), _COUNT_BYTES
    if len(data) < _COUNT_BYTES + count * _ROW_BYTES:
        raise ValueError(f"{len(data)} bytes for a batch of {count} sealed objects")
    columns = []
    for code in _NUMBERS:
        columns.append(_little(array(code, data[at : at + count * array(code).itemsize])))
        at += count * array(code).itemsize
    sets, chunks, sizes, generations, crcs, checks, *lengths = columns
    names, validators, computed = _cut_all(data, at, lengths)
    keys = [chunk if name is None else name for name, chunk in zip(names, chunks, strict=True)]
    rows = zip(sets, keys, sizes, crcs, checks, validators, computed, generations, strict=True)
    return [Entry._make((*row, epoch)) for row in rows]


def _little(column: array[int]) -> array[int]:
    """The column with its bytes in little-endian order, or back from there."""
    if sys.byteorder == "big":  # pragma: no cover  # no such machine at hand
        column.byteswap()
    return column


def _cut_all(data: bytes, at: int, lengths: Sequence[array[int]]) -> list[list[bytes | None]]:
    """Texts of all columns, which lie in `data` from `at` on to its end."""
    columns: list[list[bytes | None]] = []
    for column in lengths:
        columns.append([])
        for length in column:
            columns[-1].append(None if length == _NONE else data[at : at + length])
            at += max(length, 0)
    if at != len(data):
        raise ValueError(f"{len(data)} bytes for texts that end at {at}")
    return columns
