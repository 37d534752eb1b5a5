"""Uncompressed chunks that lie in one file at equal distances: together one array, looked into as memory.

Volumes of MRC, DM and HDF5 files in one piece, and stacks of TIFF pages, are like that: no plan is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from operator import mul
from typing import Final

import numpy as np

from emasync.volume.interface import WHOLE_FILE, ChunkPlaces, IndexedArray
from emasync.volume.uncompressed import is_uncompressed, stored_strides

MOST_CHUNKS: Final = 1 << 20
"""Places that are compared once; arrays of more chunks are planned block by block."""

MOST_BYTES: Final = 64 << 20
"""Of a box that is copied in one go; a larger one is planned, so that it can be stopped."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the voxels of a whole array lie in one file.

    Attributes
    ----------
    path : str
    start : int
        Byte of the first voxel.
    strides : tuple of int
        Bytes from one voxel to the next, on each axis.
    """

    path: str
    start: int
    strides: tuple[int, ...]

    def place(self, corner: Sequence[int], shape: Sequence[int], itemsize: int) -> tuple[int, int]:
        """Byte of the first voxel of a box that is not empty, and bytes from there to the end of its last one."""
        first = self.start + sum(map(mul, corner, self.strides))
        return first, itemsize + sum(map(mul, shape, self.strides)) - sum(self.strides)


def stack_of(array: IndexedArray) -> Stack | None:
    """The one array that all chunks are together; None where they are not, or have to be compared with a CRC.

    Parameters
    ----------
    array : IndexedArray
    """
    grid = array.grid_shape
    count = prod(grid)
    if not grid or not is_uncompressed(array.layout) or count != grid[0] or not 0 < count <= MOST_CHUNKS:
        return None
    places = array.chunks.find(np.arange(count))
    if places.crc32c is not None or (places.files != places.files[0]).any() or places.files[0] < 0:
        return None
    strides = _strides(array, places)
    return None if strides is None else Stack(array.chunks.path(int(places.files[0])), int(places.starts[0]), strides)


def _strides(array: IndexedArray, places: ChunkPlaces) -> tuple[int, ...] | None:
    """None where the chunks are not at equal distances, or one is shorter than its voxels."""
    inner, rows = stored_strides(array, 0), array.layout.chunks[0]
    count = len(places.starts)
    needed = np.full(count, rows)
    needed[-1] = array.shape[0] - (count - 1) * rows
    if ((places.sizes != WHOLE_FILE) & (places.sizes < needed * inner[0])).any():
        return None
    steps = np.diff(places.starts)
    if not count - 1:
        return inner
    if (steps != steps[0]).any() or steps[0] <= 0 or (rows > 1 and steps[0] != rows * inner[0]):
        return None
    return (int(steps[0]) if rows == 1 else inner[0], *inner[1:])
