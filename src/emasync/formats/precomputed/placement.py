"""Where chunks lie in a sharded volume: grid cell → chunk identifier → hash → shard and minishard. Whole arrays.

Neuroglancer, "Precomputed volume format", section "Sharded chunk storage", and "Sharded format".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from emasync.formats.chunk_places import Numbers
from emasync.formats.precomputed.sharding import Sharding, interleaving

_MASK: Final = np.uint64((1 << 32) - 1)
_KEY_BYTES: Final = np.uint64(8)


def chunk_ids(cells: Sequence[Numbers], grid: Sequence[int]) -> Numbers:
    """Identifiers of chunks.

    Parameters
    ----------
    cells : sequence of ndarray of uint64
        Chunk coordinates on each axis, z, y, x; inside the grid.
    grid : sequence of int
        Chunks on each axis of this very scale, z, y, x.
    """
    found = np.zeros(cells[0].shape, dtype=np.uint64)
    for position, (axis, bit) in enumerate(interleaving(grid)):
        found |= (cells[axis] >> np.uint64(bit) & np.uint64(1)) << np.uint64(position)
    return found


def chunk_cells(ids: Numbers, grid: Sequence[int]) -> list[Numbers]:
    """Grid cells of chunks: the inverse of :func:`chunk_ids`.

    Returns
    -------
    list of ndarray of uint64
        Chunk coordinates on each axis, z, y, x. Beyond the grid for identifiers that no cell of it has.
    """
    bits = interleaving(grid)
    cells = [np.zeros_like(ids) for _ in grid]
    for position, (axis, bit) in enumerate(bits):
        cells[axis] |= (ids >> np.uint64(position) & np.uint64(1)) << np.uint64(bit)
    cells[0][_shift(ids, len(bits)) > 0] = np.uint64(grid[0])
    return cells


def locate(sharding: Sharding, ids: Numbers) -> tuple[Numbers, Numbers]:
    """Shards and minishards of chunks."""
    shifted = _shift(ids, sharding.preshift_bits)
    hashed = shifted if sharding.hash == "identity" else murmurhash3(shifted)
    shard = _lowest(_shift(hashed, sharding.minishard_bits), sharding.shard_bits)
    return shard, _lowest(hashed, sharding.minishard_bits)


def _shift(values: Numbers, bits: int) -> Numbers:
    """Shift right; 64 bits, which a word cannot be shifted by, leave nothing."""
    return values >> np.uint64(bits) if bits < 64 else np.zeros_like(values)  # noqa: PLR2004 - bits of a word


def _lowest(values: Numbers, bits: int) -> Numbers:
    return values & np.uint64((1 << bits) - 1)


def murmurhash3(keys: Numbers) -> Numbers:
    """MurmurHash3_x86_128 of eight little-endian bytes, seed 0: the low 64 bits of each.

    What the reference implementation (A. Appleby, ``MurmurHash3.cpp``) reduces to for that length: no whole block,
    and a tail of which only the first two of four words are not empty.
    """
    low, high = keys & _MASK, keys >> np.uint64(32)
    rest = np.full_like(keys, _KEY_BYTES)
    words = [
        _times(_rotate(_times(low, 0x239B961B), 15), 0xAB0E9789) ^ _KEY_BYTES,
        _times(_rotate(_times(high, 0xAB0E9789), 16), 0x38B34AE5) ^ _KEY_BYTES,
        rest,
        rest,
    ]
    first, second, *_ = _spread([_finish(word) for word in _spread(words)])
    return first | second << np.uint64(32)


def _spread(words: Sequence[Numbers]) -> list[Numbers]:
    """Add all words into the first, then the first to the others."""
    first = words[0]
    for word in words[1:]:
        first = first + word & _MASK
    return [first, *(word + first & _MASK for word in words[1:])]


def _times(words: Numbers, factor: int) -> Numbers:
    return words * np.uint64(factor) & _MASK


def _rotate(words: Numbers, bits: int) -> Numbers:
    return (words << np.uint64(bits) | words >> np.uint64(32 - bits)) & _MASK


def _finish(words: Numbers) -> Numbers:
    words = _times(words ^ words >> np.uint64(16), 0x85EBCA6B)
    words = _times(words ^ words >> np.uint64(13), 0xC2B2AE35)
    return words ^ words >> np.uint64(16)
