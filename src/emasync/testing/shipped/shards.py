"""A writer of Neuroglancer's sharded chunk storage, so that a twin needs no library that a plain install lacks.

Written from the format's description ("Sharded format", ``sharded.rst``; "Precomputed volume format", section
"Compressed Morton code") and not from :mod:`emasync.formats.precomputed`: a twin that shared the reader's mistakes
would prove nothing.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Cell = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLayout:
    """Parameters of one scale; identity hash, gzip around both indexes and data.

    Attributes
    ----------
    grid : tuple of int
        Chunks on each axis, x y z.
    preshift_bits, minishard_bits, shard_bits : int
        Those of hemibrain's segmentation by default.
    """

    grid: Cell
    preshift_bits: int = 9
    minishard_bits: int = 6
    shard_bits: int = 15

    def described(self) -> dict[str, Any]:
        """The ``sharding`` member of the scale (Any: JSON)."""
        return {
            "@type": "neuroglancer_uint64_sharded_v1",
            "data_encoding": "gzip",
            "hash": "identity",
            "minishard_bits": self.minishard_bits,
            "minishard_index_encoding": "gzip",
            "preshift_bits": self.preshift_bits,
            "shard_bits": self.shard_bits,
        }

    def chunk_id(self, cell: Cell) -> int:
        """Compressed Morton code of a cell, x y z."""
        found = place = 0
        for bit in range(max(self.grid).bit_length()):
            for size, index in zip(self.grid, cell, strict=True):
                if 1 << bit < size:
                    found |= (index >> bit & 1) << place
                    place += 1
        return found

    def shards(self, chunks: Mapping[Cell, bytes]) -> dict[str, bytes]:
        """Files of all shards that hold a chunk, by name.

        Parameters
        ----------
        chunks : mapping of cell to bytes
            Encoded voxels by cell, x y z.
        """
        placed: dict[int, dict[int, dict[int, bytes]]] = defaultdict(lambda: defaultdict(dict))
        for cell, data in chunks.items():
            number = self.chunk_id(cell)
            hashed = number >> self.preshift_bits
            shard = hashed >> self.minishard_bits & (1 << self.shard_bits) - 1
            placed[shard][hashed & (1 << self.minishard_bits) - 1][number] = data
        digits = -(-self.shard_bits // 4)
        return {f"{shard:0{digits}x}.shard": self._shard(minishards) for shard, minishards in placed.items()}

    def _shard(self, minishards: Mapping[int, Mapping[int, bytes]]) -> bytes:
        """Index of the shard, then the data and the index of each minishard; offsets count from the index's end."""
        spans, parts, position = np.zeros((1 << self.minishard_bits, 2), "<u8"), [], 0
        for number, chunks in sorted(minishards.items()):
            numbers = sorted(chunks)
            packed = [gzip.compress(chunks[one], 1, mtime=0) for one in numbers]
            index = np.zeros((3, len(numbers)), "<u8")
            index[0] = np.diff(numbers, prepend=0)
            index[1, 0] = position  # the others begin where the one before them ends
            index[2] = [len(one) for one in packed]
            parts += [*packed, gzip.compress(index.tobytes(), 1, mtime=0)]
            start = position + int(index[2].sum())
            position = start + len(parts[-1])
            spans[number] = start, position
        return spans.tobytes() + b"".join(parts)
