"""Chunks out of shards: which are wanted, where they lie, and what goes to which file.

Each shard touched costs one request for its index and one for each minishard touched. What they say goes to the
ledger with the shard's validator, so it is asked for once: also across interruptions, which are resumed by the shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from emasync.errors import ErrorKind, NotFoundError, SourceError
from emasync.formats.precomputed.placement import Numbers, chunk_ids, locate
from emasync.formats.precomputed.shard_index import MinishardIndex, minishard_span, parse_minishard_index
from emasync.formats.precomputed.sharding import Sharding
from emasync.model.digest import Span, Validator
from emasync.model.grid import VoxelGrid
from emasync.model.location import Location
from emasync.model.packing import pack_validator
from emasync.model.slices import slice_key
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.plan.boxes import place_name
from emasync.plan.intake import Intake, Shelf
from emasync.plan.select import Chosen
from emasync.plan.tools import PlanTools
from emasync.plan.verdict import decisive
from emasync.sources.interface import Tree

T = TypeVar("T")

MAX_CHUNKS = 1 << 22
"""Chunks that are taken out of shards: they are sorted in memory, 3.9 million in 2.7 s and 240 MiB.

That many 64^3 chunks are a terabyte of voxels, and millions of files; whole scales are taken with their shards.
"""

MAX_SHARDS = 1 << 20
SHARDS_AT_ONCE = 8
MINISHARDS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Chunks of one minishard.

    Attributes
    ----------
    minishard : int
    numbers, ids : ndarray of uint64
        Chunk numbers of the grid, and chunk identifiers.
    """

    minishard: int
    numbers: Numbers
    ids: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class WantedShard:
    """Chunks of one shard.

    Attributes
    ----------
    name : str
        Of its file.
    minishards : tuple of Wanted
    """

    name: str
    minishards: tuple[Wanted, ...]


def wanted_shards(grid: VoxelGrid, sharding: Sharding) -> Iterator[WantedShard]:
    """Which shards hold the chunks of `grid`, in the order of their names. Pure.

    Parameters
    ----------
    grid : VoxelGrid
        At most :data:`MAX_CHUNKS` chunks.
    sharding : Sharding
    """
    ids = _ids_of(grid)
    numbers = np.arange(len(grid), dtype=np.uint64)
    shards, minishards = locate(sharding, ids)
    order = np.lexsort((ids, minishards, shards))
    for rows in _runs(shards, order):
        parts = (Wanted(int(minishards[part[0]]), numbers[part], ids[part]) for part in _runs(minishards, rows))
        yield WantedShard(sharding.shard_name(int(shards[rows[0]])), tuple(parts))


