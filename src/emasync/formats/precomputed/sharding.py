"""Where a chunk lies in a sharded volume: chunk identifier → hash → minishard and shard.

Neuroglancer, "Sharded format" (``sharded.rst``) and "Precomputed volume format", section "Sharded chunk storage".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from emasync.formats.json_document import Field

SHARDED: Final = "neuroglancer_uint64_sharded_v1"
INDEX_ENTRY_BYTES: Final = 16
"""Start and end of one minishard index, 64 bits each."""

MAX_MINISHARD_BITS: Final = 20
"""A shard index of 16 MiB; real volumes have 6 to 11."""

_ID_BITS: Final = 64
_MASK: Final = (1 << 32) - 1
_KEY_BYTES: Final = 8

Packing = Literal["raw", "gzip"]


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

    def locate(self, chunk_id: int) -> tuple[int, int]:
        """Shard and minishard of a chunk.

        Parameters
        ----------
        chunk_id : int
            64 bits, see :func:`~emasync.formats.precomputed.morton.compressed_morton`.
        """
        shifted = chunk_id >> self.preshift_bits
        hashed = shifted if self.hash == "identity" else murmurhash3(shifted)
        minishard = hashed & ((1 << self.minishard_bits) - 1)
        return (hashed >> self.minishard_bits) & ((1 << self.shard_bits) - 1), minishard

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


def murmurhash3(key: int) -> int:
    """MurmurHash3_x86_128 of eight little-endian bytes, seed 0: its low 64 bits.

    What the reference implementation (A. Appleby, ``MurmurHash3.cpp``) reduces to for that length: no whole block,
    and a tail of which only the first two of four words are not empty.
    """
    low, high = key & _MASK, key >> 32 & _MASK
    state = [
        (_rotate(low * 0x239B961B & _MASK, 15) * 0xAB0E9789 & _MASK) ^ _KEY_BYTES,
        (_rotate(high * 0xAB0E9789 & _MASK, 16) * 0x38B34AE5 & _MASK) ^ _KEY_BYTES,
        _KEY_BYTES,
        _KEY_BYTES,
    ]
    first, second, *_ = _spread([_finish(word) for word in _spread(state)])
    return first | second << 32


def _spread(words: Sequence[int]) -> list[int]:
    first = sum(words) & _MASK
    return [first, *((word + first) & _MASK for word in words[1:])]


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _MASK


def _finish(word: int) -> int:
    word = (word ^ word >> 16) * 0x85EBCA6B & _MASK
    word = (word ^ word >> 13) * 0xC2B2AE35 & _MASK
    return word ^ word >> 16
