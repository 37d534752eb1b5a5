"""How arrays are stored: codecs by name, whether they change values, number types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Json, parse_object
from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.paths import join
from emasync.formats.zarr.keys import ZARR_JSON, ZARRAY
from emasync.hooks.metadata.claims import member, shown

LOSSY: Final = frozenset(
    ("jpeg", "jpg", "webp", "avif", "jpegxr", "fpzip", "zfpc", "kempressed", "quantize", "bitround", "fixedscaleoffset")
)
"""Codecs that change values, or may. PNG, compressed_segmentation and compresso do not; JPEG XL and JPEG 2000 say it in
a way that only their bytes tell."""

_MAYBE: Final = frozenset(("jxl", "jpegxl", "jpeg2k", "zfp", "wavpack"))


def codecs_of(array: ArrayDescription) -> tuple[str, ...]:
    """Names of an array's codecs, in the order of encoding, as its document spells them."""
    if array.format == "zarr2":
        return _zarr2(_document(array, ZARRAY))
    if array.format == "zarr3":
        return _zarr3(_document(array, ZARR_JSON).get("codecs"))
    if array.format == "n5":
        attributes = _document(array, ATTRIBUTES)
        return (_named(attributes.get("compression") or attributes.get("compressionType"), "type"),)
    return ()


def byte_order_of(array: ArrayDescription) -> str:
    """Byte order of stored voxels; empty where the number type says it itself.

    N5 is big-endian; Zarr v3 says it in its ``bytes`` codec, which a shard has inside.
    """
    if array.format == "n5":
        return "big"
    codecs = _document(array, ZARR_JSON).get("codecs") if array.format == "zarr3" else None
    for _ in range(2):
        for item in codecs if isinstance(codecs, list) else ():
            endian = member(item, "configuration", "endian")
            if isinstance(endian, str):
                return shown(endian)
        inner = (member(item, "configuration", "codecs") for item in codecs) if isinstance(codecs, list) else iter(())
        codecs = next((item for item in inner if isinstance(item, list)), None)
    return ""


def _document(array: ArrayDescription, name: str) -> dict[str, Json]:
    key = join(array.path, name)
    data = array.documents.get(key)
    return {} if data is None else parse_object(key, data)


def _zarr2(document: dict[str, Json]) -> tuple[str, ...]:
    filters = document.get("filters")
    names = [_named(item, "id") for item in (filters if isinstance(filters, list) else [])]
    if document.get("compressor") is not None:
        names.append(_named(document.get("compressor"), "id"))
    return tuple(names)


def _zarr3(codecs: Json) -> tuple[str, ...]:
    """Inner codecs stand in brackets behind the one that makes shards."""
    names = []
    for item in codecs if isinstance(codecs, list) else []:
        name = _named(item, "name")
        inner = member(item, "configuration", "codecs") if name == "sharding_indexed" else None
        names.append(f"{name}({', '.join(_zarr3(inner))})" if isinstance(inner, list) else name)
    return tuple(names)


def _named(item: Json, key: str) -> str:
    """A codec by name, with the compressor inside of blosc and the level, where they are said."""
    if not isinstance(item, dict):
        return shown(item) if item is not None else "raw"
    configuration = item.get("configuration")
    told = configuration if isinstance(configuration, dict) else item
    more = [told.get(name) for name in ("cname", "clevel", "level") if told.get(name) is not None]
    return shown(item.get(key)) + "".join(f":{shown(value)}" for value in more)


def lossy(codecs: Sequence[str]) -> bool | None:
    """Whether codecs change values; None where only the bytes tell."""
    names = {part.strip().partition(":")[0].lower() for codec in codecs for part in codec.replace(")", "").split("(")}
    if names & LOSSY:
        return True
    return None if names & _MAYBE else False


def dtype_name(dtype: str) -> tuple[str, str]:
    """Name and byte order of a number type as any format spells it; the text itself where numpy does not know it."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        return shown(dtype), ""
    if found.itemsize <= 1 or found.names is not None:
        return found.name, "none"
    return found.name, "big" if found.str.startswith(">") else "little"
