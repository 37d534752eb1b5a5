"""Chunks in the shards of precomputed volumes: one request for a shard's index, and one for each minishard touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from emasync.formats.chunk_places import MAX_SHARD_BYTES, Numbers, require_places
from emasync.formats.precomputed.placement import chunk_ids, locate
from emasync.formats.precomputed.shard_index import minishard_span, parse_minishard_index
from emasync.formats.precomputed.sharding import Sharding
from emasync.model.digest import Span
from emasync.model.grid import VoxelGrid
from emasync.model.location import Location
from emasync.model.packing import pack_validator
from emasync.model.slices import Packing
from emasync.plan.indexes import Indexes, side_by_side
from emasync.plan.sharded import Slices, WantedShard, runs
from emasync.transport.interface import Document

MINISHARDS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MinishardReader:
    """A :class:`~emasync.plan.sharded.ShardReader`.

    Attributes
    ----------
    base : Location
        Folder of the scale.
    grid : VoxelGrid
    sharding : Sharding
    indexes : Indexes
    """

    base: Location
    grid: VoxelGrid
    sharding: Sharding
    indexes: Indexes

    @property
    def index_bytes(self) -> int:
        """Size of the index of a shard."""
        return self.sharding.index_bytes

    @property
    def packing(self) -> Packing:
        """How each chunk is packed in its shard."""
        return self.sharding.data_packing

    def shards_of(self, numbers: Numbers) -> Numbers:
        """Shard of each chunk."""
        return locate(self.sharding, self._ids(numbers))[0]

    def shard_name(self, shard: int) -> str:
        """File of a shard."""
        return self.sharding.shard_name(shard)

    def _ids(self, numbers: Numbers) -> Numbers:
        inside = np.unravel_index(numbers.astype(np.int64), self.grid.shape)
        cells = [(axis + first).view(np.uint64) for axis, first in zip(inside, self.grid.start, strict=True)]
        return chunk_ids(
            cells, [-(-size // chunk) for size, chunk in zip(self.grid.size, self.grid.chunk, strict=True)]
        )

    async def find(self, wanted: WantedShard) -> Slices:
        """Chunks that are there; none of a shard that is not there."""
        place = self.base.join(wanted.name)
        index = await self.indexes.first(place, Span(0, self.sharding.index_bytes))
        if index is None:
            return Slices.in_order(wanted.name, (), None)
        ids = self._ids(wanted.numbers)
        minishards = locate(self.sharding, ids)[1]
        found = []
        parts = runs(minishards, np.lexsort((ids, minishards)))
        for start in range(0, len(parts), MINISHARDS_AT_ONCE):
            work = (
                self._look_up(place, index, int(minishards[rows[0]]), wanted.numbers[rows], ids[rows])
                for rows in parts[start : start + MINISHARDS_AT_ONCE]
            )
            found += await side_by_side(work)
        slices = Slices.in_order(wanted.name, found, pack_validator(index.head.validator))
        room = Span(self.sharding.index_bytes, index.head.total_bytes or MAX_SHARD_BYTES)
        require_places(str(place), slices.starts, slices.sizes, room)
        return slices

    async def _look_up(
        self, place: Location, index: Document, minishard: int, numbers: Numbers, ids: Numbers
    ) -> tuple[Numbers, Numbers, Numbers]:
        """Numbers, starts and sizes of the chunks of one minishard that are there."""
        span = minishard_span(str(place), index.data, self.sharding, minishard)
        if span is None:
            return numbers[:0], numbers[:0], numbers[:0]
        data = await self.indexes.further(place, span, index.head.validator)
        there, starts, sizes = parse_minishard_index(str(place), data, self.sharding).find(ids)
        return numbers[there], starts, sizes
