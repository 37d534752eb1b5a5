"""Which planes of an array are shown, and which part of each: pure, from shapes alone.

A picture costs the chunks that it cuts. Where these would be too many, the part that is shown is smaller, around the
centre; a plane of which hardly anything would be left is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final, NamedTuple

from emasync.model.geometry import Box
from emasync.volume.orientation import CHANNELS, SPATIAL

MOST_SIDE: Final = 2_048
"""Voxels along a side of a plane: a picture has a fifth of that."""

LEAST_SIDE: Final = 16
"""Voxels, where the array has more: less says nothing."""

PLANE_BYTES: Final = 64 << 20
"""Of decoded chunks, or of pages of files, a plane."""

PAGE_BYTES: Final = 4096
"""Of memory: what a disk reads for a single voxel."""

_COLOURS: Final = 3


class Spans(NamedTuple):
    """What planning needs to know of an array, in the axes of blocks.

    Attributes
    ----------
    axes : tuple of str
    bounds : Box
        What can be shown, source coordinates.
    chunks : tuple of int
        Voxels.
    first : tuple of int
        Source coordinate at which the first chunk begins.
    itemsize_bytes : int
    fastest : int or None
        Axis along which voxels lie in files as they are, one after the other; None where a voxel costs its whole chunk.
    """

    axes: tuple[str, ...]
    bounds: Box
    chunks: tuple[int, ...]
    first: tuple[int, ...]
    itemsize_bytes: int
    fastest: int | None


@dataclass(frozen=True, slots=True)
class Plane:
    """A cut through an array.

    Attributes
    ----------
    rows, columns : int
        Axes of blocks that the picture's sides are.
    box : Box
        What is read, source coordinates: of extent 1 beside `rows`, `columns` and channels.
    whole : bool
        Whether the cut is shown from edge to edge.
    """

    rows: int
    columns: int
    box: Box
    whole: bool

    @property
    def across(self) -> tuple[int, ...]:
        """Axes that the plane cuts at one place."""
        sides = (self.rows, self.columns)
        return tuple(axis for axis, size in enumerate(self.box.shape) if axis not in sides and size == 1)


def spatial_axes(axes: Sequence[str]) -> list[int]:
    """Axes of space, the slowest first; none for arrays without two of them."""
    found = [axis for axis, name in enumerate(axes) if name.lower() in SPATIAL]
    return found if len(found) > 1 else []


def planes_of(spans: Spans) -> tuple[Plane, ...]:
    """The planes through the centre: of a volume y over x, z over x and z over y; of an image the one there is."""
    spatial = spatial_axes(spans.axes)
    pairs = [(row, column) for row in spatial for column in spatial if row < column]
    planes = (_plane(spans, row, column) for row, column in sorted(pairs, reverse=True))
    return tuple(plane for plane in planes if plane is not None)


def _plane(spans: Spans, rows: int, columns: int) -> Plane | None:
    start = [(low + high) // 2 for low, high in zip(spans.bounds.start, spans.bounds.stop, strict=True)]
    shape = [1] * len(start)
    for axis, name in enumerate(spans.axes):
        if name.lower() in CHANNELS:
            extent = spans.bounds.shape[axis]
            start[axis], shape[axis] = spans.bounds.start[axis], _COLOURS if extent == _COLOURS else min(1, extent)
    sizes = {axis: min(MOST_SIDE, spans.bounds.shape[axis]) for axis in (rows, columns)}
    box = _around(spans, start, shape, sizes)
    while cost_bytes(spans, box) > PLANE_BYTES:
        longest = max(sizes, key=lambda axis: sizes[axis])
        sizes[longest] //= 2
        if sizes[longest] < LEAST_SIDE:
            return None
        box = _around(spans, start, shape, sizes)
    if min(sizes.values()) < 2:  # noqa: PLR2004 - a line is no picture
        return None
    whole = all(size == spans.bounds.shape[axis] for axis, size in sizes.items())
    return Plane(rows, columns, box, whole)


def _around(spans: Spans, start: Sequence[int], shape: Sequence[int], sizes: dict[int, int]) -> Box:
    """A box that has `sizes` along two axes, in the middle of what there is."""
    start, shape = list(start), list(shape)
    for axis, size in sizes.items():
        start[axis] = spans.bounds.start[axis] + (spans.bounds.shape[axis] - size) // 2
        shape[axis] = size
    return Box.from_shape(start, shape)


def cost_bytes(spans: Spans, box: Box) -> int:
    """Bytes that have to be read and decoded for a box."""
    counts = (
        -(-(stop - first) // chunk) - (start - first) // chunk
        for start, stop, first, chunk in zip(box.start, box.stop, spans.first, spans.chunks, strict=True)
    )
    chunks = prod(counts) * prod(spans.chunks) * spans.itemsize_bytes
    if spans.fastest is None:
        return chunks
    row = box.shape[spans.fastest]
    rows = prod(box.shape) // max(1, row)
    return min(chunks, rows * -(-row * spans.itemsize_bytes // PAGE_BYTES) * PAGE_BYTES)
