"""Shards of Zarr v3: many inner chunks in one object, with an index of where they lie.

Zarr v3, "Sharding codec" 1.0 (ZEP 2). The codec cuts what it is given into inner chunks, encodes each with a chain of
its own, and writes them in any order. Inner chunks can be taken out one by one where nothing is done to the shard as a
whole behind the codec, and what is done before it keeps voxels together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final, Literal

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Field, Json, JsonObject, describe, parse_object
from emasync.formats.lengths import lengths
from emasync.formats.paths import join
from emasync.formats.zarr.keys import ZARR_JSON
from emasync.model.task import escape_for_log

SHARDING: Final = "sharding_indexed"

ENTRY_BYTES: Final = 16
"""Offset and length of one inner chunk, 64 bits each."""

CRC_BYTES: Final = 4

MAX_INDEX_BYTES: Final = 16 << 20
"""Of one shard: a million inner chunks. Real shards have up to 32,768."""

Order = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLayout:
    """How the inner chunks of one array lie in its shards.

    Attributes
    ----------
    inner : tuple of int
        Voxels of an inner chunk, in the array's axis order.
    per_shard : tuple of int
        Inner chunks on each axis of a shard, in the array's axis order.
    order : tuple of int
        Axes as the index counts them: those of the array, transposed by what comes before the shard.
    location : {"start", "end"}
        Of the index in its shard.
    byte_order : {"<", ">"}
        Of the numbers in the index.
    crcs : int
        CRC32C checksums behind the numbers; 0 or 1 in practice.
    """

    inner: tuple[int, ...]
    per_shard: tuple[int, ...]
    order: Order
    location: Literal["start", "end"] = "end"
    byte_order: Literal["<", ">"] = "<"
    crcs: int = 1

    @property
    def index_bytes(self) -> int:
        """Size of a shard's index; it speaks of all inner chunks, also of those outside of the array."""
        return ENTRY_BYTES * prod(self.per_shard) + CRC_BYTES * self.crcs


@dataclass(frozen=True, slots=True)
class Chain:
    """The codecs of an array with shards.

    Attributes
    ----------
    before : tuple of Field
        Array to array, applied to whole shards.
    shard : Field
        Configuration of the sharding codec.
    behind : tuple of Field
        Bytes to bytes, applied to whole shards.
    """

    before: tuple[Field, ...]
    shard: Field
    behind: tuple[Field, ...]


def read_chain(codecs: Field) -> Chain | None:
    """Find the sharding codec; None where objects are chunks.

    Raises
    ------
    FormatError
        No codec at all, or one without a name.
    """
    items = codecs.items()
    if not items:
        raise codecs.broken("an array has at least one codec, array to bytes")
    names = [codec_name(item) for item in items]
    if SHARDING not in names:
        return None
    at = names.index(SHARDING)
    if not isinstance(items[at].value, dict):
        raise items[at].broken("shards need a configuration")
    return Chain(items[:at], items[at].member("configuration"), items[at + 1 :])


def codec_name(codec: Field) -> str:
    """Name of a codec, which since Zarr 3.1 may stand alone."""
    return (codec.member("name") if isinstance(codec.value, dict) else codec).text()


def inner_chunk_shape(codecs: Field, chunks: tuple[int, ...]) -> tuple[int, ...] | None:
    """Shape of inner chunks, in the array's axis order; None where objects are chunks.

    Parameters
    ----------
    codecs : Field
        Of the array's metadata.
    chunks : tuple of int
        Shape of its objects.

    Raises
    ------
    FormatError
        Inner chunks do not fill their shard.
    """
    chain = read_chain(codecs)
    if chain is None:
        return None
    field = chain.shard.member("chunk_shape")
    stated = lengths(field, 1)
    if len(stated) != len(chunks):
        raise field.broken(f"expected one length for each of the {len(chunks)} axes of a shard")
    order = _order(chain.before, len(chunks))
    if order is None:  # what comes before the shard is not understood; whole shards can be taken all the same
        return stated
    inner = tuple(stated[order.index(axis)] for axis in range(len(order)))
    if any(outer % part for outer, part in zip(chunks, inner, strict=True)):
        raise field.broken(f"inner chunks must divide the shard shape {list(chunks)}")
    return inner