def _ids_of(grid: VoxelGrid) -> Numbers:
    """Identifiers of all chunks, in the order of their numbers."""
    inside = np.unravel_index(np.arange(len(grid)), grid.shape)
    cells = [(axis + first).view(np.uint64) for axis, first in zip(inside, grid.start, strict=True)]
    whole = [-(-size // chunk) for size, chunk in zip(grid.size, grid.chunk, strict=True)]
    return chunk_ids(cells, whole)


def _runs(values: Numbers, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[np.ndarray]:
    """Cut `order` where the value that it leads to changes."""
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReader:
    """Reads the indexes of the shards of one scale.

    Attributes
    ----------
    tools : PlanTools
    base : Location
        Folder of the scale.
    sharding : Sharding
    tells_missing : bool
        Whether a 404 is a statement of absence (law 9).
    """

    tools: PlanTools
    base: Location
    sharding: Sharding
    tells_missing: bool

    async def find(self, shard: WantedShard, grid: VoxelGrid) -> list[ObjectEntry]:
        """Chunks of `shard` that are there, in the order of their bytes.

        Raises
        ------
        FormatError
            An index is broken.
        SourceError
            The shard changed from one request to the next.
        TransportError
            As :meth:`~emasync.transport.interface.Fetcher.read`.
        """
        index = await self._shard_index(shard)
        if index is None:
            return []
        data, validator = index
        hint = pack_validator(validator)
        entries: list[ObjectEntry] = []
        for start in range(0, len(shard.minishards), MINISHARDS_AT_ONCE):
            some = shard.minishards[start : start + MINISHARDS_AT_ONCE]
            found = await side_by_side([self._minishard(shard, data, validator, part) for part in some])
            for part, minishard in zip(some, found, strict=True):
                entries += _entries(shard.name, part, minishard, grid, hint)
        return sorted(entries)

    async def _shard_index(self, shard: WantedShard) -> tuple[bytes, Validator] | None:
        place = self.base.join(shard.name)
        try:
            answer = await self.tools.context.fetcher.read(place, span=Span(0, self.sharding.index_bytes))
        except NotFoundError:
            if self.tells_missing:
                return None
            raise
        return answer.data, answer.head.validator

    async def _minishard(
        self, shard: WantedShard, data: bytes, validator: Validator, part: Wanted
    ) -> MinishardIndex | None:
        place = self.base.join(shard.name)
        span = minishard_span(str(place), data, self.sharding, part.minishard)
        if span is None:
            return None
        answer = await self.tools.context.fetcher.read(place, span=span)
        if not answer.head.validator.same_object(validator):
            raise SourceError(
                f"{place} changed while it was read; run again", kind=ErrorKind.SOURCE_CHANGED, location=str(place)
            )
        return parse_minishard_index(str(place), answer.data, self.sharding)


def _entries(
    shard: str, part: Wanted, index: MinishardIndex | None, grid: VoxelGrid, hint: bytes | None
) -> Iterator[ObjectEntry]:
    """Give each chunk that is there its slice and its name."""
    if index is None:
        return
    there, starts, sizes = index.find(part.ids)
    numbers = part.numbers[there]
    for number, start, size in zip(numbers.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        key = slice_key(shard, Span(start, start + size))
        yield ObjectEntry(key=key, size_bytes=size, path=grid.destination(number), listed=hint)


async def side_by_side(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results of `work` (Any: what a coroutine is made of), in its order.

    Raises
    ------
    EmasyncError
        Of several errors at once, the one that decides.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(item) for item in work]
    except ExceptionGroup as failures:
        raise decisive(failures) from failures
    return [task.result() for task in tasks]


async def take_out_of_shards(
    intake: Intake, tree: Tree, chosen: Chosen, tools: PlanTools, *, tells_missing: bool
) -> None:
    """Bring the chunks of a box into the ledger, each a file of its own out of a slice of a shard.

    Parameters
    ----------
    intake : Intake
    tree : Tree
    chosen : Chosen
        Of an array with shards.
    tools : PlanTools
    tells_missing : bool
        Whether a 404 on a shard is a statement of absence (law 9).

    Raises
    ------
    SourceError
        Too many chunks, or none of them is there.
    FormatError, TransportError
        As :meth:`ShardReader.find`.
    """
    grid, sharding = chosen.grid, chosen.array.sharding
    if not isinstance(grid, VoxelGrid) or sharding is None:
        return
    _require_few(chosen, grid)
    base = tree.base.join(chosen.array.path)
    shelf = await _shelf(intake, base, chosen, sharding)
    reader = ShardReader(tools=tools, base=base, sharding=sharding, tells_missing=tells_missing)
    found, done = 0, await intake.resume_point(shelf)
    shards = [
        shard for shard in await asyncio.to_thread(list, wanted_shards(grid, sharding)) if shard.name > (done or "")
    ]
    for start in range(0, len(shards), SHARDS_AT_ONCE):
        some = shards[start : start + SHARDS_AT_ONCE]
        entries = [entry for page in await side_by_side([reader.find(shard, grid) for shard in some]) for entry in page]
        found += len(entries)
        await intake.add(shelf, entries, cursor=some[-1].name)
    if not found and done is None:
        raise _nothing_there(chosen, grid)
    await intake.finish(shelf)


async def _shelf(intake: Intake, base: Location, chosen: Chosen, sharding: Sharding) -> Shelf:
    spec = TaskSetSpec(
        dataset=intake.dataset,
        asset=chosen.array.path,
        rank=chosen.rank,
        base=str(base),
        destination=intake.folder,
        slices=sharding.data_packing,
    )
    return await intake.open(spec)


def _require_few(chosen: Chosen, grid: VoxelGrid) -> None:
    if len(grid) > MAX_CHUNKS:
        raise SourceError(
            f"{place_name(chosen.array.path)}: the crop has {len(grid):,} chunks; at most {MAX_CHUNKS:,} are taken out "
            "of their shards. Take the whole scale (which keeps its shards), a coarser one, or a smaller box",
            location=chosen.array.path,
        )


def _nothing_there(chosen: Chosen, grid: VoxelGrid) -> SourceError:
    return SourceError(
        f"{place_name(chosen.array.path)}: none of its {len(grid):,} wanted chunks is there. Publishers leave out what "
        "holds no data, as beside the specimen, but a box of nothing is more often a mistake: check the crop",
        location=chosen.array.path,
    )


async def take_shards(intake: Intake, tree: Tree, chosen: Chosen, *, absent_ok: bool) -> None:
    """Bring whole shards into the ledger without listing them: those that hold chunks of a box, or all there can be.

    Parameters
    ----------
    intake : Intake
    tree : Tree
    chosen : Chosen
        Of an array with shards.
    absent_ok : bool
        Whether a 404 is a statement of absence (law 9).

    Raises
    ------
    SourceError
        Too many to be asked for one by one.
    """
    grid, sharding = chosen.grid, chosen.array.sharding
    if not isinstance(grid, VoxelGrid) or sharding is None:
        return
    if len(grid) <= MAX_CHUNKS:
        names = [shard.name for shard in await asyncio.to_thread(list, wanted_shards(grid, sharding))]
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
