"""Headers and image file directories: TIFF 6.0, section 2, and BigTIFF (libtiff, "BigTIFF Design")."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emasync.formats.stored import HeaderBytes

Numbers = npt.NDArray[np.uint64]

_KINDS: Final = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
"""Field types that are read: the unsigned ones."""

_ITEM_BYTES: Final = {"B": 1, "H": 2, "I": 4, "Q": 8}
_RATIONAL: Final = 5
_CLASSIC, _BIG = 42, 43
_HEADER_BYTES: Final = 16


class Form(NamedTuple):
    """What the header of a file says.

    Attributes
    ----------
    order : {"<", ">"}
    big : bool
        BigTIFF: offsets of 64 bits.
    first : int
        Offset of the first directory.
    """

    order: str
    big: bool
    first: int


def form_of(head: bytes) -> Form | None:
    """What the first bytes of a file say; None when it is no TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < _HEADER_BYTES:
        return None
    magic, width, zero = struct.unpack(f"{order}HHH", head[2:8])
    if magic == _CLASSIC:
        return Form(order, False, struct.unpack(f"{order}I", head[4:8])[0])
    if magic == _BIG and (width, zero) == (8, 0):
        return Form(order, True, struct.unpack(f"{order}Q", head[8:16])[0])
    return None


class Entry(NamedTuple):
    """One field of a directory: its values, or their offset where they do not fit in."""

    kind: int
    length: int
    inline: bytes
    position: int


class Directory:
    """The fields of one directory; values are read when they are asked for.

    Parameters
    ----------
    file : HeaderBytes
    form : Form
    offset : int
        Where the directory begins.
    entries : mapping of int to Entry
        By tag.
    """

    __slots__ = ("_entries", "_form", "file", "offset")

    def __init__(self, file: HeaderBytes, form: Form, offset: int, entries: Mapping[int, Entry]) -> None:
        self.file = file
        self.offset = offset
        self._form = form
        self._entries = entries

    @property
    def order(self) -> str:
        """Byte order of the file, ``<`` or ``>``."""
        return self._form.order

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def count(self, tag: int) -> int:
        """Values of a field; 0 where it is missing."""
        return self._entries[tag].length if tag in self._entries else 0

    def number(self, tag: int, default: int | None = None) -> int:
        """First value of a field.

        Raises
        ------
        FormatError
            No such field and no default, or a value of another kind.
        """
        if tag not in self._entries:
            if default is None:
                raise self.file.broken(self.offset, f"the directory has no field {tag}, which images must have")
            return default
        entry = self._entries[tag]
        code = _KINDS.get(entry.kind)
        if code is None or not entry.length:
            raise self.file.broken(entry.position, f"field {tag} must have a number, and has type {entry.kind}")
        data = self._data(entry, _ITEM_BYTES[code], 1)
        return int.from_bytes(data, "little" if self._form.order == "<" else "big")

    def signature(self, tags: Collection[int]) -> tuple[object, ...]:
        """What the directory has of some fields, or where: equal for directories that say the same of them."""
        return tuple((tag, entry[:3]) for tag, entry in self._entries.items() if tag in tags)

    def numbers(self, tag: int, most: int) -> Numbers:
        """The first values of a field, `most` at most; none where it is missing.

        Raises
        ------
        FormatError
            Values of another kind, or beyond the end of the file.
        """
        entry = self._entries.get(tag)
        if entry is None:
            return np.zeros(0, np.uint64)
        if entry.kind not in _KINDS:
            raise self.file.broken(entry.position, f"field {tag} has values of type {entry.kind}; it must be a number")
        dtype = np.dtype(self._form.order + _KINDS[entry.kind])
        data = self._data(entry, dtype.itemsize, min(entry.length, most))
        return np.frombuffer(data, dtype).astype(np.uint64)

    def text(self, tag: int, most_bytes: int) -> bytes:
        """Text without what follows its first zero; empty where there is none or more than `most_bytes`."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in (1, 2, 7) or entry.length > most_bytes:
            return b""
        return self._data(entry, 1, entry.length).split(b"\0", 1)[0]

    def raw(self, tag: int, most_bytes: int) -> bytes:
        """Bytes of a field; at most so many."""
        entry = self._entries.get(tag)
        return b"" if entry is None else self._data(entry, 1, min(entry.length, most_bytes))

    def ratio(self, tag: int) -> float | None:
        """A rational; None where there is none, or one that is no positive number."""
        entry = self._entries.get(tag)
        if entry is None or entry.length != 1 or entry.kind != _RATIONAL:
            return None
        above, below = struct.unpack(f"{self._form.order}II", self._data(entry, 8, 1))
        return above / below if above and below else None

    def _data(self, entry: Entry, item_bytes: int, items: int) -> bytes:
        size_bytes = item_bytes * items
        if entry.length * item_bytes <= len(entry.inline):
            return entry.inline[:size_bytes]
        start = int.from_bytes(entry.inline, "little" if self._form.order == "<" else "big")
        return self.file.take(start, size_bytes)
