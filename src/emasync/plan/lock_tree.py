"""Digests of long lists of names: bounded in size, the same however they were made, and telling where two lists differ.

A list is cut behind names that their own checksum chooses, one in four at the first level, one in sixteen at the
second and so on. So a name that comes or goes moves no other cut, and two lists that differ in one place have the same
pieces everywhere else. The digest of a piece is that of its smaller pieces (a Merkle tree). Pieces are kept at the
finest level that has few enough of them: up to :data:`MAX_RANGES` names are kept one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple
from zlib import crc32

MAX_RANGES: Final = 1_024
"""Pieces of a list that are kept: about 100 KB of text. A million names come in some 250 pieces of 4,096 or so."""

TOP: Final = 16
"""Level of the one piece that is everything: no checksum of 32 bits cuts at more."""

DIGEST_BYTES: Final = 24

_BITS: Final = 2
"""Of a checksum, a level."""
_SPREAD: Final = 0x9E3779B1
"""Odd (2^32 over the golden ratio): checksums of names that are alike are alike in their last bits; times this, not in
their first."""

CHECKSUM: Final[Callable[[bytes], int]] = crc32


class Range(NamedTuple):
    """A piece of a list: neighbours in its order.

    Attributes
    ----------
    first : str
        Name that it begins with.
    objects : int
    size_bytes : int
        As far as sizes are known.
    digest : bytes
    """

    first: str
    objects: int
    size_bytes: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """What is kept of a list.

    Attributes
    ----------
    objects, size_bytes : int
    digest : bytes
        Of everything.
    level : int
        Of `ranges`; 0: they are the names, one by one.
    ranges : tuple of Range
        In the order of the list.
    """

    objects: int
    size_bytes: int
    digest: bytes
    level: int
    ranges: tuple[Range, ...]

    def at(self, level: int) -> Listing:
        """The same in larger pieces; `level` is not below this one's."""
        ranges: Sequence[Range] = self.ranges
        for above in range(self.level + 1, level + 1):
            ranges = _joined(ranges, above)
        return Listing(self.objects, self.size_bytes, self.digest, level, tuple(ranges))


def level_of(name: bytes) -> int:
    """Highest level at which a list is cut before `name`."""
    mixed = CHECKSUM(name) * _SPREAD & 0xFFFFFFFF
    return TOP - 1 if not mixed else min((32 - mixed.bit_length()) // _BITS, TOP - 1)


def _joined(ranges: Iterable[Range], level: int) -> list[Range]:
    """Pieces of one level as those of the next."""
    joined: list[_Open] = []
    for item in ranges:
        if not joined or level_of(_packed(item.first)) >= level:
            joined.append(_Open(item.first))
        joined[-1].take(item)
    return [piece.closed() for piece in joined]


def _packed(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


class _Open:
    """A piece that is still growing (mutable)."""

    __slots__ = ("_digest", "first", "objects", "size_bytes")

    def __init__(self, first: str) -> None:
        self.first = first
        self.objects = 0
        self.size_bytes = 0
        self._digest = blake2b(digest_size=DIGEST_BYTES)

    def take(self, piece: Range) -> None:
        """Add a smaller piece at the end."""
        self.objects += piece.objects
        self.size_bytes += piece.size_bytes
        self._digest.update(piece.digest)

    def closed(self) -> Range:
        """The piece as it is."""
        return Range(self.first, self.objects, self.size_bytes, self._digest.digest())


class ListingBuilder:
    """Takes a list name by name; memory does not grow with it.

    Parameters
    ----------
    max_ranges : int
        Most pieces that are kept.
    """

    def __init__(self, max_ranges: int = MAX_RANGES) -> None:
        self._max_ranges = max_ranges
        self._open: list[_Open | None] = [None] * (TOP + 1)
        self._kept: list[list[Range] | None] = [[] for _ in range(TOP + 1)]
        self._finest = 0

    def __repr__(self) -> str:
        return f"<ListingBuilder {self.held} ranges held>"

    @property
    def held(self) -> int:
        """Ranges in memory, of all levels: a third more than the limit, or so."""
        return sum(len(kept or ()) for kept in self._kept)

    def add(self, name: str, digest: bytes, size_bytes: int = 0) -> None:
        """Add the next name; what is said of it is in its digest (:data:`DIGEST_BYTES`)."""
        self._close(level_of(_packed(name)))
        self._take(0, Range(name, 1, size_bytes, digest))

    def finish(self) -> Listing:
        """What is kept of the list."""
        self._close(TOP)
        everything = self._kept[TOP] or [_Open("").closed()]
        _, objects, size_bytes, digest = everything[0]
        ranges = tuple(self._kept[self._finest] or ())
        return Listing(objects, size_bytes, digest, self._finest, ranges)

    def _close(self, level: int) -> None:
        """End the pieces of all levels up to `level`: each is taken by the one above."""
        for number in range(1, level + 1):
            if (piece := self._open[number]) is not None:
                self._open[number] = None
                self._take(number, piece.closed())

    def _take(self, level: int, piece: Range) -> None:
        """Keep a piece of one level, and add it to the one above."""
        if (kept := self._kept[level]) is not None:
            kept.append(piece)
            if len(kept) > self._max_ranges and level < TOP:
                self._kept[level] = None
                self._finest = max(self._finest, level + 1)
        if level < TOP:
            above = self._open[level + 1]
            if above is None:
                above = self._open[level + 1] = _Open(piece.first)
            above.take(piece)
