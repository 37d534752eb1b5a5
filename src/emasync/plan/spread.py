"""Which chunks of a box are looked at, and how many voxels each has. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final

from emasync.model.grid import ChunkGrid, VoxelGrid
from emasync.plan.boxes import spatial_axes
from emasync.plan.select import Chosen

SAMPLES_AN_AXIS: Final = 3


def spread(chosen: Chosen) -> list[int]:
    """Numbers of the chunks that are looked at: up to three on each spatial axis, the first on any other.

    Of more than three chunks on an axis they are those in the middle of its thirds.
    """
    grid, array = chosen.grid, chosen.array
    if grid is None:
        return []
    count = len(grid.shape)
    spatial = range(count) if isinstance(grid, VoxelGrid) else spatial_axes(array.axes, count)
    axes = [_positions(size) if axis in spatial else [0] for axis, size in enumerate(grid.shape)]
    return [_number(grid, cell) for cell in product(*axes)]


def _positions(size: int) -> list[int]:
    if size <= SAMPLES_AN_AXIS:
        return list(range(size))
    return [(2 * part + 1) * size // (2 * SAMPLES_AN_AXIS) for part in range(SAMPLES_AN_AXIS)]


def _number(grid: ChunkGrid, cell: Sequence[int]) -> int:
    number = 0
    for at, size in zip(cell, grid.shape, strict=True):
        number = number * size + at
    return number


def chunk_shape(chosen: Chosen) -> tuple[int, ...]:
    """Voxels of a chunk that is not cut at an edge."""
    inner = chosen.array.inner_chunks if chosen.unsharded else None
    return inner or chosen.array.chunks


def chunk_voxels(chosen: Chosen, number: int) -> tuple[int, ...]:
    """Voxels of one chunk: precomputed volumes cut theirs at the far edge."""
    shape, grid = chunk_shape(chosen), chosen.grid
    if not isinstance(grid, VoxelGrid):
        return shape
    cell = [at + first for at, first in zip(grid.coordinates(number), grid.start, strict=True)]
    cut = [min(part, size - at * part) for at, part, size in zip(cell, grid.chunk, grid.size, strict=True)]
    return (*shape[: -len(cut)], *cut)
