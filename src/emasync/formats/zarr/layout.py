"""How the chunks of Zarr arrays are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from emasync.formats.chunks import ChunkLayout
from emasync.formats.compression import codec_id
from emasync.formats.content import NoDecoderError
from emasync.formats.fill_values import plain_fill
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Field, Json, parse_object
from emasync.formats.paths import join
from emasync.formats.stored import Codec
from emasync.formats.voxel_types import voxel_type
from emasync.formats.zarr.keys import ZARR_JSON, ZARRAY
from emasync.formats.zarr.sharding import without_shards
from emasync.model.task import escape_for_log

_BYTES: Final = frozenset(("bytes", "endian"))
"""``endian`` is what ``bytes`` was called before Zarr v3 was final."""


def zarr2_layout(array: ArrayDescription, documents: Mapping[str, bytes]) -> ChunkLayout:
    """Chunks of Zarr v2: order, then filters, then the compressor.

    Raises
    ------
    FormatError
        Metadata that break a rule.
    NoDecoderError
        Voxels without a fixed size, or structured ones.
    """
    key = join(array.path, ZARRAY)
    root = Field(key, "", parse_object(key, documents[key]))
    dtype = _type_of(array)
    filters, compressor = root.member("filters"), root.member("compressor")
    named = [*(() if filters.value is None else filters.items()), *(() if compressor.value is None else (compressor,))]
    codecs = [_codec(field) for field in named]
    if array.order == "F" and len(array.chunks) > 1:
        codecs.insert(0, _reversal(len(array.chunks)))
    return ChunkLayout(
        chunks=array.chunks,
        dtype=dtype.str,
        codecs=tuple(codecs),
        fill_value=plain_fill(root.member("fill_value"), dtype),
    )


def zarr3_layout(array: ArrayDescription, documents: Mapping[str, bytes]) -> ChunkLayout:
    """Chunks of Zarr v3, inner ones where there are shards.

    Raises
    ------
    FormatError
        Metadata that break a rule.
    NoDecoderError
        A type of voxels that numpy does not have.
    """
    key = join(array.path, ZARR_JSON)
    document = parse_object(key, documents[key])
    if array.inner_chunks is not None:
        document = without_shards(document, key, array.inner_chunks)
    root = Field(key, "", document)
    codecs = [_codec(field) for field in root.member("codecs").items()]
    dtype, codecs = _byte_order(_type_of(array), codecs)
    return ChunkLayout(
        chunks=array.inner_chunks or array.chunks,
        dtype=dtype.str,
        codecs=tuple(codecs),
        fill_value=plain_fill(root.member("fill_value"), dtype),
    )


def _type_of(array: ArrayDescription) -> np.dtype[Any]:
    """The type of voxels. Any: whatever the publisher has."""
    try:
        return voxel_type(array.dtype)
    except NoDecoderError as error:
        raise NoDecoderError(f"{escape_for_log(array.path)}: {error.message}", location=array.path) from error


def _codec(field: Field) -> Codec:
    """A codec by the name that Zarr v2 and numcodecs have for it; ``numcodecs.`` ahead of it says the same."""
    if not isinstance(field.value, dict):
        return Codec(field.text())
    known = {name: value for name, value in field.value.items() if name not in ("id", "name", "configuration")}
    inner: Json = field.value.get("configuration")
    if not isinstance(inner, dict | None):
        raise field.member("configuration").broken("expected an object")
    return Codec(codec_id(field.value), known | (inner or {}) if "id" in field.value else dict(inner or {}))


def _reversal(axes: int) -> Codec:
    order: list[Json] = [*range(axes - 1, -1, -1)]
    return Codec("transpose", {"order": order})


def _byte_order(dtype: np.dtype[Any], codecs: Sequence[Codec]) -> tuple[np.dtype[Any], list[Codec]]:
    """Let the type have the byte order of chunks, so that what needs no decoding says so.

    Where a filter came before, the order is that of what the filter made, and stays a codec.
    """
    names = [codec.name for codec in codecs]
    at = next((number for number, name in enumerate(names) if name in _BYTES), None)
    if at is None:
        return dtype.newbyteorder("<"), [*codecs]
    order = ">" if codecs[at].configuration.get("endian") == "big" else "<"
    if set(names[:at]) <= {"transpose"}:
        return dtype.newbyteorder(order), [*codecs[:at], *codecs[at + 1 :]]  # type: ignore[arg-type]  # "<" or ">"
    stored = Codec("bytes", {"endian": "big" if order == ">" else "little"})
    return dtype.newbyteorder("<"), [*codecs[:at], stored, *codecs[at + 1 :]]
