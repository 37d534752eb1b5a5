"""The two indexes of a shard: where minishard indexes lie, and where chunks do. Nothing in them is trusted.

Neuroglancer, "Sharded format", sections "Shard index format" and "Minishard index format".
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from emasync.formats.chunk_places import MAX_SHARD_BYTES, Numbers, broken_shard
from emasync.formats.precomputed.sharding import INDEX_ENTRY_BYTES, Sharding
from emasync.model.digest import Span

MAX_INDEX_BYTES: Final = 64 << 20
"""Of one minishard index, packed or not: 2.8 million chunks. Real ones have a few thousand at most."""

_ENTRY_BYTES: Final = 24
_GZIP: Final = 31


def minishard_span(key: str, data: bytes, sharding: Sharding, minishard: int) -> Span | None:
    """Where the index of a minishard lies in its shard; None where the minishard is empty.

    Parameters
    ----------
    key : str
        Of the shard, for messages.
    data : bytes
        The shard index: the first :attr:`Sharding.index_bytes` of the shard.
    sharding : Sharding
    minishard : int

    Raises
    ------
    FormatError
        The index is cut short, or tells places that cannot be.
    """
    if len(data) != sharding.index_bytes:
        raise broken_shard(key, f"its index has {len(data)} bytes, {sharding.index_bytes} were expected")
    at = minishard * INDEX_ENTRY_BYTES
    start, stop = (int.from_bytes(data[at + n : at + n + 8], "little") for n in (0, 8))
    if start == stop:
        return None
    if not start < stop <= MAX_SHARD_BYTES or stop - start > MAX_INDEX_BYTES:
        raise broken_shard(key, f"minishard {minishard} has its index at bytes {start} to {stop}, which cannot be")
    return Span(sharding.index_bytes + start, sharding.index_bytes + stop)


@dataclass(frozen=True, slots=True, eq=False)
class MinishardIndex:
    """Chunks of one minishard.

    Attributes
    ----------
    ids : ndarray of uint64
        Rising.
    starts, sizes : ndarray of uint64
        Bytes from the beginning of the shard, and length as it lies there.
    """

    ids: Numbers
    starts: Numbers
    sizes: Numbers

    def find(self, ids: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Look up chunks.

        Returns
        -------
        tuple of ndarray
            Positions in `ids` of those that are there, their starts, their sizes. A chunk of no bytes is not there.
        """
        at = np.minimum(np.searchsorted(self.ids, ids), max(len(self.ids) - 1, 0))
        if not len(self.ids):
            return ids[:0], ids[:0], ids[:0]
        there = np.flatnonzero((self.ids[at] == ids) & (self.sizes[at] > 0))
        return there.astype(np.uint64), self.starts[at[there]], self.sizes[at[there]]


def parse_minishard_index(key: str, data: bytes, sharding: Sharding) -> MinishardIndex:
    """Read the index of a minishard.

    Parameters
    ----------
    key : str
        Of the shard, for messages.
    data : bytes
        As it lies in the shard.
    sharding : Sharding

    Raises
    ------
    FormatError
        It is not packed as told, has not three rows, identifiers that do not rise, or places that cannot be.
    """
    plain = data if sharding.index_packing == "raw" else _gunzip(key, data)
    if len(plain) % _ENTRY_BYTES:
        raise broken_shard(key, f"a minishard index of {len(plain)} bytes, expected three rows of 8-byte numbers")
    table = np.frombuffer(plain, "<u8").astype(np.uint64).reshape(3, -1)
    # all three wrap: offsets may run backwards, and sums that are nonsense are told from places
    ids, sizes = np.cumsum(table[0], dtype=np.uint64), table[2]
    ends = np.cumsum(table[1] + sizes, dtype=np.uint64) + np.uint64(sharding.index_bytes)
    starts = ends - sizes
    if (ids[1:] <= ids[:-1]).any():
        raise broken_shard(key, "identifiers of chunks in a minishard index do not rise")
    limit = np.uint64(MAX_SHARD_BYTES)
    if ((ends > limit) | (starts > ends) | (starts < np.uint64(sharding.index_bytes)))[sizes > 0].any():
        raise broken_shard(key, "a minishard index tells places that cannot be")
    return MinishardIndex(ids, starts, sizes)


def _gunzip(key: str, data: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj(_GZIP)
        plain = unpacker.decompress(data, MAX_INDEX_BYTES)
    except zlib.error as error:
        raise broken_shard(key, f"a minishard index is not gzip: {error}") from error
    if not unpacker.eof:
        raise broken_shard(key, f"a minishard index ends early, or has more than {MAX_INDEX_BYTES} bytes")
    return plain
