"""What is transferred: the objects of each case, in full size and scaled down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MB = 1_000_000

MANY = 100
"""From so many objects on, a group is scaled by its number of objects, below by their size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Objects of about one size.

    Attributes
    ----------
    count : int
    size_bytes : int
    spread_bytes : int
        Sizes are drawn evenly from ``size_bytes`` plus or minus this.
    """

    count: int
    size_bytes: int
    spread_bytes: int = 0

    def scaled(self, factor: float) -> Group:
        """The group with about ``factor`` times the bytes; never empty."""
        if self.count >= MANY:
            return replace(self, count=max(4, round(self.count * factor)))
        return replace(self, size_bytes=max(min(MIB, self.size_bytes), round(self.size_bytes * factor)))

    def sizes(self) -> list[int]:
        """Size of each object, bytes; the same at each call."""
        if not self.spread_bytes:
            return [self.size_bytes] * self.count
        low, high = self.size_bytes - self.spread_bytes, self.size_bytes + self.spread_bytes
        return [int(size) for size in np.random.default_rng(self.count).integers(low, high, self.count, endpoint=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of work.

    Attributes
    ----------
    name : str
        Letters and digits: it names a folder, a key prefix and a listing.
    groups : tuple of Group
        In key order.
    shape : str or None
        Key of :data:`bench.shaped.SHAPES`; None: as fast as the server can.
    peers_sync : bool
        On disk, a ``sync`` at the end counts for the peers: emasync's run is durable when it ends.
    """

    name: str
    groups: tuple[Group, ...]
    shape: str | None = None
    peers_sync: bool = False

    def scaled(self, factor: float) -> Case:
        """The case with about ``factor`` times the bytes."""
        return self if factor == 1 else replace(self, groups=tuple(group.scaled(factor) for group in self.groups))

    def objects(self) -> Iterator[tuple[str, int]]:
        """Name and size in bytes of each object, in key order."""
        for letter, group in zip("abcdefgh", self.groups, strict=False):
            for index, size_bytes in enumerate(group.sizes()):
                yield f"{letter}{index:06d}.bin", size_bytes


CASES = {
    case.name: case
    for case in (
        Case(name="small64k", groups=(Group(count=20_000, size_bytes=64 * KIB),), peers_sync=True),
        Case(name="nacc2", groups=(Group(count=10_000, size_bytes=270_000),)),
        Case(name="jpeg", groups=(Group(count=20_000, size_bytes=40_000, spread_bytes=20_000),)),
        Case(name="one4g", groups=(Group(count=1, size_bytes=4 * GIB),)),
        Case(
            name="mixed",
            groups=(
                Group(count=2_500, size_bytes=64 * KIB),
                Group(count=3, size_bytes=200 * MB),  # neither first nor last: a scheduler has to see them coming
                Group(count=2_500, size_bytes=64 * KIB),
            ),
        ),
        # latency decides: 16 connections carry 390 of these a second, 64 a minute's worth of them
        Case(
            name="objectstore",
            shape="objectstore",
            groups=(Group(count=96_000, size_bytes=40_000), Group(count=4, size_bytes=128 * MIB)),
        ),
        # 8 connections carry 12 MB/s: a minute without hangs
        Case(
            name="ebi",
            shape="ebi",
            groups=(Group(count=100, size_bytes=4 * MB), Group(count=2, size_bytes=170 * MB)),
        ),
        # the same objects as small64k, three times: what one more object costs
        Case(name="marginal", groups=(Group(count=60_000, size_bytes=64 * KIB),)),
    )
}
"""By name. ``marginal`` belongs to the measurement of the same name."""
