"""Writes arrays whose chunks lie in shards: the index of each shard is read once, and a record kept of every chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.errors import EmasyncError, ErrorKind, SourceError
from emasync.formats.paths import join
from emasync.formats.precomputed.placement import chunk_ids, locate
from emasync.formats.precomputed.shard_file import shard_chunks
from emasync.formats.zarr.shard_file import inner_places
from emasync.formats.zarr.sharding import shard_layout
from emasync.hooks.index.file_writer import require_short
from emasync.hooks.index.tree_writer import Memory, tree_entry
from emasync.hooks.index.trees import TreeArray
from emasync.hooks.local import LocalTree
from emasync.volume.index_entry import Coverage, coverage_of
from emasync.volume.index_writer import IndexWriter
from emasync.volume.states import ChunkState

MAX_CELLS: Final = 1 << 27
"""Chunks of an array that get a record each: 2 GiB on disk, of which memory holds a part."""

_CELLS_AT_ONCE: Final = 1 << 20

_SHARD: Final = ".shard"

Records = npt.NDArray[Any]
"""Of :data:`~emasync.volume.index_columns.RECORD`."""


@dataclass(frozen=True, slots=True)
class ShardRoom:
    """What is needed to write one sharded array.

    Attributes
    ----------
    array : TreeArray
    tree : LocalTree
        The root.
    memory : Memory
    writer : IndexWriter
    notes : list of str
        Grows.
    """

    array: TreeArray
    tree: LocalTree
    memory: Memory
    writer: IndexWriter
    notes: list[str]

    @property
    def cells(self) -> tuple[int, ...]:
        """Chunks on each axis."""
        return tuple(-(-size // part) for size, part in zip(self.array.shape, self.array.layout.chunks, strict=True))

    def damaged(self, error: EmasyncError) -> None:
        """Say that a shard cannot be read; its chunks are unknown."""
        self.notes.append(error.message)


def write_sharded(room: ShardRoom) -> Coverage:
    """Write one array; gives what is there of it.

    Raises
    ------
    SourceError
        Its shards can only be read whole; ``not_built``: it has more chunks than an index holds.
    """
    cells = prod(room.cells)
    if cells > MAX_CELLS:
        raise SourceError(
            f"{room.array.place}: {cells} chunks in shards; at most {MAX_CELLS} are indexed", kind=ErrorKind.NOT_BUILT
        )
    column = room.writer.column("records")
    first, records = column.rows, column.room(cells) if cells else np.empty(0)
    if cells:
        if room.array.description.sharding is None:
            _zarr(room, records.reshape(room.cells))
        else:
            _precomputed(room, records)
    coverage = coverage_of(_counts(records)) if cells else Coverage(chunks=0)
    room.writer.add(tree_entry(room.array, {"kind": "dense", "first": first}, coverage, room.writer))
    return coverage


def _counts(records: Records) -> list[int]:
    counts = np.zeros(len(ChunkState), np.int64)
    for start in range(0, len(records), _CELLS_AT_ONCE):
        files = records["file"][start : start + _CELLS_AT_ONCE]
        counts += np.bincount(-np.minimum(files, 0), minlength=len(ChunkState))
    found: list[int] = counts.tolist()
    return found


def _fill(records: Records, file: npt.ArrayLike, starts: npt.ArrayLike = 0, sizes: npt.ArrayLike = 0) -> None:
    records["file"], records["start"], records["size"] = file, starts, sizes


# --- shards that are named by their place ----------------------------------------------------------------------------


def _zarr(room: ShardRoom, records: Records) -> None:
    """Shard by shard: what a shard's index leaves out was never written, what has no shard stands as the shard does."""
    layout = shard_layout(room.array.description)
    grid, per_shard = room.array.grid, layout.per_shard
    if grid is None:
        return
    for number, state in enumerate(_shard_states(room)):
        corner = grid.coordinates(number)
        box = records[tuple(slice(at * size, (at + 1) * size) for at, size in zip(corner, per_shard, strict=True))]
        path = join(room.array.folder, grid.destination(number))
        shard = room.tree.file(path) if state in (ChunkState.PRESENT, ChunkState.UNKNOWN) else None
        if shard is None:
            _fill(box, -int(ChunkState.UNKNOWN if state is ChunkState.PRESENT else state))
            continue
        try:
            table = inner_places(shard, layout)
        except EmasyncError as error:
            room.damaged(error)
            _fill(box, -int(ChunkState.UNKNOWN))
            continue
        inside = tuple(slice(0, size) for size in box.shape)
        starts, sizes = table.starts[inside], table.sizes[inside]
        require_short(int(sizes.max(initial=0)), path)
        _fill(box, np.where(sizes > 0, room.writer.files.add(path), -int(ChunkState.ABSENT)), starts, sizes)


