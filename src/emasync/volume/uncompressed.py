"""Parts of uncompressed chunks: only the bytes between the first and the last voxel that is wanted."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from emasync.formats.chunks import ChunkLayout
from emasync.volume.absence import inside_of
from emasync.volume.cache import Voxels
from emasync.volume.interface import IndexedArray


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


def stored_strides(array: IndexedArray, number: int) -> tuple[int, ...]:
    """Bytes from one voxel of an uncompressed chunk to the next, on each axis.

    Parameters
    ----------
    array : IndexedArray
    number : int
        Of the chunk: at a far edge it may be stored smaller than the others are.
    """
    stored = array.layout.chunks if array.layout.edges == "full" else inside_of(number, array)
    itemsize = np.dtype(array.layout.dtype).itemsize
    return tuple(itemsize * prod(stored[axis + 1 :]) for axis in range(len(stored)))


def patch_of(source: Sequence[slice], strides: tuple[int, ...], itemsize: int) -> Patch:
    """Where a box of a chunk lies in its bytes.

    Parameters
    ----------
    source : sequence of slice
        The box; not empty.
    strides : tuple of int
        Of the chunk, bytes.
    itemsize : int
        Bytes of a voxel.
    """
    first, span, dense = 0, itemsize, itemsize
    shape = []
    for part, stride in zip(source, strides, strict=True):
        size = part.stop - part.start
        first += part.start * stride
        span += (size - 1) * stride
        dense *= size
        shape.append(size)
    return Patch(tuple(shape), strides, first, span, dense)
