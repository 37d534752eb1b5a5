"""Boxes in voxel space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, sub


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box: ``start`` inclusive, ``stop`` exclusive, voxels, order (z, y, x) or the array's axis order.

    Attributes
    ----------
    start, stop : tuple of int
        Of equal length; ``start <= stop`` on every axis.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.start) != len(self.stop):
            raise ValueError(f"box of {len(self.start)} and {len(self.stop)} axes")
        if any(map(gt, self.start, self.stop)):
            raise ValueError(f"box ends before it starts: {self.start} to {self.stop}")

    @classmethod
    def from_shape(cls, start: Sequence[int], shape: Sequence[int]) -> Box:
        """Box of `shape` voxels at `start`."""
        return cls(tuple(start), tuple([low + size for low, size in zip(start, shape, strict=True)]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent in voxels on each axis."""
        return tuple(map(sub, self.stop, self.start))

    def moved(self, by: Sequence[int]) -> Box:
        """The same box, `by` voxels further on each axis."""
        return Box(
            tuple(low + step for low, step in zip(self.start, by, strict=True)),
            tuple(high + step for high, step in zip(self.stop, by, strict=True)),
        )

    @property
    def empty(self) -> bool:
        """Whether the box holds no voxel."""
        return any(map(eq, self.start, self.stop))

    def intersect(self, other: Box) -> Box:
        """Common part; empty boxes keep a legal start."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(low, min(a, b)) for low, a, b in zip(start, self.stop, other.stop, strict=True))
        return Box(start, stop)

    def contains(self, other: Box) -> bool:
        """Whether `other` lies wholly inside."""
        if len(self.start) != len(other.start):
            raise ValueError(f"boxes of {len(self.start)} and {len(other.start)} axes")
        return all(map(le, self.start, other.start)) and all(map(ge, self.stop, other.stop))
