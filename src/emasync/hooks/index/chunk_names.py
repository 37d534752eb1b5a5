"""Names of many chunks → their numbers: the inverse of a grid's formula, thirty times as fast as one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.model.grid import ChunkGrid, VoxelGrid

NO_CHUNK: Final = -1

_TENS: Final = 10 ** np.arange(1, 19, dtype=np.int64)
"""A number has one digit more than there are of these up to it."""


def numbers_at(grid: ChunkGrid, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Numbers of the chunks that go to these destinations; :data:`NO_CHUNK` for any other.

    As :meth:`~emasync.model.grid.ChunkGrid.number_at` says of each.

    Parameters
    ----------
    grid : ChunkGrid
    names : sequence of str
    """
    cells = None if isinstance(grid, VoxelGrid) or not grid.shape else _cells(grid, names)
    if cells is None:
        found = (grid.number_at(name) for name in names)
        return np.array([NO_CHUNK if number is None else number for number in found], np.int64)
    if not grid.rebase:
        cells = cells - np.array(grid.start)
    inside: npt.NDArray[np.bool_] = np.all((cells >= 0) & (cells < np.array(grid.shape)), axis=1)
    strides = np.cumprod([1, *grid.shape[:0:-1]], dtype=np.int64)[::-1]
    return np.where(inside, np.where(inside[:, None], cells, 0) @ strides, NO_CHUNK)


def _cells(grid: ChunkGrid, names: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """Coordinates that names tell; None where one of them is not made of as many plain numbers as there are axes."""
    lead = grid.prefix + (f"c{grid.separator}" if grid.encoding == "default" else "")
    if not all(name.startswith(lead) for name in names):
        return None
    told = [name[len(lead) :] for name in names]
    gaps = len(grid.shape) - 1
    joined = grid.separator.join(told)
    digits = joined.replace(grid.separator, "")
    if not (digits.isascii() and digits.isdigit()) or any(text.count(grid.separator) != gaps for text in told):
        return None
    values = np.fromstring(joined, np.int64, sep=grid.separator)
    # a number that is written with leading zeros, or has more than 18 digits, has others than there are
    if len(values) != len(told) * len(grid.shape) or int(_digits(values).sum()) != len(digits):
        return None
    cells = values.reshape(len(told), -1)
    return cells[:, ::-1] if grid.encoding == "n5" else cells


def _digits(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.searchsorted(_TENS, values, side="right") + 1
