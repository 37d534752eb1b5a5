"""Chunks out of shards: which are wanted, where they lie, and what goes to which file.

Each shard touched costs one request for its index; those of precomputed volumes one more for each minishard touched.
What indexes say goes to the ledger with the shard's validator, so it is asked for once: also across interruptions,
which are resumed by the shard.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Final

import numpy as np

from emasync.errors import SourceError
from emasync.formats.zarr.sharding import shard_layout
from emasync.model.grid import ChunkGrid, VoxelGrid
from emasync.model.location import Location
from emasync.model.slices import Packing
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.plan.boxes import place_name
from emasync.plan.indexes import Indexes, side_by_side
from emasync.plan.inner_chunks import InnerChunkReader
from emasync.plan.intake import Intake, Shelf
from emasync.plan.minishards import MinishardReader
from emasync.plan.select import Chosen
from emasync.plan.setbacks import nothing_there
from emasync.plan.sharded import ShardReader, Slices, WantedShard, entries, shards_at_once, wanted_shards
from emasync.sources.interface import Tree

MAX_CHUNKS: Final = 1 << 22
"""Chunks that are taken out of shards: they are sorted in memory, 3.9 million in 2.7 s and 240 MiB.

That many 64^3 chunks are a terabyte of voxels, and millions of files; whole scales are taken with their shards.
"""

MAX_SHARDS: Final = 1 << 20

PAGE_ENTRIES: Final = 20_000
"""Chunks that are admitted at once; a hundredth of a second of the ledger, and 8 MiB."""


def shard_reader(chosen: Chosen, base: Location, indexes: Indexes) -> ShardReader:
    """What finds the chunks of `chosen`, whose array lies at `base`, in their shards.

    Raises
    ------
    SourceError
        They can only be taken whole.
    """
    grid, sharding = chosen.grid, chosen.array.sharding
    if isinstance(grid, VoxelGrid) and sharding is not None:
        return MinishardReader(base=base, grid=grid, sharding=sharding, indexes=indexes)
    if grid is None:
        raise AssertionError(f"nothing is chosen of {base}")
    layout = shard_layout(chosen.array)
    return InnerChunkReader(base=base, array=chosen.array, grid=grid, layout=layout, indexes=indexes)


async def take_out_of_shards(intake: Intake, tree: Tree, chosen: Chosen, indexes: Indexes) -> None:
    """Bring the chunks of a box into the ledger, each a file of its own out of a slice of a shard.

    Parameters
    ----------
    intake : Intake
    tree : Tree
    chosen : Chosen
        Of an array with shards.
    indexes : Indexes

    Raises
    ------
    SourceError
        Too many chunks, none of them is there, or shards that can only be taken whole.
    FormatError, TransportError
        As :meth:`ShardReader.find`.
    """
    if (grid := chosen.grid) is None:
        return
    _require_few(chosen, grid)
    base = tree.base.join(chosen.array.path)
    reader = shard_reader(chosen, base, indexes)
    shelf = await _shelf(intake, base, chosen, reader.packing)
    done, found = await intake.resume_point(shelf), 0
    shards = _behind(done, await _touched(reader))
    at_once = shards_at_once(reader)
    for start in range(0, len(shards), at_once):
        some = shards[start : start + at_once]
        for slices in await side_by_side([reader.find(shard) for shard in some]):
            found += len(slices.numbers)
            await _add(intake, shelf, slices, grid)
        await intake.add(shelf, (), cursor=some[-1].name)
    if not found and done is None:
        raise nothing_there(place_name(chosen.array.path), chosen.array.path, len(grid))
    await intake.finish(shelf)


async def _touched(reader: ShardReader) -> list[WantedShard]:
    """Shards of all chunks of the reader's grid."""
    numbers = np.arange(len(reader.grid), dtype=np.uint64)
    return await asyncio.to_thread(list, wanted_shards(reader, numbers))


def _behind(done: str | None, shards: list[WantedShard]) -> list[WantedShard]:
    """Shards behind the one that an interrupted plan has come to."""
    names = [shard.name for shard in shards]
    return shards[names.index(done) + 1 :] if done in names else shards


async def _add(intake: Intake, shelf: Shelf, slices: Slices, grid: ChunkGrid) -> None:
    """Admit the chunks of one shard, in pages: a shard may hold a million."""
    rows = entries(slices, grid)
    while page := list(islice(rows, PAGE_ENTRIES)):
        await intake.add(shelf, page)


async def _shelf(intake: Intake, base: Location, chosen: Chosen, packing: Packing) -> Shelf:
    spec = TaskSetSpec(
        dataset=intake.dataset,
        asset=chosen.array.path,
        rank=chosen.rank,
        base=str(base),
        destination=intake.folder,
        slices=packing,
    )
    return await intake.open(spec)


def _require_few(chosen: Chosen, grid: ChunkGrid) -> None:
    if len(grid) > MAX_CHUNKS:
        raise SourceError(
            f"{place_name(chosen.array.path)}: the crop has {len(grid):,} chunks; at most {MAX_CHUNKS:,} are taken out "
            "of their shards. Take the whole scale (which keeps its shards), a coarser one, or a smaller box",
            location=chosen.array.path,
        )


async def take_shards(intake: Intake, tree: Tree, chosen: Chosen, indexes: Indexes, *, absent_ok: bool) -> None:
    """Bring whole shards into the ledger without listing them: those that hold chunks of a box, or all there can be.

    Parameters
    ----------
    intake : Intake
    tree : Tree
    chosen : Chosen
        Of an array whose shards are no chunks of its grid.
    indexes : Indexes
    absent_ok : bool
        Whether a 404 is a statement of absence (law 9).

    Raises
    ------
    SourceError
        Too many to be asked for one by one.
    """
    sharding = chosen.array.sharding
    if chosen.grid is None or sharding is None:
        return
    if len(chosen.grid) <= MAX_CHUNKS:
        reader = shard_reader(chosen, tree.base.join(chosen.array.path), indexes)
        names = [shard.name for shard in await _touched(reader)]
    elif 1 << sharding.shard_bits <= MAX_SHARDS:
        names = [sharding.shard_name(number) for number in range(1 << sharding.shard_bits)]
    else:
        raise SourceError(
            f"{place_name(chosen.array.path)}: 2^{sharding.shard_bits} shards cannot be asked for one by one, and "
            "listing them is refused; take a smaller box or a coarser scale",
            location=chosen.array.path,
        )
    lead = f"{chosen.array.path}/" if chosen.array.path else ""
    shelf = await intake.shelf(str(tree.base), asset=chosen.array.path, rank=chosen.rank, absent_ok=absent_ok)
    await intake.add(shelf, [ObjectEntry(key=lead + name) for name in names])
    await intake.finish(shelf)
