"""A file of which some stretches are known: its header was read, and nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from emasync.errors import FormatError

SUFFIX: Final = ".ranges"
"""Of the file that holds the bytes of all stretches, one behind the other; ``.json`` behind it: of their places."""

VERSION: Final = 1


class UnreadError(FormatError):
    """A header goes on where nobody has read.

    Attributes
    ----------
    offset : int
        Of the first byte that is missing.
    """

    def __init__(self, name: str, offset: int) -> None:
        super().__init__(
            f"{name}: its header goes on at byte {offset}, which was not read; what stands there is told once the file "
            "is fetched",
            location=name,
        )
        self.offset = offset


@dataclass(frozen=True, slots=True)
class KnownStretches:
    """What is known of a file (:class:`~emasync.formats.stored.ByteSource`).

    Attributes
    ----------
    name : str
        For messages.
    size_bytes : int
        Of the file.
    ranges : tuple of (int, int, int)
        First byte, end (exclusive), and where that stretch begins in `data`.
    data : bytes
    location : str
        Where the file is.
    """

    name: str
    size_bytes: int
    ranges: tuple[tuple[int, int, int], ...]
    data: bytes
    location: str = ""

    @classmethod
    def of(cls, name: str, description: bytes, data: bytes) -> KnownStretches:
        """Put together what is kept.

        Raises
        ------
        FormatError
            The description is not one of ours, its stretches are not in `data`, or the file's size was not told.
        """
        try:
            value: Any = orjson.loads(description)  # Any: JSON, checked here
            ranges = tuple((int(row["start"]), int(row["stop"]), int(row["at"])) for row in value["ranges"])
            found = cls(name, int(value["size_bytes"]), ranges, data, str(value["location"]))
            fits = all(0 <= low <= high and 0 <= at <= len(data) - (high - low) for low, high, at in ranges)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"{name}: what was kept of its header is broken: {error!r}", location=name) from error
        if not fits or value.get("version") != VERSION:
            raise FormatError(f"{name}: what was kept of its header is broken", location=name)
        return found

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Up to `size_bytes` bytes at `offset`, less at the end of the file only.

        Raises
        ------
        UnreadError
            They are not all known.
        """
        stop = min(offset + size_bytes, self.size_bytes)
        found = b""
        while (at := offset + len(found)) < stop:
            piece = next((item for item in self.ranges if item[0] <= at < item[1]), None)
            if piece is None:
                raise UnreadError(self.name, at)
            low, high, place = piece
            found += self.data[place + at - low : place + min(high, stop) - low]
        return found
