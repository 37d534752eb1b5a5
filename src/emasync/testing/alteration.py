"""A store whose objects turned into other ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from emasync.testing.objects import Listed, ObjectStore, StoredObject, md5_tag

Change = Literal["etag", "content", "silent", "size", "flapping"]
"""How an object changed.

- ``etag``: other tag, same bytes and date (replicas behind a load balancer).
- ``flapping``: the same, but every other answer has the first tag.
- ``content``: same size, other bytes, tag and date.
- ``silent``: same size, tag and date, other bytes: only a published digest can tell.
- ``size``: four bytes more, other tag and date.
"""

LATER_S = 3600.0
MORE = b"more"
TAG_LIMIT_BYTES = 64 << 20
"""Larger objects get an opaque tag."""

_FLIP = bytes(byte ^ 0xA5 for byte in range(256))


def other_bytes(data: bytes) -> bytes:
    """What ``content`` and ``silent`` make of an object."""
    return data.translate(_FLIP)


@dataclass(frozen=True, slots=True)
class AlteredStore:
    """A view of `store` in which all objects are changed.

    Attributes
    ----------
    store : ObjectStore
    change : str
        See :data:`Change`.
    round : int
        Counts answers; decides what ``flapping`` shows.
    """

    store: ObjectStore
    change: Change
    round: int

    def has_bucket(self, bucket: str) -> bool:
        """As the store says."""
        return self.store.has_bucket(bucket)

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """As the store says: listings are slow to notice."""
        return self.store.scan(bucket, floor)

    def get(self, path: str) -> StoredObject | None:
        """Object at ``bucket/key``, changed."""
        found = self.store.get(path)
        return None if found is None else self._changed(found)

    def _changed(self, found: StoredObject) -> StoredObject:
        if self.change == "etag" or (self.change == "flapping" and self.round % 2 == 0):
            return replace(found, tag=md5_tag(found.tag.encode()) + "-2")
        if self.change == "flapping":
            return found
        if self.change == "size":
            return _with_tag(_longer(found))
        flipped = replace(found, read=lambda start, stop: other_bytes(bytes(found.read(start, stop))))
        return flipped if self.change == "silent" else _with_tag(flipped)


def _longer(found: StoredObject) -> StoredObject:
    size = found.size_bytes

    def read(start: int, stop: int) -> bytes:
        old = bytes(found.read(start, min(stop, size))) if start < size else b""
        return old + MORE[max(0, start - size) : max(0, stop - size)]

    return replace(found, size_bytes=size + len(MORE), read=read)


def _with_tag(changed: StoredObject) -> StoredObject:
    if changed.size_bytes <= TAG_LIMIT_BYTES:
        tag = md5_tag(changed.read(0, changed.size_bytes))
    else:
        tag = md5_tag(changed.tag.encode()) + "-2"
    return replace(changed, tag=tag, modified_s=changed.modified_s + LATER_S)
