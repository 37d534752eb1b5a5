"""Large objects that exist as a recipe only: any range of them is made when it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Protocol

from emasync.testing.objects import EPOCH_S, Listed, ObjectStore, StoredObject, md5_tag


class Piece(Protocol):
    """A stretch of bytes; pickled where the archive has a process of its own."""

    @property
    def size_bytes(self) -> int:
        """Its length."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a half-open span of the piece."""
        ...


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that are kept.

    Attributes
    ----------
    data : bytes
    """

    data: bytes

    @property
    def size_bytes(self) -> int:
        """Length of the data."""
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a half-open span."""
        return self.data[start:stop]


@dataclass(frozen=True, slots=True)
class Body:
    """Pieces one after the other; itself a piece.

    Attributes
    ----------
    pieces : tuple of Piece
    """

    pieces: tuple[Piece, ...]
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = accumulate((piece.size_bytes for piece in self.pieces), initial=0)
        object.__setattr__(self, "_starts", tuple(starts))

    @property
    def size_bytes(self) -> int:
        """Sum of the lengths of all pieces."""
        return self._starts[-1]

    def start_of(self, number: int) -> int:
        """Offset of piece `number` in the body, bytes."""
        return self._starts[number]

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a half-open span; only the pieces that it touches are asked."""
        parts = []
        number = bisect_right(self._starts, start) - 1
        while start < min(stop, self.size_bytes):
            low, high = self._starts[number], self._starts[number + 1]
            parts.append(self.pieces[number].read(start - low, min(stop, high) - low))
            start, number = max(start, high), number + 1
        return b"".join(parts)


class SparseStore:
    """Bodies by path, as a store.

    Entity tags are opaque, as of objects uploaded in parts: to read a body for its digest may take minutes.

    Parameters
    ----------
    bodies : mapping of str to Piece
        By ``bucket/key``.
    """

    def __init__(self, bodies: Mapping[str, Piece]) -> None:
        self._bodies = dict(bodies)

    def __repr__(self) -> str:
        return f"<SparseStore of {sorted(self._bodies)}>"

    def has_bucket(self, bucket: str) -> bool:
        """Whether a body lies in it."""
        return any(path.startswith(f"{bucket}/") for path in self._bodies)

    def get(self, path: str) -> StoredObject | None:
        """Object at ``bucket/key``; None when it is not there."""
        if (body := self._bodies.get(path)) is None:
            return None
        tag = f"{md5_tag(f'{path} {body.size_bytes}'.encode())}-1"
        return StoredObject(size_bytes=body.size_bytes, modified_s=EPOCH_S, tag=tag, read=body.read)

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """Rows with ``key >= floor`` in key order."""
        for path in sorted(self._bodies):
            key = path.removeprefix(f"{bucket}/")
            if key != path and key >= floor and (found := self.get(path)) is not None:
                yield Listed(key, found.size_bytes, found.modified_s, found.tag)


@dataclass(frozen=True, slots=True)
class LayeredStore:
    """Several stores as one; of stores that have the same path, the first answers.

    Attributes
    ----------
    stores : tuple of ObjectStore
    """

    stores: tuple[ObjectStore, ...]

    def has_bucket(self, bucket: str) -> bool:
        """Whether one of the stores has it."""
        return any(store.has_bucket(bucket) for store in self.stores)

    def get(self, path: str) -> StoredObject | None:
        """Object at ``bucket/key``; None when no store has it."""
        return next((found for store in self.stores if (found := store.get(path)) is not None), None)

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """Rows with ``key >= floor`` in key order."""
        rows = merge(*(store.scan(bucket, floor) for store in self.stores), key=attrgetter("key"))
        return (next(same) for _, same in groupby(rows, key=attrgetter("key")))
