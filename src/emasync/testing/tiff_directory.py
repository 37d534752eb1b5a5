"""Headers and image file directories of TIFF (TIFF 6.0, section 2) and BigTIFF, in either byte order."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

ASCII, SHORT, LONG, RATIONAL, LONG8 = 2, 3, 4, 5, 16

_CODES = {ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "II", LONG8: "Q"}


class Entry(NamedTuple):
    """One field of a directory.

    Attributes
    ----------
    tag : int
    kind : int
        Field type.
    values : sequence of int
        A rational is two of them, text is its bytes with the closing zero.
    """

    tag: int
    kind: int
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class TiffForm:
    """Byte order and offset size of a file.

    Attributes
    ----------
    order : {"<", ">"}
    big : bool
        BigTIFF: offsets of 64 bits.
    """

    order: Literal["<", ">"] = "<"
    big: bool = False

    @property
    def offset_kind(self) -> int:
        """Field type of offsets and byte counts."""
        return LONG8 if self.big else LONG

    def header(self, first_directory: int) -> bytes:
        """Image file header: 8 bytes, of BigTIFF 16."""
        mark = b"II" if self.order == "<" else b"MM"
        if self.big:
            return mark + struct.pack(f"{self.order}HHHQ", 43, 8, 0, first_directory)
        return mark + struct.pack(f"{self.order}HI", 42, first_directory)

    def directory_bytes(self, entries: int) -> int:
        """Size of a directory without the values that lie outside of it."""
        return 8 + 20 * entries + 8 if self.big else 2 + 12 * entries + 4

    def directory(self, entries: Sequence[Entry], *, at: int, following: int, values_at: int | None = None) -> bytes:
        """A directory, and behind it the values that do not fit into their entries.

        Parameters
        ----------
        entries : sequence of Entry
            In the order of their tags.
        at : int
            Offset of the directory in the file, even.
        following : int
            Offset of the next directory; 0 for none.
        values_at : int, optional
            Where such values lie already, as those of another directory: they are pointed at and not repeated.
        """
        end = at + self.directory_bytes(len(entries))
        place = end if values_at is None else values_at
        records, outside = [], b""
        for entry in entries:
            data, count = self._packed(entry)
            room = 8 if self.big else 4
            if len(data) > room:
                outside += b"\0" * (len(outside) % 2)  # values begin on a word boundary
                records.append(self._record(entry, count, self._offset(place + len(outside))))
                outside += data
            else:
                records.append(self._record(entry, count, data.ljust(room, b"\0")))
        count_code = "Q" if self.big else "H"
        head = struct.pack(f"{self.order}{count_code}", len(entries))
        return head + b"".join(records) + self._offset(following) + (outside if values_at is None else b"")

    def _offset(self, value: int) -> bytes:
        return struct.pack(f"{self.order}{'Q' if self.big else 'I'}", value)

    def _record(self, entry: Entry, count: int, tail: bytes) -> bytes:
        return struct.pack(f"{self.order}HH{'Q' if self.big else 'I'}", entry.tag, entry.kind, count) + tail

    def _packed(self, entry: Entry) -> tuple[bytes, int]:
        """Values as bytes, and their count as the entry tells it."""
        code = _CODES[entry.kind]
        values = entry.values
        return struct.pack(f"{self.order}{len(values)}{code[0]}", *values), len(values) // len(code)
