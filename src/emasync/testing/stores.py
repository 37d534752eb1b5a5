"""Where the loopback archive gets objects from: the seam, and objects held in memory.

A *path* names an object: ``bucket/key``, decoded, without leading slash. A path without slash is a file beside
the buckets. Keys are listed in UTF-8 binary order, as S3 and Google Cloud Storage list them; that is also the
order of Python's strings (code points).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
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


class MemoryStore:
    """Objects in a dictionary; may be changed while an archive in the same process serves it.

    Parameters
    ----------
    objects : mapping of str to bytes, optional
        Content by path (``bucket/key``).
    buckets : iterable of str
        Buckets that exist although they are empty.
    """

    def __init__(self, objects: Mapping[str, bytes] | None = None, *, buckets: tuple[str, ...] = ()) -> None:
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._answers: dict[str, StoredObject] = {}
        self._sorted: list[str] | None = None
        self._empty = frozenset(buckets)
        for path, data in (objects or {}).items():
            self.put(path, data)

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._objects)} objects>"

    def put(self, path: str, data: bytes, *, modified_s: float = EPOCH_S) -> None:
        """Place or replace one object.

        Parameters
        ----------
        path : str
        data : bytes
        modified_s : float
            Seconds since 1970-01-01 UTC.
        """
        self._objects[path] = (bytes(data), modified_s)
        self._answers.pop(path, None)
        self._sorted = None

    def delete(self, path: str) -> None:
        """Remove one object.

        Raises
        ------
        KeyError
            Nothing is there.
        """
        del self._objects[path]
        self._answers.pop(path, None)
        self._sorted = None

    def has_bucket(self, bucket: str) -> bool:
        """Whether an object or a named empty bucket says so."""
        if bucket in self._empty:
            return True
        return next(self.scan(bucket, ""), None) is not None

    def get(self, path: str) -> StoredObject | None:
        """Object at ``bucket/key``; None when it is not there."""
        answer = self._answers.get(path)
        if answer is None and (found := self._objects.get(path)) is not None:
            answer = self._answers[path] = from_bytes(*found)
        return answer

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """Rows with ``key >= floor`` in key order, as the store was when the walk began."""
        paths = self._sorted
        if paths is None:
            paths = self._sorted = sorted(self._objects)
        start = f"{bucket}/"
        for index in range(bisect_left(paths, start + floor), len(paths)):
            if not paths[index].startswith(start):
                return
            answer = self.get(paths[index])
            if answer is not None:
                yield Listed(paths[index][len(start) :], answer.size_bytes, answer.modified_s, answer.tag)

    def __getstate__(self) -> dict[str, object]:
        return {"objects": self._objects, "empty": self._empty}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(_objects=state["objects"], _empty=state["empty"], _answers={}, _sorted=None)
