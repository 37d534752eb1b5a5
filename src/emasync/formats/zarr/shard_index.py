"""The index of a shard: where its inner chunks lie. Nothing in it is trusted.

Zarr v3, "Sharding codec" 1.0, section "Binary shard format".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from crc32c import crc32c

from emasync.formats.chunk_places import MAX_SHARD_BYTES, Numbers, broken_shard, require_places
from emasync.formats.zarr.sharding import CRC_BYTES, ShardLayout
from emasync.model.digest import Span

ABSENT: Final = np.uint64((1 << 64) - 1)
"""Offset and length of an inner chunk that was left out, and reads as fill value."""


@dataclass(frozen=True, slots=True, eq=False)
class ShardIndex:
    """Inner chunks of one shard, in the order of the index.

    Attributes
    ----------
    starts, sizes : ndarray of uint64
        Bytes from the beginning of the shard, and length; :data:`ABSENT` both where there is nothing.
    layout : ShardLayout
    """

    starts: Numbers
    sizes: Numbers
    layout: ShardLayout

    def find(self, cells: Sequence[npt.NDArray[np.int64]]) -> tuple[npt.NDArray[np.int64], Numbers, Numbers]:
        """Look up inner chunks.

        Parameters
        ----------
        cells : sequence of ndarray
            Coordinates in the shard, counted from zero, one array for each axis of the array.

        Returns
        -------
        tuple of ndarray
            Positions in `cells` of those that are there, their starts, their sizes.
        """
        order, shape = self.layout.order, self.layout.per_shard
        at = np.ravel_multi_index(tuple(cells[axis] for axis in order), [shape[axis] for axis in order])
        there = np.flatnonzero(self.starts[at] != ABSENT)
        return there, self.starts[at[there]], self.sizes[at[there]]


def parse_shard_index(key: str, data: bytes, layout: ShardLayout, total_bytes: int | None) -> ShardIndex:
    """Read the index of a shard, and check all of it.

    Parameters
    ----------
    key : str
        Of the shard, for messages.
    data : bytes
        As it lies there.
    layout : ShardLayout
    total_bytes : int or None
        Size of the shard; None where the server does not tell, which it must where the index lies at the end.

    Raises
    ------
    FormatError
        Cut short, another checksum, or places that cannot be: outside of the shard, in the index, over each other.
    """
    if len(data) != layout.index_bytes:
        raise broken_shard(key, f"its index has {len(data)} bytes, {layout.index_bytes} were expected")
    table = np.frombuffer(_checked(key, data, layout.crcs), f"{layout.byte_order}u8").astype(np.uint64).reshape(-1, 2)
    starts, sizes = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
    there = starts != ABSENT
    if (there != (sizes != ABSENT)).any():
        raise broken_shard(key, "its index has an inner chunk that is left out by half")
    if not sizes.all():
        raise broken_shard(key, "its index has an inner chunk of no bytes, which no codec makes")
    require_places(key, starts[there], sizes[there], _room(layout, total_bytes))
    return ShardIndex(starts, sizes, layout)


def _checked(key: str, data: bytes, crcs: int) -> bytes:
    """The numbers, without the checksums behind them (RFC 3720, appendix B.4; little endian)."""
    for _ in range(crcs):
        data, stated = data[:-CRC_BYTES], int.from_bytes(data[-CRC_BYTES:], "little")
        if crc32c(data) != stated:
            raise broken_shard(key, f"its index has the CRC32C {crc32c(data):08x}, {stated:08x} was expected")
    return data


def _room(layout: ShardLayout, total_bytes: int | None) -> Span:
    """Where inner chunks may lie."""
    if layout.location == "start":
        return Span(layout.index_bytes, MAX_SHARD_BYTES if total_bytes is None else total_bytes)
    return Span(0, (total_bytes or 0) - layout.index_bytes)
