"""Parameters of sharded volumes.

Neuroglancer, "Sharded format" (``sharded.rst``) and "Precomputed volume format", section "Sharded chunk storage".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from emasync.formats.json_document import Field
from emasync.model.slices import Packing

SHARDED: Final = "neuroglancer_uint64_sharded_v1"
INDEX_ENTRY_BYTES: Final = 16
"""Start and end of one minishard index, 64 bits each."""

MAX_MINISHARD_BITS: Final = 20
"""A shard index of 16 MiB; real volumes have 6 to 11."""

_ID_BITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """Parameters of one scale.

    Attributes
    ----------
    preshift_bits : int
        Low bits of a chunk identifier that do not enter the hash: neighbours share a minishard.
    hash : {"identity", "murmurhash3_x86_128"}
    minishard_bits : int
        Minishards a shard, as a power of two.
    shard_bits : int
        Shards, as a power of two.
    index_packing, data_packing : {"raw", "gzip"}
        Of minishard indexes, and of each chunk (around the encoding of its voxels).
    """

    preshift_bits: int
    hash: Literal["identity", "murmurhash3_x86_128"]
    minishard_bits: int
    shard_bits: int
    index_packing: Packing = "raw"
    data_packing: Packing = "raw"

    @property
    def index_bytes(self) -> int:
        """Size of the shard index, which every shard begins with."""
        return INDEX_ENTRY_BYTES << self.minishard_bits

    def shard_name(self, shard: int) -> str:
        """File of a shard below the scale's folder: lower-case hexadecimal, padded to the width of the last one."""
        return f"{shard:0{-(-self.shard_bits // 4)}x}.shard"


def read_sharding(field: Field) -> Sharding:
    """Read the ``sharding`` member of a scale.

    Raises
    ------
    FormatError
        Another kind, or parameters that are none.
    """
    kind = field.member("@type")
    if kind.value != SHARDED:
        raise kind.broken(f"expected {SHARDED!r}")
    minishard_bits, shard_bits = _bits(field, "minishard_bits", MAX_MINISHARD_BITS), _bits(field, "shard_bits")
    if minishard_bits + shard_bits > _ID_BITS:
        raise field.member("shard_bits").broken(f"expected at most {_ID_BITS} bits together with minishard_bits")
    name = field.member("hash")
    if name.value not in ("identity", "murmurhash3_x86_128"):
        raise name.broken("expected identity or murmurhash3_x86_128")
    return Sharding(
        preshift_bits=_bits(field, "preshift_bits"),
        hash="identity" if name.value == "identity" else "murmurhash3_x86_128",
        minishard_bits=minishard_bits,
        shard_bits=shard_bits,
        index_packing=_packing(field.member("minishard_index_encoding")),
        data_packing=_packing(field.member("data_encoding")),
    )


def _bits(field: Field, name: str, most: int = _ID_BITS) -> int:
    member = field.member(name)
    value = member.integer(0)
    if value > most:
        raise member.broken(f"expected at most {most}")
    return value


def _packing(field: Field) -> Packing:
    """Encodings; older writers leave them out and mean raw."""
    if field.value not in (None, "raw", "gzip"):
        raise field.broken("expected raw or gzip")
    return "gzip" if field.value == "gzip" else "raw"


def interleaving(grid: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Which bits of a grid cell make up its chunk identifier, lowest first: (axis, bit of the coordinate).

    A compressed Morton code: bits of x, y and z in turn, without those that are zero for the whole grid
    (Neuroglancer, "Precomputed volume format", section "Compressed Morton code").

    Parameters
    ----------
    grid : sequence of int
        Chunks on each axis of this very scale, z, y, x: another grid gives other identifiers.
    """
    most = max((size - 1).bit_length() for size in grid)
    axes = tuple(enumerate(grid))[::-1]
    return tuple((axis, bit) for bit in range(most) for axis, size in axes if 1 << bit < size)
