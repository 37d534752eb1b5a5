"""Millions of objects that exist as a formula only."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from emasync.testing.objects import EPOCH_S, Listed, StoredObject, from_bytes, md5_tag

BLOCK_BYTES = 64 << 10
"""Content is made in blocks of this size, so that a range of a large object costs what it is long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticStore:
    """One bucket of generated objects. Nothing is kept: keys are counted, content follows from the key.

    Attributes
    ----------
    bucket : str
    count : int
        Number of objects.
    size_bytes : int
        Of each object.
    prefix : str
        Before each key.
    folder_size : int or None
        Objects in one folder (``prefix/00012/000012345``); None for no folders.
    suffix : str
        After each key.
    """

    bucket: str = "big"
    count: int = 1_000_000
    size_bytes: int = 256
    prefix: str = "d/"
    folder_size: int | None = None
    suffix: str = ""

    @property
    def width(self) -> int:
        """Digits of a number in a key."""
        return len(str(max(1, self.count - 1)))

    def key(self, number: int) -> str:
        """Key of object `number`, counted from zero; keys sort as their numbers do."""
        digits = str(number).zfill(self.width)
        if self.folder_size is None:
            return f"{self.prefix}{digits}{self.suffix}"
        return f"{self.prefix}{str(number // self.folder_size).zfill(self.width)}/{digits}{self.suffix}"

    def content(self, path: str, start: int, stop: int) -> bytes:
        """Bytes of the half-open span of the object at ``bucket/key``."""
        if self.size_bytes <= BLOCK_BYTES:
            return hashlib.shake_128(f"{path}\x000".encode()).digest(self.size_bytes)[start:stop]
        first = start // BLOCK_BYTES
        blocks = [
            hashlib.shake_128(f"{path}\x00{block}".encode()).digest(
                min(BLOCK_BYTES, self.size_bytes - block * BLOCK_BYTES)
            )
            for block in range(first, -(-stop // BLOCK_BYTES))
        ]
        return b"".join(blocks)[start - first * BLOCK_BYTES : stop - first * BLOCK_BYTES]

    def has_bucket(self, bucket: str) -> bool:
        """Whether it is the one bucket."""
        return bucket == self.bucket

    def get(self, path: str) -> StoredObject | None:
        """Object at ``bucket/key``; None when the formula makes no such key."""
        bucket, _, key = path.partition("/")
        if bucket != self.bucket or self._position(key) is None:
            return None
        if self.size_bytes <= BLOCK_BYTES:
            return from_bytes(self.content(path, 0, self.size_bytes))
        return StoredObject(
            size_bytes=self.size_bytes,
            modified_s=EPOCH_S,
            tag=self._tag(path),
            read=lambda start, stop: self.content(path, start, stop),
        )

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """Rows with ``key >= floor`` in key order."""
        if bucket != self.bucket:
            return
        for number in range(bisect_left(range(self.count), floor, key=self.key), self.count):
            key = self.key(number)
            yield Listed(key, self.size_bytes, EPOCH_S, self._tag(f"{bucket}/{key}"))

    def _position(self, key: str) -> int | None:
        digits = key.removesuffix(self.suffix)[len(self.prefix) :].rpartition("/")[2]
        if not (digits.isascii() and digits.isdecimal()):
            return None
        number = int(digits)
        return number if number < self.count and self.key(number) == key else None

    def _tag(self, path: str) -> str:
        if self.size_bytes <= BLOCK_BYTES:
            return md5_tag(self.content(path, 0, self.size_bytes))
        return md5_tag(path.encode()) + "-1"  # opaque, as of an upload in parts
