"""Which chunks of a partly downloaded array are here: seen along one axis, one pixel a column of chunks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import prod
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emasync.volume.interface import ABSENT, IndexedArray

MOST_CHUNKS: Final = 1 << 20
"""That are looked at; of larger grids evenly spread layers."""

AT_ONCE: Final = 1 << 16

LEAST: Final = 120
"""Pixels along the longer side."""

MOST: Final = 720
"""Pixels along a side."""

PRESENT, LEFT_OUT, MISSING = (47, 126, 216), (168, 176, 186), (217, 130, 43)
"""Colours of columns of chunks that are here, left out by the publisher, not downloaded; mixed where they mix."""


class Extent(NamedTuple):
    """Shares of the chunks of each column, rows by columns: of those looked at.

    Attributes
    ----------
    present, left_out, missing : ndarray of float
        In [0, 1]; they add up to 1.
    rows, columns : str
        Names of the axes.
    """

    present: npt.NDArray[np.float64]
    left_out: npt.NDArray[np.float64]
    missing: npt.NDArray[np.float64]
    rows: str
    columns: str


def extent_of(array: IndexedArray) -> Extent:
    """Look at the chunks of an array, along all axes but the last two of more than one chunk."""
    grid = array.grid_shape
    rows, columns = _sides(grid)
    picks = _picks(grid, rows, columns)
    lengths = tuple(map(len, picks))
    shape = (3, lengths[rows] * lengths[columns])
    counts = np.zeros(shape, np.int64)
    for start in range(0, prod(lengths), AT_ONCE):
        places = np.unravel_index(np.arange(start, min(prod(lengths), start + AT_ONCE)), lengths)
        chosen = tuple(pick[place] for pick, place in zip(picks, places, strict=True))
        files = array.chunks.find(np.ravel_multi_index(chosen, grid).astype(np.int64)).files
        kinds = np.where(files >= 0, 0, np.where(files == ABSENT, 1, 2))
        cells = kinds * shape[1] + places[rows] * lengths[columns] + places[columns]
        counts += np.bincount(cells, minlength=counts.size).reshape(shape)
    shares = counts / np.maximum(1, counts.sum(axis=0))
    present, left_out, missing = shares.reshape(3, lengths[rows], lengths[columns])
    return Extent(present, left_out, missing, array.axes[rows], array.axes[columns])


def _sides(grid: Sequence[int]) -> tuple[int, int]:
    """The last two axes along which there are several chunks; where there are not two, others for them."""
    several = [axis for axis, count in enumerate(grid) if count > 1]
    others = [axis for axis in range(len(grid)) if axis not in several]
    rows, columns = sorted([*others, *several][-2:])
    return rows, columns


def _picks(grid: Sequence[int], rows: int, columns: int) -> list[npt.NDArray[np.int64]]:
    """Places along each axis that are looked at: all, or every n-th, beside the sides of the picture first."""
    strides = [1] * len(grid)

    def lengths() -> list[int]:
        return [-(-count // stride) for count, stride in zip(grid, strides, strict=True)]

    while prod(lengths()) > MOST_CHUNKS:
        left = lengths()
        beside = [axis for axis in range(len(grid)) if axis not in (rows, columns) and left[axis] > 1]
        strides[max(beside or (rows, columns), key=lambda axis: left[axis])] *= 2
    return [np.arange(0, count, stride) for count, stride in zip(grid, strides, strict=True)]


def coverage_png(extent: Extent) -> bytes:
    """The columns of chunks as a picture."""
    from PIL import Image  # noqa: PLC0415 - an extra

    kinds = ((extent.present, PRESENT), (extent.left_out, LEFT_OUT), (extent.missing, MISSING))
    pixels = sum(share[..., np.newaxis] * np.array(colour) for share, colour in kinds)
    rows, columns = extent.present.shape
    zoom = max(1, LEAST // max(rows, columns))
    shrink = max(1.0, max(rows, columns) / MOST)
    size = max(1, round(columns * zoom / shrink)), max(1, round(rows * zoom / shrink))
    resampling = Image.Resampling.NEAREST if shrink == 1.0 else Image.Resampling.BOX
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).resize(size, resampling).save(out, format="PNG")
    return out.getvalue()
