"""Files whose reads are counted."""

from __future__ import annotations

from emasync.testing.sparse import Piece


class Watched:
    """A file in memory, or one that is made up as it is read, that counts what is read of it."""

    def __init__(self, data: bytes | Piece, name: str = "file") -> None:
        self.data = data
        self.name = name
        self.size_bytes = len(data) if isinstance(data, bytes) else data.size_bytes
        self.read_bytes = 0

    def read(self, offset: int, size_bytes: int) -> bytes:
        stop = min(offset + size_bytes, self.size_bytes)
        found = self.data[offset:stop] if isinstance(self.data, bytes) else self.data.read(offset, stop)
        self.read_bytes += len(found)
        return found
