"""What an export says of each file: digests that the ledger has, or that are computed from the bytes on disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

from emasync.disk.crc import crc32c_of
from emasync.disk.interface import Sink
from emasync.errors import IntegrityError, InterruptedRunError
from emasync.ledger.interface import Row

READ_BYTES: Final = 1 << 20
"""In one call, and between two looks whether to stop."""

PIECE_BYTES: Final = 4 << 20
MOST_PIECES: Final = 16_384
"""Of one file: a megabyte of digests."""

GOOD: Final = frozenset(("md5", "sha1", "sha256"))
"""Digests that other programs know."""


class Pieces(NamedTuple):
    """SHA-256 of each piece of a file; all but the last are `size_bytes` long."""

    size_bytes: int
    digests: tuple[str, ...]


class ExportFile(NamedTuple):
    """One file of a dataset.

    Attributes
    ----------
    path : str
        Below the dataset's folder.
    destination : str
        Relative to the root.
    size_bytes : int
    digests : mapping of str to str
        Hexadecimal, by kind (``md5``, ``sha1``, ``sha256``); SHA-256 is always there.
    urls : tuple of str
        Where these very bytes are, the canonical place first; empty where they are at no URL.
    pieces : Pieces or None
    """

    path: str
    destination: str
    size_bytes: int
    digests: Mapping[str, str]
    urls: tuple[str, ...] = ()
    pieces: Pieces | None = None


def piece_bytes(size_bytes: int) -> int:
    """Length of the pieces of a file: 4 MiB, twice as much until there are few enough."""
    length = PIECE_BYTES
    while -(-size_bytes // length) > MOST_PIECES:
        length *= 2
    return length


def describe_file(
    sink: Sink, row: Row, path: str, urls: tuple[str, ...], stop: threading.Event, *, pieces: bool
) -> tuple[ExportFile, int]:
    """In a thread: what is known of a file, and how many bytes had to be read for that.

    Parameters
    ----------
    sink : Sink
    row : Row
        A placed object.
    path : str
        Below the dataset's folder.
    urls : tuple of str
    stop : threading.Event
        Ends the reading.
    pieces : bool
        Digests of pieces too, of a file longer than one.

    Raises
    ------
    IntegrityError
        The file is not what was placed.
    """
    size_bytes = row.size_bytes or 0
    # what is published and was not computed here was not checked
    known: dict[str, str] = {item.kind: item.value for item in row.computed if item.kind in GOOD}
    found = sink.stat(row.destination)
    if found is None or found.size_bytes != size_bytes:
        raise _changed(row)
    length = piece_bytes(size_bytes)
    pieces = pieces and size_bytes > length
    if "sha256" in known and not pieces:
        return ExportFile(path, row.destination, size_bytes, known, urls), 0
    sha256, digests = _read(sink, row, length if pieces else None, stop)
    several = Pieces(length, digests) if pieces else None
    return ExportFile(path, row.destination, size_bytes, {**known, "sha256": sha256}, urls, several), size_bytes


def _read(sink: Sink, row: Row, length: int | None, stop: threading.Event) -> tuple[str, tuple[str, ...]]:
    """SHA-256 of a file and of its pieces; the CRC on the way says whether it is what was placed."""
    whole, crc, digests = hashlib.sha256(), 0, []
    buffer = memoryview(bytearray(READ_BYTES))
    size_bytes = row.size_bytes or 0
    for start in range(0, size_bytes, length or size_bytes) if size_bytes else ():
        piece = hashlib.sha256()
        for data in sink.scan_final(row.destination, start, min(size_bytes, start + (length or size_bytes)), buffer):
            if stop.is_set():
                raise InterruptedRunError("interrupted while files were read; export again")
            crc = crc32c_of(data, crc)
            whole.update(data)
            if length is not None:
                piece.update(data)
        digests.append(piece.hexdigest())
    if crc != row.crc32c:
        raise _changed(row)
    return whole.hexdigest(), tuple(digests)


def _changed(row: Row) -> IntegrityError:
    return IntegrityError(
        f"{row.destination} is not what was checked and placed; `emasync verify --repair` fetches it again",
        location=row.location,
    )
