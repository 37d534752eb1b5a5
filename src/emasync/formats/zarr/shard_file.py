"""Where inner chunks lie in a shard that is on disk."""

from __future__ import annotations

import numpy as np

from emasync.formats.chunk_places import broken_shard
from emasync.formats.stored import ByteSource, ChunkTable
from emasync.formats.zarr.shard_index import ABSENT, parse_shard_index
from emasync.formats.zarr.sharding import ShardLayout


def inner_places(shard: ByteSource, layout: ShardLayout) -> ChunkTable:
    """Read a shard's index, and nothing else of it.

    Parameters
    ----------
    shard : ByteSource
    layout : ShardLayout
        See :func:`~emasync.formats.zarr.sharding.shard_layout`.

    Returns
    -------
    ChunkTable
        In the shape of the shard's inner chunks, axes in the array's order; those outside of the array included. Size
        0 where a chunk was left out: its voxels have the fill value.

    Raises
    ------
    FormatError
        The index is cut short, has another checksum, or tells places that cannot be.
    """
    start = 0 if layout.location == "start" else shard.size_bytes - layout.index_bytes
    if start < 0 or layout.index_bytes > shard.size_bytes:
        raise broken_shard(shard.name, f"its {shard.size_bytes} bytes are less than its index of {layout.index_bytes}")
    index = parse_shard_index(shard.name, shard.read(start, layout.index_bytes), layout, shard.size_bytes)
    there = index.starts != ABSENT
    grid = [layout.per_shard[axis] for axis in layout.order]
    back = np.argsort(layout.order)
    zero = np.uint64(0)
    return ChunkTable(
        starts=np.where(there, index.starts, zero).reshape(grid).transpose(back),
        sizes=np.where(there, index.sizes, zero).reshape(grid).transpose(back),
    )
