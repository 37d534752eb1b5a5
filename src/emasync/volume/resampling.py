"""Blocks at a voxel size that nobody published: sampled from the next finer level. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.model.geometry import Box
from emasync.volume.cache import Voxels

Samples = npt.NDArray[np.float64]
"""Where voxels are taken from along one axis, in voxels of the level; whole numbers are voxel centres."""

MOST_VOXELS: Final = 1 << 26
"""Of the level at one time: what a coarse block of a fine level takes of memory."""

_NOISE: Final = 1e-6  # voxels; published sizes and offsets carry float noise


def samples(center_nm: float, count: int, step_nm: float, size_nm: float, translation_nm: float) -> Samples:
    """Where the voxels of a block lie along one axis.

    Parameters
    ----------
    center_nm : float
        World position of the block's centre.
    count : int
        Voxels of the block.
    step_nm : float
        Their size.
    size_nm : float
        Of the level's voxels.
    translation_nm : float
        World position of the centre of the level's voxel 0.
    """
    at = (center_nm - translation_nm + (np.arange(count) - (count - 1) / 2) * step_nm) / size_nm
    whole = np.rint(at)
    return np.where(np.abs(at - whole) < _NOISE, whole, at)


def nearest(at: Samples) -> Samples:
    """The nearest voxels; halves go up."""
    return np.floor(at + 0.5)


def hull(axes: Sequence[Samples]) -> Box:
    """Voxels of the level that samples are made of."""
    return Box(tuple(floor(at.min()) for at in axes), tuple(ceil(at.max()) + 1 for at in axes))


def tiles(axes: Sequence[Samples], most: int = MOST_VOXELS) -> Iterator[tuple[slice, ...]]:
    """Cut a block so that no part of it needs more than `most` voxels of the level (or is one voxel itself)."""
    yield from _tiles(axes, tuple(slice(0, len(at)) for at in axes), most)


def _tiles(axes: Sequence[Samples], part: tuple[slice, ...], most: int) -> Iterator[tuple[slice, ...]]:
    extents = hull([at[along] for at, along in zip(axes, part, strict=True)]).shape
    longest = max(range(len(part)), key=lambda axis: extents[axis] if _count(part[axis]) > 1 else 0, default=0)
    if prod(extents) <= most or _count(part[longest]) == 1:
        yield part
        return
    low, high = part[longest].start, part[longest].stop
    for start, stop in ((low, (low + high) // 2), ((low + high) // 2, high)):
        yield from _tiles(axes, (*part[:longest], slice(start, stop), *part[longest + 1 :]), most)


def _count(part: slice) -> int:
    return int(part.stop - part.start)


def interpolated(block: Voxels, axes: Sequence[Samples], dtype: np.dtype[Any]) -> Voxels:
    """Voxels at samples, linear along each axis.

    Parameters
    ----------
    block : ndarray
        Voxels of the level; further axes (channels) stay as they are.
    axes : sequence of ndarray
        Samples, counted from the first voxel of `block`.
    dtype : numpy.dtype
        Of the answer: integers are rounded, halves to even.
    """
    for axis, at in enumerate(axes):
        low = np.floor(at).astype(np.int64)
        weight = at - low
        lower = np.take(block, low, axis=axis)
        if not weight.any():
            block = lower
            continue
        work = np.result_type(block.dtype, np.float32)  # float64 where float32 does not hold all integers
        weights = weight.astype(work).reshape([-1 if own == axis else 1 for own in range(block.ndim)])
        upper = np.take(block, np.minimum(low + 1, block.shape[axis] - 1), axis=axis)
        block = lower + weights * (upper.astype(work) - lower)
    if dtype.kind in "iub":
        block = np.rint(block)
    return block.astype(dtype, copy=False)