def _shard_states(room: ShardRoom) -> Iterator[ChunkState]:
    """State of each shard, in the order of their numbers; unknown ones are looked for."""
    grid = room.array.grid
    if grid is None:
        return
    if not room.memory.view.known:
        yield from (ChunkState.UNKNOWN for _ in range(len(grid)))
        return
    for block in room.memory.states(room.array, grid, None)[0]:
        yield from map(ChunkState, block.tolist())


# --- shards that are named by what is in them -------------------------------------------------------------------------


def _precomputed(room: ShardRoom, records: Records) -> None:
    """What the shards that are here tell, then how the others stand: what a shard leaves out was never written."""
    there = [name for name in room.tree.names(room.array.place).objects if name.endswith(_SHARD)]
    waiting = {path.rpartition("/")[2] for path in room.memory.waiting.get(room.array.place, ())}
    known = dict.fromkeys(waiting, ChunkState.NOT_DOWNLOADED) | dict.fromkeys(there, ChunkState.ABSENT)
    damaged = [name for name in there if not _precomputed_shard(room, records, join(room.array.place, name))]
    known |= dict.fromkeys(damaged, ChunkState.UNKNOWN)
    missing = _missing_state(room)
    for start in range(0, len(records), _CELLS_AT_ONCE):
        part = records[start : start + _CELLS_AT_ONCE]
        untold = part["size"] == 0  # no chunk that a shard tells of has no bytes
        part["file"][untold] = _marks(room, start + np.flatnonzero(untold), known, missing)


def _missing_state(room: ShardRoom) -> ChunkState:
    if not room.memory.view.known:
        return ChunkState.UNKNOWN
    says_all = room.memory.view.says_all(room.array, chosen=room.array.chosen)
    globs = room.memory.facts.include or room.memory.facts.exclude
    return ChunkState.ABSENT if says_all and (room.array.chosen or not globs) else ChunkState.NOT_DOWNLOADED


def _marks(
    room: ShardRoom, numbers: npt.NDArray[np.int64], known: Mapping[str, ChunkState], missing: ChunkState
) -> npt.NDArray[np.int32]:
    """Marks of chunks that no shard tells of, by the shard that each of them would lie in."""
    sharding = room.array.description.sharding
    if sharding is None:
        raise AssertionError(f"{room.array.place} has no shards")
    cells = np.unravel_index(numbers, room.cells)[-3:]
    moved = [(cell + at).astype(np.uint64) for cell, at in zip(cells, room.array.start[-3:], strict=True)]
    ids = chunk_ids(moved, room.array.description.grid_shape[-3:])
    shards, inverse = np.unique(locate(sharding, ids)[0], return_inverse=True)
    marks = [-int(known.get(sharding.shard_name(int(shard)), missing)) for shard in shards]
    return np.array(marks, np.int32)[inverse.reshape(-1)]


def _precomputed_shard(room: ShardRoom, records: Records, path: str) -> bool:
    """Write what a shard tells; False where it cannot be read."""
    description, shard = room.array.description, room.tree.file(path)
    if shard is None or description.sharding is None:
        return False
    full = description.grid_shape[-3:]
    try:
        found = shard_chunks(shard, description.sharding, full)
    except EmasyncError as error:
        room.damaged(error)
        return False
    require_short(int(found.sizes.max(initial=0)), path)
    cells = np.stack(np.unravel_index(found.numbers, full)) - np.array(room.array.start[-3:])[:, None]
    inside = ((cells >= 0) & (cells < np.array(room.cells[-3:])[:, None])).all(axis=0)
    numbers = np.ravel_multi_index(tuple(cells[:, inside]), room.cells[-3:])
    places = np.empty(len(numbers), records.dtype)
    _fill(places, room.writer.files.add(path), found.starts[inside], found.sizes[inside])
    records[numbers] = places
    return True
