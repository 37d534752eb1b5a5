"""Digests of uploads in parts: the MD5 of the MD5s of the parts, a dash, and their number.

They compose: each part is hashed as soon as it lies on disk, in any order, and no second read is needed (law 4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from typing_extensions import Buffer

from emasync.model.digest import Span

DANDI_PART_BYTES = 64 << 20
DANDI_MOST_PARTS = 10_000
READ_BYTES = 4 << 20


def dandi_part_bytes(size_bytes: int) -> int:
    """Size of the parts of a ``dandi-etag`` (dandischema, ``digests/dandietag.py``, ``PartGenerator.for_file_size``).

    64 MiB, or as much as brings the file into 10,000 parts; the change is at 10,000 already, not behind it.
    """
    if -(-size_bytes // DANDI_PART_BYTES) < DANDI_MOST_PARTS:
        return DANDI_PART_BYTES
    return -(-size_bytes // DANDI_MOST_PARTS)


def composed(digests: list[bytes]) -> str:
    """Digest of an upload from the MD5s of its parts; of an empty file the MD5 of nothing and ``-0``."""
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


class MultipartMd5:
    """The digest of bytes that come in order, with the interface of hashlib.

    Parameters
    ----------
    part_bytes : int
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._digests: list[bytes] = []
        self._part = hashlib.md5(usedforsecurity=False)
        self._filled = 0

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes."""
        view = memoryview(data).cast("B")
        while view:
            piece, view = view[: self._part_bytes - self._filled], view[self._part_bytes - self._filled :]
            self._part.update(piece)
            self._filled += len(piece)
            if self._filled == self._part_bytes:
                self._close()

    def _close(self) -> None:
        self._digests.append(self._part.digest())
        self._part, self._filled = hashlib.md5(usedforsecurity=False), 0

    def hexdigest(self) -> str:
        """The digest of what came."""
        last = [self._part.digest()] if self._filled else []
        return composed([*self._digests, *last])


class UploadParts:
    """The parts of one upload, hashed as they become whole on disk (mutable; belongs to one object in flight).

    Parameters
    ----------
    size_bytes, part_bytes : int
        Of the object; of each part but the last one.
    """

    def __init__(self, size_bytes: int, part_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._part_bytes = part_bytes
        self._missing = {span.start // part_bytes: span.size_bytes for span in self._spans()}
        self._digests: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"<UploadParts {len(self._digests)} hashed, {len(self._missing)} not whole>"

    def _spans(self) -> Iterator[Span]:
        for start in range(0, self._size_bytes, self._part_bytes):
            yield Span(start, min(start + self._part_bytes, self._size_bytes))

    def add(self, landed: Span) -> list[Span]:
        """Bytes lie on disk that did not before; gives the parts that are whole with them."""
        whole = []
        first = landed.start // self._part_bytes
        for number in range(first, -(-landed.stop // self._part_bytes)):
            part = Span(number * self._part_bytes, min((number + 1) * self._part_bytes, self._size_bytes))
            if number not in self._missing:
                continue  # it was whole before
            self._missing[number] -= min(part.stop, landed.stop) - max(part.start, landed.start)
            if not self._missing[number]:
                del self._missing[number]
                whole.append(part)
        return whole

    def hash(self, part: Span, read: Callable[[int, int], bytes]) -> None:
        """In a thread: hash one part through ``read(offset, size_bytes)``."""
        state = hashlib.md5(usedforsecurity=False)
        for offset in range(part.start, part.stop, READ_BYTES):
            state.update(read(offset, min(READ_BYTES, part.stop - offset)))
        self._digests[part.start // self._part_bytes] = state.digest()

    def etag(self, read: Callable[[int, int], bytes]) -> str:
        """In a thread: the digest; parts that an earlier run brought are read now."""
        for part in self._spans():
            if part.start // self._part_bytes not in self._digests:
                self.hash(part, read)
        return composed([digest for _, digest in sorted(self._digests.items())])
