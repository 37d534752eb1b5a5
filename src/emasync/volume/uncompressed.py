"""Parts of uncompressed chunks: only the bytes between the first and the last voxel that is wanted."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from emasync.formats.chunks import ChunkLayout
from emasync.volume.cache import Voxels


def is_uncompressed(layout: ChunkLayout) -> bool:
    """Whether voxels of a chunk follow each other in C order, without anything before them."""
    return not layout.codecs and layout.edges != "own"


class Patch(NamedTuple):
    """A box of voxels inside of an uncompressed chunk.

    Attributes
    ----------
    shape : tuple of int
        Voxels.
    strides : tuple of int
        Bytes from one voxel to the next, on each axis.
    first : int
        Byte of its first voxel in the chunk.
    span : int
        Bytes from there to the end of its last voxel.
    dense : int
        Bytes of its voxels alone.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int
    span: int
    dense: int

    def view(self, data: bytes | memoryview | mmap.mmap, offset: int, dtype: np.dtype[np.generic]) -> Voxels:
        """The voxels where they are: `data` holds the patch from byte `offset` on."""
        return np.ndarray(self.shape, dtype, data, offset, self.strides)


def patch_of(stored: Sequence[int], source: Sequence[slice], itemsize: int) -> Patch:
    """Where a box of a chunk lies in its bytes.

    Parameters
    ----------
    stored : sequence of int
        Shape of the chunk as stored.
    source : sequence of slice
        The box; not empty.
    itemsize : int
        Bytes of a voxel.
    """
    shape = tuple(part.stop - part.start for part in source)
    strides = tuple(itemsize * prod(stored[axis + 1 :]) for axis in range(len(stored)))
    first = sum(part.start * stride for part, stride in zip(source, strides, strict=True))
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    return Patch(shape, strides, first, last + itemsize, prod(shape) * itemsize)
