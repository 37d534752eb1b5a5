"""Where chunks lie in a shard that is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emasync.formats.chunk_places import Numbers, broken_shard
from emasync.formats.precomputed.placement import chunk_cells, locate
from emasync.formats.precomputed.shard_index import minishard_span, parse_minishard_index
from emasync.formats.precomputed.sharding import Sharding
from emasync.formats.stored import ByteSource


@dataclass(frozen=True, slots=True, eq=False)
class ShardChunks:
    """Chunks of one shard, in the order of their minishards.

    Attributes
    ----------
    numbers : ndarray of int64
        In the C order of the scale's chunk grid, z, y, x. Those that are not here were left out.
    starts, sizes : ndarray of uint64
        Bytes from the beginning of the shard, and length as it lies there.
    """

    numbers: npt.NDArray[np.int64]
    starts: Numbers
    sizes: Numbers


def shard_chunks(shard: ByteSource, sharding: Sharding, grid: Sequence[int]) -> ShardChunks:
    """Read all indexes of a shard, and nothing else of it.

    Parameters
    ----------
    shard : ByteSource
    sharding : Sharding
    grid : sequence of int
        Chunks on each axis of the scale, z, y, x.

    Raises
    ------
    FormatError
        An index is cut short, or tells of chunks that cannot be: outside of the file or of the grid, or in a
        minishard that their identifier does not lead to.
    """
    head = shard.read(0, sharding.index_bytes)
    rows = [_rows(shard, head, sharding, minishard) for minishard in _occupied(shard, head, sharding)]
    minishards, ids, starts, sizes = np.concatenate([np.zeros((4, 0), np.uint64), *rows], axis=1)
    beyond = np.flatnonzero(starts + sizes > np.uint64(shard.size_bytes))  # no sum wraps, see parse_minishard_index
    if len(beyond):
        at = int(beyond[0])
        place = f"{int(starts[at])} to {int(starts[at] + sizes[at])}"
        raise broken_shard(shard.name, f"a chunk lies at bytes {place}, and the file has {shard.size_bytes}")
    if (locate(sharding, ids)[1] != minishards).any():
        raise broken_shard(shard.name, "a chunk is in a minishard that its identifier does not lead to")
    return ShardChunks(_numbers(shard, ids, grid), starts, sizes)


def _occupied(shard: ByteSource, head: bytes, sharding: Sharding) -> list[int]:
    """Minishards that hold something: the two numbers of their entry differ."""
    if len(head) != sharding.index_bytes:
        raise broken_shard(shard.name, f"its {len(head)} bytes are less than its index of {sharding.index_bytes}")
    table = np.frombuffer(head, "<u8").reshape(-1, 2)
    return [int(number) for number in np.flatnonzero(table[:, 0] != table[:, 1])]


def _rows(shard: ByteSource, head: bytes, sharding: Sharding, minishard: int) -> Numbers:
    """Number of the minishard, identifier, place and length of each of its chunks; of those that have bytes."""
    span = minishard_span(shard.name, head, sharding, minishard)
    if span is None:
        raise AssertionError(f"minishard {minishard} is empty")
    if span.stop > shard.size_bytes:
        raise broken_shard(shard.name, f"minishard {minishard} has its index beyond the {shard.size_bytes} bytes")
    index = parse_minishard_index(shard.name, shard.read(span.start, span.size_bytes), sharding)
    rows = np.stack([np.full_like(index.ids, minishard), index.ids, index.starts, index.sizes])
    return rows[:, index.sizes > 0]


def _numbers(shard: ByteSource, ids: Numbers, grid: Sequence[int]) -> npt.NDArray[np.int64]:
    cells = chunk_cells(ids, grid)
    if any((cell >= np.uint64(size)).any() for cell, size in zip(cells, grid, strict=True)):
        raise broken_shard(shard.name, "an identifier is that of no chunk of the volume")
    return np.ravel_multi_index([cell.astype(np.int64) for cell in cells], tuple(grid)).astype(np.int64)
