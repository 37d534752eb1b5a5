"""Writes arrays that lie in files."""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from emasync.errors import ErrorKind, SourceError
from emasync.formats.json_document import JsonObject
from emasync.formats.stored import ChunkTable
from emasync.hooks.index.found_file import FoundArray, SliceTable
from emasync.model.geometry import Box
from emasync.volume.index_entry import ArrayEntry, Coverage, coverage_of
from emasync.volume.index_writer import IndexWriter
from emasync.volume.interface import ABSENT
from emasync.volume.states import ChunkState

MAX_SOURCES: Final = 64
"""Files of an array that are named as its sources; a series has more."""

MAX_CHUNK_BYTES: Final = (1 << 32) - 1

_SPARSE_CELLS: Final = 1 << 20
_SPARSE_SHARE: Final = 2 / 3
"""A sparse row has 24 bytes, a dense one 16."""


def write_file_array(array: FoundArray, writer: IndexWriter) -> Coverage:
    """Write one array; gives what is there of it.

    Raises
    ------
    SourceError
        ``not_built``: a chunk is longer than a record can say.
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
    elif array.slices is not None:
        coverage, places = _slices(array, array.slices, files, writer)
    else:
        raise AssertionError(f"{array.asset}: {array.path} is nowhere")
    writer.add(entry_of(array, places, coverage, tuple(files[:MAX_SOURCES])))
    return coverage


def _slices(
    array: FoundArray, slices: SliceTable, files: list[int], writer: IndexWriter
) -> tuple[Coverage, JsonObject]:
    """Chunks of a series, whose files have numbers of their own now."""
    require_short(int(slices.sizes.max(initial=0)), array.asset)
    numbers = np.where(slices.files >= 0, np.array(files)[np.maximum(slices.files, 0)], slices.files)
    first = writer.add_records(numbers, slices.starts, slices.sizes)
    counts = np.bincount(-np.minimum(slices.files, 0), minlength=len(ChunkState))
    return coverage_of(counts.tolist()), {"kind": "pages", "first": first}


def _table(array: FoundArray, table: ChunkTable, file: int, writer: IndexWriter) -> tuple[Coverage, JsonObject]:
    """Chunks of one file; those without bytes were never written, and have the fill value."""
    starts, sizes = table.starts.reshape(-1), table.sizes.reshape(-1)
    skipped = None if table.skipped is None else table.skipped.reshape(-1)
    require_short(int(sizes.max(initial=0)), f"{array.asset}: {array.path}")
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


def require_short(size_bytes: int, name: str) -> None:
    """Refuse chunks whose length a record cannot hold.

    Raises
    ------
    SourceError
        ``not_built``.
    """
    if size_bytes > MAX_CHUNK_BYTES:
        raise SourceError(
            f"{name}: a chunk of {size_bytes} bytes is longer than 4 GiB; it is not indexed, the file stays as it is",
            kind=ErrorKind.NOT_BUILT,
            location=name,
        )


def _is_stack(array: FoundArray) -> bool:
    """Whether chunks are planes, or strips of them: one voxel along all axes but the last of a plane, whole rows."""
    chunks, shape = array.layout.chunks, array.shape
    deepest = next((axis for axis, chunk in enumerate(chunks) if chunk > 1), len(chunks))
    planes = "y" in array.axes and "x" in array.axes
    return planes and prod(chunks[:deepest]) == 1 and chunks[deepest + 1 :] == shape[deepest + 1 :]


def entry_of(array: FoundArray, places: JsonObject, coverage: Coverage, sources: tuple[int, ...]) -> ArrayEntry:
    """What is written of an array that lies in files."""
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
