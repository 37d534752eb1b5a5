"""Voxels from one array into another, row by row."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from emasync.volume.cache import Voxels

LEAST_BYTES: Final = 24
"""Of a row: numpy copies shorter ones as fast by itself."""

MOST_BYTES: Final = 1 << 16
"""Of a row: longer ones cost what their bytes do."""


def put(target: Voxels, source: Voxels) -> None:
    """Copy all voxels, as ``target[...] = source`` does.

    numpy calls a function for each row of a box that is not contiguous; where a row is an item of its own, it calls
    one for each plane. Boxes of 128³ bytes take a fifth less time.

    Parameters
    ----------
    target, source : ndarray
        Of one shape, or `source` is broadcast. No objects.
    """
    size = target.itemsize
    row_bytes = target.shape[-1] * size if target.ndim > 1 else 0
    alike = LEAST_BYTES <= row_bytes <= MOST_BYTES and target.dtype == source.dtype and target.shape == source.shape
    if alike and target.strides[-1] == size == source.strides[-1]:
        rows = _rows(row_bytes)
        target, source = target.view(rows), source.view(rows)
    target[...] = source


@lru_cache(64)
def _rows(size_bytes: int) -> np.dtype[np.void]:
    return np.dtype((np.void, size_bytes))
