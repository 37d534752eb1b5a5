"""Objects and the seam that the loopback archive gets them through.

A *path* names an object: ``bucket/key``, decoded, without leading slash. A path without slash is a file beside
the buckets. Keys are listed in UTF-8 binary order, as S3 and Google Cloud Storage list them; that is also the
order of Python's strings (code points).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from typing_extensions import Buffer

EPOCH_S = 1_750_000_000.0
"""Modification time of objects that have none of their own: 2025-06-15T15:06:40Z."""

Reader = Callable[[int, int], Buffer]
"""Gives the bytes of a half-open span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object, ready to be answered.

    Attributes
    ----------
    size_bytes : int
    modified_s : float
        Seconds since 1970-01-01 UTC.
    tag : str
        Entity tag without quotes: MD5 of the content where it is affordable, else opaque with a dash, as S3
        tags objects uploaded in parts.
    read : callable
        ``read(start, stop)`` gives the bytes of a half-open span.
    """

    size_bytes: int
    modified_s: float
    tag: str
    read: Reader

    @property
    def generation(self) -> str:
        """Google Cloud Storage generation."""
        return generation_of(self.modified_s, self.tag)


class Listed(NamedTuple):
    """One row of a store's listing.

    Attributes
    ----------
    key : str
        Below the bucket.
    size_bytes : int
    modified_s : float
    tag : str
        Without quotes.
    """

    key: str
    size_bytes: int
    modified_s: float
    tag: str


class ObjectStore(Protocol):
    """What an archive serves. Called from the archive's own thread."""

    def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket exists."""
        ...

    def get(self, path: str) -> StoredObject | None:
        """Object at ``bucket/key``; None when it is not there."""
        ...

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """Rows with ``key >= floor`` in key order, lazily."""
        ...


def generation_of(modified_s: float, tag: str) -> str:
    """Google Cloud Storage generation: microseconds of the modification, and another one for another tag."""
    return str(int(modified_s * 1_000_000) + int(md5_tag(tag.encode())[:4], 16))


def md5_tag(data: Buffer) -> str:
    """Entity tag of an object uploaded in one piece: hexadecimal MD5 of its content."""
    return hashlib.md5(data).hexdigest()  # noqa: S324  # the tag S3 gives, no security


def from_bytes(data: bytes, modified_s: float = EPOCH_S) -> StoredObject:
    """Object with `data` as its content."""
    view = memoryview(data)
    return StoredObject(
        size_bytes=len(data),
        modified_s=modified_s,
        tag=md5_tag(data),
        read=lambda start, stop: view[start:stop],
    )
