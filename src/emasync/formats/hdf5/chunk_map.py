"""Places of a dataset's chunks, in one pass over its index.

``H5Dchunk_iter`` goes once through the index; asking for the n-th chunk goes through it each time (283 s against 0.06 s
for 60,000 chunks), so that nothing here asks by number.
"""

from __future__ import annotations

from array import array
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from emasync.errors import FormatError
from emasync.formats.stored import ChunkTable
from emasync.model.task import escape_for_log

if TYPE_CHECKING:
    from h5py import h5d

Numbers = npt.NDArray[np.uint64]

MAX_CELLS: Final = 1 << 26
"""Chunks of a grid; a table of them takes 1.3 GB."""

SMALL_CELLS: Final = 1 << 20
MAX_CELLS_PER_CHUNK: Final = 64
"""Larger grids than :data:`SMALL_CELLS` have one written chunk in as many cells, or are not listed: a table of a file
of some kilobytes must not take a gigabyte."""

_ROWS: Final = 1 << 16
"""Chunks that are looked at together."""


def chunk_grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks along each axis."""
    return tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))


def why_unlisted(dataset: h5d.DatasetID, grid: tuple[int, ...]) -> str:
    """Why a dataset's chunks are not put into a table; empty when they are."""
    cells = prod(grid)
    if cells > MAX_CELLS:
        return f"{cells} chunks are more than {MAX_CELLS}"
    if cells > SMALL_CELLS and cells > MAX_CELLS_PER_CHUNK * (written := dataset.get_num_chunks()):
        return f"{written} of {cells} chunks were written: too few for a table"
    return ""


def chunk_table(
    dataset: h5d.DatasetID, grid: tuple[int, ...], chunks: tuple[int, ...], *, name: str, size_bytes: int
) -> ChunkTable:
    """Where the chunks of a dataset are.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
    grid, chunks : tuple of int
        Chunks along each axis, and voxels of one.
    name : str
        Of file and dataset, for messages.
    size_bytes : int
        Of the file.

    Raises
    ------
    FormatError
        A chunk is not inside of the file.
    """
    table = _Table(grid, chunks, name, size_bytes)
    rows = array("Q")
    extend, full = rows.extend, _ROWS * table.columns

    def add(chunk: h5d.StoreInfo) -> None:
        extend(chunk[0] + chunk[1:])
        if len(rows) >= full:
            table.add(np.array(rows, np.uint64))
            del rows[:]

    dataset.chunk_iter(add)
    table.add(np.array(rows, np.uint64))
    return table.finished()


class _Table:
    """Fills a table; rows are the chunk's first voxel, its filter mask, its place and its length."""

    def __init__(self, grid: tuple[int, ...], chunks: tuple[int, ...], name: str, size_bytes: int) -> None:
        self.columns = len(grid) + 3
        self._grid = grid
        self._chunks = np.array(chunks, np.uint64)
        self._name = name
        self._size_bytes = np.uint64(size_bytes)
        self._starts = np.zeros(grid, np.uint64)
        self._sizes = np.zeros(grid, np.uint64)
        self._skipped = np.zeros(grid, np.uint32)

    def add(self, values: Numbers) -> None:
        rows = values.reshape(-1, self.columns)
        self._require_inside(rows[:, -2], rows[:, -1])
        cells = rows[:, :-3] // self._chunks
        inside = (cells < np.array(self._grid, np.uint64)).all(axis=1)  # room for growth may be allocated beyond
        at = tuple(cells[inside].T.astype(np.intp))
        self._skipped[at], self._starts[at], self._sizes[at] = rows[inside, -3:].T

    def _require_inside(self, starts: Numbers, sizes: Numbers) -> None:
        # a sum may wrap: lengths are compared with what is left of the file
        beyond = (starts > self._size_bytes) | (sizes > self._size_bytes - np.minimum(starts, self._size_bytes))
        if beyond.any():
            row = int(np.flatnonzero(beyond)[0])
            raise FormatError(
                f"{escape_for_log(self._name)}: a chunk of {sizes[row]} bytes lies at byte {starts[row]}, the file "
                f"ends at byte {self._size_bytes}: it is damaged, or cut short",
                location=self._name,
            )

    def finished(self) -> ChunkTable:
        return ChunkTable(
            starts=self._starts, sizes=self._sizes, skipped=self._skipped if self._skipped.any() else None
        )
