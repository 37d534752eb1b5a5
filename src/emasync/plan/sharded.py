"""Chunks that lie in shards: values, and what a reader of shards can do. One shape for all formats that have shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from emasync.formats.chunk_places import Numbers
from emasync.model.digest import Span
from emasync.model.grid import ChunkGrid
from emasync.model.slices import Packing, slice_key
from emasync.model.task import ObjectEntry

SHARDS_AT_ONCE: Final = 8

INDEXES_BYTES: Final = 32 << 20
"""Of indexes of shards at the same time; each takes about four times its size while it is checked."""


@dataclass(frozen=True, slots=True, eq=False)
class WantedShard:
    """Chunks that are wanted of one shard.

    Attributes
    ----------
    name : str
        Of its object, relative to the reader's base.
    numbers : ndarray of uint64
        Of the chunks in the reader's grid, rising.
    """

    name: str
    numbers: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Chunks of one shard that are there, in the order of their bytes.

    Attributes
    ----------
    shard : str
        As :attr:`WantedShard.name`.
    numbers : ndarray of uint64
        Of the chunks.
    starts, sizes : ndarray of uint64
        Bytes from the beginning of the shard, and length.
    validator : bytes or None
        Of the shard whose index told so, packed.
    """

    shard: str
    numbers: Numbers
    starts: Numbers
    sizes: Numbers
    validator: bytes | None

    @classmethod
    def in_order(cls, shard: str, found: Sequence[tuple[Numbers, Numbers, Numbers]], validator: bytes | None) -> Slices:
        """Put what the parts of an index gave (numbers, starts, sizes) in the order of their bytes."""
        empty = np.empty(0, dtype=np.uint64)
        columns = [np.concatenate([empty, *(part[column] for part in found)]) for column in range(3)]
        order = np.argsort(columns[1], kind="stable")
        numbers, starts, sizes = (column[order] for column in columns)
        return cls(shard, numbers, starts, sizes, validator)

    def rows(self) -> Iterator[tuple[int, Span]]:
        """Number and place of each chunk."""
        for number, start, size in zip(self.numbers.tolist(), self.starts.tolist(), self.sizes.tolist(), strict=True):
            yield number, Span(start, start + size)


class ShardReader(Protocol):
    """Finds the chunks of one array in its shards."""

    @property
    def grid(self) -> ChunkGrid:
        """The chunks that may be asked for; their numbers are those of this grid."""
        ...

    @property
    def index_bytes(self) -> int:
        """Size of the index of a shard."""
        ...

    @property
    def packing(self) -> Packing:
        """How each chunk is packed in its shard."""
        ...

    def shards_of(self, numbers: Numbers) -> Numbers:
        """Shard of each chunk. Pure."""
        ...

    def shard_name(self, shard: int) -> str:
        """Object of a shard, relative to the base of the array."""
        ...

    async def find(self, wanted: WantedShard) -> Slices:
        """Chunks that are there; none of a shard that is not there.

        Raises
        ------
        FormatError
            An index lies.
        SourceError
            The shard changed from one request to the next.
        TransportError
            As :meth:`~emasync.transport.interface.Fetcher.read`.
        """
        ...


def shards_at_once(reader: ShardReader) -> int:
    """How many shards may be looked at side by side."""
    return max(1, min(SHARDS_AT_ONCE, INDEXES_BYTES // reader.index_bytes))


def wanted_shards(reader: ShardReader, numbers: Numbers) -> Iterator[WantedShard]:
    """Which shards hold the chunks called `numbers`, in the order of the shards. Pure."""
    shards = reader.shards_of(numbers)
    for rows in runs(shards, np.argsort(shards, kind="stable")):
        yield WantedShard(reader.shard_name(int(shards[rows[0]])), numbers[rows])


def runs(values: Numbers, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[np.ndarray]:
    """Cut `order` where the value that it leads to changes."""
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def entries(found: Slices, grid: ChunkGrid) -> Iterator[ObjectEntry]:
    """Give each chunk that is there its slice and its name."""
    for number, span in found.rows():
        yield ObjectEntry(
            key=slice_key(found.shard, span),
            size_bytes=span.size_bytes,
            path=grid.destination(number),
            listed=found.validator,
        )
