"""What is in each chunk: least, most and mean value, and how much of it is zero. Made when asked for: it reads all.

Kept beside the columns of a generation, in two files that come at once: ``stats.npy``, a row a chunk, and
``stats.json``, which says where the rows of each array begin.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.disk.faults import translate
from emasync.errors import EmasyncError
from emasync.formats.chunks import ChunkDecoder
from emasync.formats.decoding import decoder_for
from emasync.volume.index import DatasetIndex
from emasync.volume.index_columns import COLUMNS, ColumnWriter
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.index_writer import MAX_NOTES
from emasync.volume.interface import ABSENT, ChunkPlaces, FileReader, IndexedArray, Numbers

STATS: Final = "stats"
TABLE: Final = "stats.json"

NUMBERS_AT_ONCE: Final = 4096
"""Chunks that are looked up together."""

PIECE_BYTES: Final = 4 << 20
"""Of a chunk without codecs, which may be a whole file."""

_NUMBERS: Final = "biuf"
"""Kinds of types that have an order; complex numbers have no least."""

Stats = npt.NDArray[np.void]
"""Rows of ``min``, ``max``, ``mean`` and ``zeros`` (a fraction); NaN where a chunk is not here, or holds no number."""

Row = tuple[float, float, float, float]

_NOTHING: Final[Row] = (np.nan, np.nan, np.nan, np.nan)


def chunk_stats(index: DatasetIndex, entry: ArrayEntry) -> Stats | None:
    """Rows of one array by chunk number; None where nobody asked for them."""
    try:
        table = json.loads((index.columns.folder / TABLE).read_bytes())
        first = table.get(_name(entry))
    except (OSError, ValueError, AttributeError):
        return None
    rows = entry.coverage.chunks
    return None if first is None else index.columns.get(STATS)[first : first + rows]


def write_stats(index: DatasetIndex, files: FileReader) -> list[str]:
    """Read every chunk of images and labels, and write what is in them.

    Parameters
    ----------
    index : DatasetIndex
    files : FileReader

    Returns
    -------
    list of str
        What cannot be read, and why; 1,000 at most.

    Raises
    ------
    MachineError
        Disk full, no permission.
    """
    folder = index.columns.folder
    temporary = folder / f".{STATS}.{os.getpid()}.npy"
    firsts: dict[str, int] = {}
    notes: list[str] = []
    try:
        column = ColumnWriter(temporary, COLUMNS[STATS])
        try:
            for entry in filter(_has_order, index.entries()):
                firsts[_name(entry)] = column.rows
                _array(index.indexed(entry), files, column, notes)
            column.close()
        finally:
            column.abandon()
        _put(folder, temporary, firsts, rows=column.rows)
    except OSError as error:
        raise translate(error, "write", str(folder)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return notes[:MAX_NOTES]


def _has_order(entry: ArrayEntry) -> bool:
    return entry.role in ("image", "labels") and np.dtype(entry.layout.dtype).kind in _NUMBERS


def _put(folder: Path, temporary: Path, firsts: dict[str, int], *, rows: int) -> None:
    """The table goes first and comes last: no row is ever looked up in another column."""
    (folder / TABLE).unlink(missing_ok=True)
    if rows:
        temporary.replace(folder / f"{STATS}.npy")
        table = folder / f".{TABLE}.{os.getpid()}"
        table.write_text(json.dumps(firsts))
        table.replace(folder / TABLE)


def _name(entry: ArrayEntry) -> str:
    return json.dumps([entry.asset, entry.path, entry.scale])


def _array(array: IndexedArray, files: FileReader, column: ColumnWriter, notes: list[str]) -> None:
    """Rows of all chunks, in the order of their numbers."""
    chunks = int(np.prod(array.grid_shape, dtype=np.int64))
    try:
        reader = _Chunks(array, decoder_for(array.layout), files)
    except EmasyncError as error:
        notes.append(f"{array.asset}: {array.path}: {error.message}")
        column.append(np.full(chunks, np.array(_NOTHING, COLUMNS[STATS])))
        return
    for start in range(0, chunks, NUMBERS_AT_ONCE):
        numbers = np.arange(start, min(start + NUMBERS_AT_ONCE, chunks))
        column.append(np.array(list(reader.rows(numbers, notes)), COLUMNS[STATS]))


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Reads chunks of one array."""

    array: IndexedArray
    decoder: ChunkDecoder
    files: FileReader

    def rows(self, numbers: Numbers, notes: list[str]) -> Iterator[Row]:
        """One row a chunk."""
        places = self.array.chunks.find(numbers)
        for row, number in enumerate(numbers.tolist()):
            try:
                yield self._row(number, places, row)
            except EmasyncError as error:
                notes.append(error.message)
                yield _NOTHING

    def _row(self, number: int, places: ChunkPlaces, row: int) -> Row:
        layout, file = self.array.layout, int(places.files[row])
        if file == ABSENT:
            fill = layout.fill_value
            return summary([np.array([fill if isinstance(fill, int | float) else 0])])
        if file < 0:
            return _NOTHING
        path, start, size = self.array.chunks.path(file), int(places.starts[row]), int(places.sizes[row])
        if not layout.codecs and size > PIECE_BYTES and layout.chunks == self.array.shape:
            return summary(_pieces(self.files, path, start, size, np.dtype(layout.dtype)))
        skipped = 0 if places.skipped is None else int(places.skipped[row])
        cell = np.unravel_index(number, self.array.grid_shape)
        spans = zip(cell, layout.chunks, self.array.shape, strict=True)
        shape = [min(part, whole - int(at) * part) for at, part, whole in spans]
        voxels = self.decoder.decode(path, self.files.read(path, start, size), shape, skipped=skipped)
        return summary([voxels[tuple(slice(0, length) for length in shape)]])


def _pieces(
    files: FileReader, path: str, start: int, size_bytes: int, dtype: np.dtype[Any]
) -> Iterator[npt.NDArray[Any]]:
    """Voxels of one long piece without codecs, some at a time."""
    step = PIECE_BYTES // dtype.itemsize * dtype.itemsize
    for at in range(0, size_bytes, step):
        yield np.frombuffer(files.read(path, start + at, min(step, size_bytes - at)), dtype)


def summary(pieces: Iterator[npt.NDArray[Any]] | list[npt.NDArray[Any]]) -> Row:
    """Least, most and mean of all voxels that are numbers, and the fraction of them that is zero."""
    least, most, total, zeros, count = np.inf, -np.inf, 0.0, 0, 0
    for piece in pieces:
        known = piece[~np.isnan(piece)] if piece.dtype.kind == "f" else piece
        if known.size:
            least, most = min(least, float(known.min())), max(most, float(known.max()))
            total += float(known.sum(dtype=np.float64))
            zeros += known.size - int(np.count_nonzero(known))
            count += known.size
    return (least, most, total / count, zeros / count) if count else _NOTHING
