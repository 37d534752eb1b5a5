"""Names of an array's objects as a grid."""

from __future__ import annotations

from typing import Final

from emasync.formats.interface import ArrayDescription
from emasync.model.grid import ChunkGrid, VoxelGrid

_SPATIAL_AXES: Final = 3
"""Of a precomputed volume, whose chunks hold all channels of a place."""


def grid_between(
    array: ArrayDescription, first: tuple[int, ...], last: tuple[int, ...], *, rebase: bool = False
) -> ChunkGrid:
    """Name the chunks from `first` to `last`, exclusive.

    Parameters
    ----------
    array : ArrayDescription
    first, last : tuple of int
        Chunk coordinates at the source, the array's axis order.
    rebase : bool
        Whether destinations count from zero, where names tell chunk coordinates.
    """
    shape = tuple(high - low for low, high in zip(first, last, strict=True))
    prefix = f"{array.path}/" if array.path else ""
    if array.encoding != "voxels":
        return ChunkGrid(
            start=first, shape=shape, prefix=prefix, encoding=array.encoding, separator=array.separator, rebase=rebase
        )
    origin = array.origin or (0,) * len(shape)
    axes = slice(-_SPATIAL_AXES, None)  # all channels of a place lie in one chunk
    return VoxelGrid(
        start=first[axes],
        shape=shape[axes],
        prefix=prefix,
        chunk=array.chunks[axes],
        origin=origin[axes],
        size=array.shape[axes],
    )
