"""Chunk identifiers of sharded volumes: compressed Morton codes.

Neuroglancer, "Precomputed volume format", section "Compressed Morton code".
"""

from __future__ import annotations

from collections.abc import Sequence


def compressed_morton(cell: Sequence[int], grid: Sequence[int]) -> int:
    """Identifier of a chunk: the bits of its grid cell interleaved, without bits that are zero for the whole grid.

    Parameters
    ----------
    cell : sequence of int
        Chunk coordinates, x, y, z, each inside the grid.
    grid : sequence of int
        Chunks on each axis of this very scale, x, y, z: another grid gives other identifiers.
    """
    return sum((cell[axis] >> bit & 1) << position for position, (bit, axis) in enumerate(_bits(grid)))


def code_bits(grid: Sequence[int]) -> int:
    """How many bits the identifiers of `grid` have."""
    return len(_bits(grid))


def _bits(grid: Sequence[int]) -> list[tuple[int, int]]:
    """(bit of a coordinate, axis), lowest bit of the identifier first."""
    most = max((size - 1 for size in grid), default=0).bit_length()
    return [(bit, axis) for bit in range(most) for axis, size in enumerate(grid) if 1 << bit < size]
