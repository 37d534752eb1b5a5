"""Objects held in memory, as a store."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from emasync.testing.objects import EPOCH_S, Listed, StoredObject, from_bytes


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
