"""Writes arrays that lie in files."""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from emasync.formats.json_document import JsonObject
from emasync.formats.stored import ChunkTable
from emasync.hooks.index.found_file import FoundArray
from emasync.model.geometry import Box
from emasync.volume.index_entry import ArrayEntry, Coverage
from emasync.volume.index_writer import IndexWriter
from emasync.volume.interface import ABSENT

MAX_SOURCES: Final = 64
"""Files of an array that are named as its sources; a series has more."""

MAX_CHUNK_BYTES: Final = (1 << 32) - 1

_SPARSE_CELLS: Final = 1 << 20
_SPARSE_SHARE: Final = 2 / 3
"""A sparse row has 24 bytes, a dense one 16."""


class UnwrittenError(Exception):
    """An array that an index cannot hold; says why."""


def write_file_array(array: FoundArray, writer: IndexWriter) -> Coverage:
    """Write one array; gives what is there of it.

    Raises
    ------
    UnwrittenError
        A chunk is too long.
    OSError
        A file went away.
    """
    files = [writer.files.add(path) for path in array.files]
    if array.whole is not None:
        coverage = Coverage(chunks=1, present=1)
        places: JsonObject = {"kind": "affine", "file": files[0], "start": array.whole.start}
        places["size_bytes"] = array.whole.size_bytes
    elif array.table is not None:
        coverage, places = _table(array, array.table, files[0], writer)
    else:
        coverage = Coverage(chunks=len(files), present=len(files))
        first = writer.add_records(files, np.asarray(array.starts, np.uint64), np.full(len(files), array.size_bytes))
        places = {"kind": "pages", "first": first}
    writer.add(_entry(array, places, coverage, tuple(files[:MAX_SOURCES])))
    return coverage


def _table(array: FoundArray, table: ChunkTable, file: int, writer: IndexWriter) -> tuple[Coverage, JsonObject]:
    """Chunks of one file; those without bytes were never written, and have the fill value."""
    starts, sizes = table.starts.reshape(-1), table.sizes.reshape(-1)
    skipped = None if table.skipped is None else table.skipped.reshape(-1)
    if sizes.size and int(sizes.max()) > MAX_CHUNK_BYTES:
        raise UnwrittenError(f"{array.path or array.asset}: a chunk of {int(sizes.max())} bytes is longer than 4 GiB")
    there = sizes > 0
    present = int(np.count_nonzero(there))
    coverage = Coverage(chunks=sizes.size, present=present, absent=sizes.size - present)
    places: JsonObject = {"kind": "pages" if _is_stack(array) else "dense"}
    if sizes.size > _SPARSE_CELLS and present < sizes.size * _SPARSE_SHARE:
        places = {"kind": "sparse", "count": present, "missing": ABSENT}
        places["keys"] = writer.column("keys").append(np.flatnonzero(there).astype(np.uint64))
        starts, sizes = starts[there], sizes[there]
        skipped = None if skipped is None else skipped[there]
        there = there[there]
    places["first"] = writer.add_records(np.where(there, file, ABSENT), starts, sizes)
    if skipped is not None:
        places["skipped"] = writer.column("skipped").append(skipped)
    return coverage, places


def _is_stack(array: FoundArray) -> bool:
    """Whether chunks are planes, or strips of them: one voxel along all axes but the last of a plane, whole rows."""
    chunks, shape = array.layout.chunks, array.shape
    deepest = next((axis for axis, chunk in enumerate(chunks) if chunk > 1), len(chunks))
    return len(shape) > 1 and prod(chunks[:deepest]) == 1 and chunks[deepest + 1 :] == shape[deepest + 1 :]


def _entry(array: FoundArray, places: JsonObject, coverage: Coverage, sources: tuple[int, ...]) -> ArrayEntry:
    origin = (0,) * len(array.shape)
    return ArrayEntry(
        asset=array.asset,
        array=array.array,
        scale=array.scale,
        path=array.path,
        format=array.format,
        shape=array.shape,
        axes=array.axes,
        layout=array.layout,
        chunks=places,
        origin=origin,
        bounds=Box.from_shape(origin, array.shape),
        measures=array.measures,
        role=array.role,
        attributes=array.attributes,
        coverage=coverage,
        sources=sources,
    )