def _order(before: Sequence[Field], count: int) -> Order | None:
    """Axes of the array as they stand behind `before`; None where it does something else than transpose them."""
    order: Order = tuple(range(count))
    for codec in before:
        if codec_name(codec) != "transpose" or not isinstance(codec.value, dict):
            return None
        step = lengths(codec.member("configuration").member("order"), 0)
        if sorted(step) != list(range(count)):
            raise codec.broken(f"a permutation of the {count} axes was expected")
        order = tuple(order[axis] for axis in step)
    return order


def shard_layout(array: ArrayDescription) -> ShardLayout:
    """How to take inner chunks out of the shards of `array`.

    Raises
    ------
    FormatError
        The codec breaks a rule of its specification.
    SourceError
        The shards of this array can only be taken whole.
    """
    key = join(array.path, ZARR_JSON)
    codecs = Field(key, "", parse_object(key, array.documents[key])).member("codecs")
    chain = read_chain(codecs)
    if chain is None or array.inner_chunks is None:
        raise AssertionError(f"{key} has no shards")
    if chain.behind:
        raise _whole_only(chain.behind[0], "is applied to whole shards, of which no part can be read")
    order = _order(chain.before, len(array.shape))
    if order is None:
        raise _whole_only(chain.before[0], "is applied before shards are cut up, and is not known to keep voxels apart")
    _require_codecs(chain.shard.member("codecs"))
    byte_order, crcs = _index_codecs(chain.shard.member("index_codecs"))
    layout = ShardLayout(
        inner=array.inner_chunks,
        per_shard=tuple(outer // part for outer, part in zip(array.chunks, array.inner_chunks, strict=True)),
        order=order,
        location=_location(chain.shard.member("index_location")),
        byte_order=byte_order,
        crcs=crcs,
    )
    if layout.index_bytes > MAX_INDEX_BYTES:
        size = f"has {layout.index_bytes:,} bytes in each shard, and at most {MAX_INDEX_BYTES:,} are read"
        raise _whole_only(chain.shard.member("chunk_shape"), f"makes an index that {size}")
    return layout


def _require_codecs(codecs: Field) -> None:
    if not codecs.items():
        raise codecs.broken("inner chunks have at least one codec, array to bytes")


def _location(field: Field) -> Literal["start", "end"]:
    if field.value not in (None, "start", "end"):
        raise field.broken('the index lies at the "start" or at the "end"')
    return "start" if field.value == "start" else "end"


def _index_codecs(field: Field) -> tuple[Literal["<", ">"], int]:
    """Byte order, and how many checksums follow; not stated means what the specification recommends."""
    if field.value is None:
        return "<", 1
    items = field.items()
    names = [codec_name(item) for item in items]
    if names[:1] != ["bytes"] or set(names[1:]) - {"crc32c"}:
        raise field.broken("an index is written by bytes, then crc32c: its size must be known before it is read")
    endian = items[0].member("configuration").member("endian") if isinstance(items[0].value, dict) else items[0]
    if endian.value not in ("little", "big"):
        raise endian.broken('the numbers of an index are "little" or "big" endian')
    return "<" if endian.value == "little" else ">", len(names) - 1


def _whole_only(field: Field, why: str) -> SourceError:
    place = escape_for_log(f"{field.key}: {field.where}")
    return SourceError(
        f"{place} is {describe(field.value)}, which {why}; take whole scales, or the shards that a crop touches with "
        "subset: mirror",
        kind=ErrorKind.NOT_BUILT,
        location=field.key,
    )


def without_shards(document: JsonObject, key: str, inner: tuple[int, ...]) -> JsonObject:
    """Metadata of an array whose objects are the inner chunks of `document`'s: their bytes stay as they are.

    Parameters
    ----------
    document : JsonObject
        Of an array with a :func:`shard_layout`.
    key : str
        Names it in messages.
    inner : tuple of int
        Shape of inner chunks, in the array's axis order.

    Raises
    ------
    FormatError
        It has no shards.
    """
    codecs = Field(key, "codecs", document.get("codecs"))
    chain = read_chain(codecs)
    if chain is None:
        raise FormatError(f"{escape_for_log(key)}: the array has shards elsewhere, and here it has none", location=key)
    kept: list[Json] = [codec.value for codec in (*chain.before, *chain.shard.member("codecs").items())]
    grid: JsonObject = {"name": "regular", "configuration": {"chunk_shape": list(inner)}}
    return {**document, "chunk_grid": grid, "codecs": kept}
