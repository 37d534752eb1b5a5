"""The chain of directories. The walk is ours and no library's: what a file claims is bounded before it is believed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

from emasync.formats.stored import HeaderBytes
from emasync.formats.tiff.directory import Directory, Entry, Form

MAX_DIRECTORIES: Final = 1_000_000
MAX_ENTRIES: Final = 4096
"""Of one directory; real ones have up to a hundred."""

MAX_DIRECTORY_BYTES: Final = 512 << 20
"""Of all directories of a file: in hostile ones they lie over each other."""


class Directories:
    """Reads directories of one file, and counts what that costs.

    Parameters
    ----------
    file : HeaderBytes
    form : Form
    """

    def __init__(self, file: HeaderBytes, form: Form) -> None:
        self._file = file
        self._form = form
        self._room = MAX_DIRECTORIES
        self._room_bytes = MAX_DIRECTORY_BYTES
        self._count, self._entry, self._next = (
            struct.Struct(form.order + code) for code in (("Q", "HHQ8s", "Q") if form.big else ("H", "HHI4s", "I"))
        )

    def chain(self) -> Iterator[Directory]:
        """The directories of the main chain, which may jump forwards and backwards.

        A loop is found by Brent's method, which keeps one offset of the many.

        Raises
        ------
        FormatError
            None, too many, a loop, or a directory outside of the file.
        """
        offset = kept = self._form.first
        keep_at = 1
        if not offset:
            raise self._file.broken(0, "the file has no directory")
        for number in count(1):
            directory, offset = self.read(offset)
            yield directory
            if not offset:
                return
            if offset == kept:
                raise self._file.broken(directory.offset, f"the chain of directories runs in a loop to byte {offset}")
            if number == keep_at:
                kept, keep_at = offset, 2 * keep_at

    def read(self, offset: int) -> tuple[Directory, int]:
        """One directory, and the offset of the next; 0 for none."""
        (entries,) = self._count.unpack(self._file.take(offset, self._count.size))
        size_bytes = entries * self._entry.size
        if not 0 < entries <= MAX_ENTRIES:
            raise self._file.broken(offset, f"a directory of {entries} fields; 1 to {MAX_ENTRIES} are read")
        self._room -= 1
        self._room_bytes -= size_bytes
        if min(self._room, self._room_bytes) < 0:
            many = f"more than {MAX_DIRECTORIES} directories, or {MAX_DIRECTORY_BYTES} bytes of them"
            raise self._file.broken(offset, many)
        start = offset + self._count.size
        data = self._file.take(start, size_bytes + self._next.size)
        fields = self._fields(data[:size_bytes], start)
        return Directory(self._file, self._form, offset, fields), self._next.unpack(data[size_bytes:])[0]

    def _fields(self, data: bytes, start: int) -> dict[int, Entry]:
        records: Iterator[tuple[Any, ...]] = self._entry.iter_unpack(data)  # Any: what struct gives
        return {
            tag: Entry(kind, values, inline, start + index * self._entry.size)
            for index, (tag, kind, values, inline) in enumerate(records)
        }
