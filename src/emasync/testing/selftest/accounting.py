"""What was fetched again because of a stop, by the server's own counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from typing_extensions import Buffer

from emasync.testing.objects import Listed, ObjectStore, Reader, StoredObject


class Sent(NamedTuple):
    """Bytes of an object that were handed to a connection.

    Attributes
    ----------
    path : str
        ``bucket/key``.
    start, stop : int
    """

    path: str
    start: int
    stop: int


class WatchedStore:
    """A store that writes down what is read of its objects: an archive reads what it sends, when it sends it.

    Parameters
    ----------
    store : ObjectStore

    Attributes
    ----------
    sent : list of Sent
        Grows in the archive's thread; in order.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.sent: list[Sent] = []

    def __repr__(self) -> str:
        return f"<WatchedStore of {self._store!r}, {len(self.sent)} pieces sent>"

    def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket exists."""
        return self._store.has_bucket(bucket)

    def get(self, path: str) -> StoredObject | None:
        """Object at ``bucket/key``; None when it is not there."""
        found = self._store.get(path)
        return None if found is None else replace(found, read=partial(self._read, path, found.read))

    def _read(self, path: str, read: Reader, start: int, stop: int) -> Buffer:
        self.sent.append(Sent(path, start, stop))
        return read(start, stop)

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """Rows with ``key >= floor`` in key order."""
        return self._store.scan(bucket, floor)


@dataclass(slots=True)
class Loss:
    """What one stop cost: it had been sent before, and was sent again afterwards. Mutable: it is counted up.

    Attributes
    ----------
    small_objects, small_bytes : int
    large_bytes : int
        Of objects that are fetched in ranges.
    """

    small_objects: int = 0
    small_bytes: int = 0
    large_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return self.small_bytes + self.large_bytes

    def excess(self, *, connections: int, part_bytes: int, most_objects: int, most_bytes: int) -> str:
        """What is more than a stop may cost: a part a connection, and small objects of one kind of bound or the other.

        A connection that was bringing a small object brought no part.

        Parameters
        ----------
        connections, part_bytes : int
        most_objects, most_bytes : int
            Small ones that may wait to be made durable.

        Returns
        -------
        str
            Empty when it is within the bounds.
        """
        parts = -(-self.large_bytes // part_bytes)
        if parts + max(0, self.small_objects - most_objects) <= connections and self.small_bytes <= most_bytes:
            return ""
        return (
            f"{self.small_objects} small objects ({self.small_bytes} bytes) and {self.large_bytes} bytes of large ones "
            f"were fetched again, {most_objects} small ones and {connections} parts of {part_bytes} bytes may be"
        )


@dataclass(slots=True)
class _Painted:
    """Which life sent each byte of an object for the last time: disjoint spans."""

    spans: list[tuple[int, int, int]] = field(default_factory=list)

    def paint(self, start: int, stop: int, life: int) -> list[tuple[int, int]]:
        """Send a span again; gives (life, bytes) of what an earlier life had sent of it."""
        again: list[tuple[int, int]] = []
        left: list[tuple[int, int, int]] = [(start, stop, life)]
        for first, last, owner in self.spans:
            low, high = max(first, start), min(last, stop)
            if low >= high:
                left.append((first, last, owner))
                continue
            if owner < life:
                again.append((owner, high - low))
            left += [piece for piece in ((first, low, owner), (high, last, owner)) if piece[0] < piece[1]]
        self.spans = left
        return again


def losses(lives: Iterable[Collection[Sent]], sizes_bytes: Mapping[str, int], *, large_from_bytes: int) -> list[Loss]:
    """What each stop cost.

    A byte that came twice was lost by the stop after the life that sent it first: what one life sends twice (tries,
    races) is nobody's loss. A small object counts once its end was sent: one that was cut off never arrived.

    Parameters
    ----------
    lives : iterable of collection of Sent
        What was sent between one stop and the next; the last one came to its end.
    sizes_bytes : mapping of str to int
        Objects that count, by path.
    large_from_bytes : int
        Larger ones are fetched in ranges.

    Returns
    -------
    list of Loss
        One a life.
    """
    found: list[Loss] = []
    large: dict[str, _Painted] = {}
    small: dict[str, int] = {}
    for life, sent in enumerate(lives):
        found.append(Loss())
        for path, start, stop in sent:
            size_bytes = sizes_bytes.get(path)
            if size_bytes is None:
                continue
            if size_bytes > large_from_bytes:
                for owner, count in large.setdefault(path, _Painted()).paint(start, stop, life):
                    found[owner].large_bytes += count
            elif stop == size_bytes:
                owner, small[path] = small.get(path, life), life
                if owner < life:
                    found[owner].small_objects += 1
                    found[owner].small_bytes += size_bytes
    return found
