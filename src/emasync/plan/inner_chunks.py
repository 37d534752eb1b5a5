"""Inner chunks of sharded Zarr arrays: one request for the index of each shard touched."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import numpy as np

from emasync.formats.chunk_grids import grid_between
from emasync.formats.chunk_places import Numbers
from emasync.formats.interface import ArrayDescription
from emasync.formats.zarr.shard_index import ShardIndex, parse_shard_index
from emasync.formats.zarr.sharding import ShardLayout
from emasync.model.digest import Span, Tail
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location
from emasync.model.packing import pack_validator
from emasync.model.slices import Packing
from emasync.plan.indexes import Indexes
from emasync.plan.sharded import Slices, WantedShard


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerChunkReader:
    """A :class:`~emasync.plan.sharded.ShardReader`.

    Attributes
    ----------
    base : Location
        Folder of the array.
    array : ArrayDescription
    grid : ChunkGrid
        Of inner chunks.
    layout : ShardLayout
    indexes : Indexes
    """

    base: Location
    array: ArrayDescription
    grid: ChunkGrid
    layout: ShardLayout
    indexes: Indexes

    @property
    def index_bytes(self) -> int:
        """Size of the index of a shard."""
        return self.layout.index_bytes

    @property
    def packing(self) -> Packing:
        """Inner chunks are kept as they are."""
        return "raw"

    def shards_of(self, numbers: Numbers) -> Numbers:
        """Shard of each chunk: its number among those of the array."""
        rest, shards, stride = numbers, np.zeros_like(numbers), 1
        for axis in reversed(range(len(self.grid.shape))):
            rest, inside = np.divmod(rest, np.uint64(self.grid.shape[axis]))
            at = (inside + np.uint64(self.grid.start[axis])) // np.uint64(self.layout.per_shard[axis])
            shards += at * np.uint64(stride)
            stride *= self.array.grid_shape[axis]
        return shards

    def shard_name(self, shard: int) -> str:
        """Key of a shard."""
        return self._shards.key(shard)

    @property
    def _shards(self) -> ChunkGrid:
        return replace(grid_between(self.array, (0,) * len(self.array.shape), self.array.grid_shape), prefix="")

    async def find(self, wanted: WantedShard) -> Slices:
        """Inner chunks that are there; none of a shard that is not there."""
        place = self.base.join(wanted.name)
        span = Span(0, self.index_bytes) if self.layout.location == "start" else Tail(self.index_bytes)
        answer = await self.indexes.first(place, span)
        if answer is None:
            return Slices.in_order(wanted.name, (), None)
        head = answer.head
        index = await asyncio.to_thread(parse_shard_index, str(place), answer.data, self.layout, head.total_bytes)
        return Slices.in_order(wanted.name, [self._look_up(index, wanted.numbers)], pack_validator(head.validator))

    def _look_up(self, index: ShardIndex, numbers: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        inside = np.unravel_index(numbers.astype(np.int64), self.grid.shape)
        cells = [
            (at + first) % count
            for at, first, count in zip(inside, self.grid.start, self.layout.per_shard, strict=True)
        ]
        there, starts, sizes = index.find(cells)
        return numbers[there], starts, sizes
