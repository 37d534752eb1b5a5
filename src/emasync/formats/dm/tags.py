"""The tag tree of DM3 and DM4 files.

There is no public specification; the layout is that which ncempy (``ncempy/io/dm.py``, 749ec1a) and rosettasciio
(``rsciio/digitalmicrograph/_api.py``, bc254db1) read. Structure is big-endian; values are little-endian where the
header says 1, and no other files are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, unpack
from typing import Final, NamedTuple

from emasync.formats.stored import HeaderBytes
from emasync.model.digest import Span

MAX_DEPTH: Final = 64
MAX_TAGS: Final = 1_000_000
MAX_FIELDS: Final = 100
MAX_VALUE_BYTES: Final = 4096
"""Longer values are not read: their place is told."""

_GROUP, _DATA = 20, 21
_STRUCT, _STRING, _ARRAY = 15, 18, 20
_FORMATS: Final = {
    2: "<h",
    3: "<i",
    4: "<H",
    5: "<I",
    6: "<f",
    7: "<d",
    8: "<B",
    9: "<b",
    10: "<b",
    11: "<q",
    12: "<Q",
}
"""Codes of simple types."""

_UTF16 = 4


class Tag(NamedTuple):
    """A value and its place.

    Attributes
    ----------
    path : tuple of str
        Names from the root; entries without a name have their position, from 0.
    place : Span
        Of the value's bytes.
    value : int, float, str or None
        None for structures, and for what is long.
    """

    path: tuple[str, ...]
    place: Span
    value: int | float | str | None


class _Layout(NamedTuple):
    """What is different in the two versions."""

    word: Struct
    header_bytes: int
    entry_lengths: bool


_LAYOUTS: Final = {3: _Layout(Struct(">I"), 12, False), 4: _Layout(Struct(">Q"), 16, True)}


def version_of(head: bytes) -> int | None:
    """3 or 4, when a file begins like one of these; None for others."""
    if len(head) < 20:  # noqa: PLR2004 - the header and the beginning of the root
        return None
    version = int.from_bytes(head[:4], "big")
    if version not in _LAYOUTS:
        return None
    layout = _LAYOUTS[version]
    endian = int.from_bytes(head[layout.header_bytes - 4 : layout.header_bytes], "big")
    flags = head[layout.header_bytes : layout.header_bytes + 2]
    return version if endian in (0, 1) and max(flags) <= 1 else None


def read_tags(file: HeaderBytes) -> Iterator[Tag]:
    """All values of a file, in its order; pixels are told by their place and not read.

    Raises
    ------
    FormatError
        Not such a file, or one that contradicts itself.
    """
    version = version_of(file.take(0, min(20, file.size_bytes)))
    if version is None:
        raise file.broken(0, "no DM3 or DM4 header")
    layout = _LAYOUTS[version]
    if file.take(layout.header_bytes - 4, 4) != b"\0\0\0\1":
        raise file.broken(layout.header_bytes - 4, "values are big-endian; only little-endian files are known")
    yield from _Reader(file, layout).group(layout.header_bytes, (), 0)


class _Reader:
    """Walks one file."""

    def __init__(self, file: HeaderBytes, layout: _Layout) -> None:
        self._file = file
        self._layout = layout
        self._tags = 0
        self.position = 0

    def group(self, offset: int, path: tuple[str, ...], depth: int) -> Iterator[Tag]:
        """The values below the group at `offset`; :attr:`position` is behind it afterwards."""
        if depth > MAX_DEPTH:
            raise self._file.broken(offset, f"groups lie more than {MAX_DEPTH} deep")
        count, position = self._count(offset + 2)
        if count > self._file.size_bytes - position:
            raise self._file.broken(offset + 2, f"{count} tags do not fit into the file")
        for index in range(count):
            kind, name, position = self._entry(position)
            self._tags += 1
            if self._tags > MAX_TAGS:
                raise self._file.broken(position, f"more than {MAX_TAGS} tags")
            inner = (*path, name or str(index))
            if kind == _GROUP:
                yield from self.group(position, inner, depth + 1)
            elif kind == _DATA:
                yield self._value(position, inner)
            else:
                raise self._file.broken(position, f"{kind} is no kind of tag")
            position = self.position
        self.position = position

    def _entry(self, offset: int) -> tuple[int, str, int]:
        kind, length = unpack(">BH", self._file.take(offset, 3))
        name = self._file.take(offset + 3, length).decode("latin-1")
        return kind, name, offset + 3 + length + (8 if self._layout.entry_lengths else 0)

    def _count(self, offset: int) -> tuple[int, int]:
        size_bytes = self._layout.word.size
        return self._layout.word.unpack(self._file.take(offset, size_bytes))[0], offset + size_bytes

    def _value(self, offset: int, path: tuple[str, ...]) -> Tag:
        if self._file.take(offset, 4) != b"%%%%":
            raise self._file.broken(offset, "a value does not begin with %%%%")
        words, position = self._count(offset + 4)
        if not 1 <= words <= 2 * MAX_FIELDS + 5:
            raise self._file.broken(offset + 4, f"{words} words about one value")
        kinds = []
        for _ in range(words):
            kind, position = self._count(position)
            kinds.append(kind)
        size_bytes = self._size(kinds, offset)
        if size_bytes > self._file.size_bytes - position:
            raise self._file.broken(position, f"a value of {size_bytes} bytes does not fit into the file")
        self.position = position + size_bytes
        place = Span(position, self.position)
        return Tag(path, place, self._decoded(kinds, place))

    def _size(self, kinds: list[int], offset: int) -> int:
        """Bytes of a value; type codes are followed by what they need."""
        kind, *rest = kinds
        if kind in _FORMATS and not rest:
            return Struct(_FORMATS[kind]).size
        if kind == _STRING and len(rest) == 1:
            return rest[0]
        if kind == _STRUCT and len(rest) >= 2:  # noqa: PLR2004 - length of the name, number of fields
            return self._struct_size(rest, offset)
        if kind == _ARRAY and len(rest) >= 2:  # noqa: PLR2004 - element, count
            return self._size(rest[:-1], offset) * rest[-1]
        raise self._file.broken(offset, f"{kinds[:8]} is no type of value")

    def _struct_size(self, rest: list[int], offset: int) -> int:
        fields = rest[1]
        kinds = rest[3 : 2 + 2 * fields : 2]
        if fields > MAX_FIELDS or len(rest) != 2 + 2 * fields or any(kind not in _FORMATS for kind in kinds):
            raise self._file.broken(offset, "a structure of unknown fields")
        return sum(Struct(_FORMATS[kind]).size for kind in kinds)

    def _decoded(self, kinds: list[int], place: Span) -> float | str | None:
        if place.size_bytes > MAX_VALUE_BYTES:
            return None
        kind = kinds[0]
        if kind in _FORMATS:
            value: float = unpack(_FORMATS[kind], self._file.take(place.start, place.size_bytes))[0]
            return value
        if kind == _ARRAY and kinds[1] == _UTF16:
            return self._file.take(place.start, place.size_bytes).decode("utf-16-le", "replace")
        if kind == _STRING:
            return _text(self._file.take(place.start, place.size_bytes))
        return None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
