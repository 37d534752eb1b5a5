"""The ``info`` document of a volume: checked values of what it says.

Neuroglancer, "Precomputed volume format", section "info JSON file specification", and its JSON schema. Everything in
it is in the order x, y, z; what this module gives is in the order z, y, x.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Final

from emasync.errors import ErrorKind, SourceError
from emasync.formats.json_document import Field, parse_object
from emasync.formats.precomputed.sharding import Sharding, interleaving, read_sharding
from emasync.model.task import escape_for_log

INFO: Final = "info"
VOLUME: Final = "neuroglancer_multiscale_volume"
ITEM_BYTES: Final = {
    "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "uint64": 8, "float32": 4,
}  # fmt: skip
"""Number types, and bytes of each."""

MAX_SCALES: Final = 1_000
MAX_COPIES: Final = 64
MAX_CHANNELS: Final = 1 << 16
_AXES: Final = 3
_MOST: Final = 1 << 60
_ID_BITS: Final = 64
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One level.

    Attributes
    ----------
    path : str
        Folder of its chunks below the tree's base; may be the base itself.
    size : tuple of int
        Voxels, z, y, x; 0 where there are none.
    offset : tuple of int
        Source coordinates of the first voxel, z, y, x.
    chunk : tuple of int
        Voxels of a chunk, z, y, x: the first of the shapes that are stored.
    copies : int
        How many chunk shapes are stored, each of them a full copy of the data.
    resolution : tuple of float
        Voxel size, nanometres, z, y, x.
    encoding : str
        Of the chunks: ``raw``, ``jpeg``, ``compressed_segmentation``, ...; not limited to what is known here, because
        bytes are kept as they are.
    segment_block : tuple of int or None
        Voxels of a block, z, y, x, where the encoding is ``compressed_segmentation``.
    sharding : Sharding or None
        None where each chunk is an object.
    """

    path: str
    size: tuple[int, int, int]
    offset: tuple[int, int, int]
    chunk: tuple[int, int, int]
    copies: int
    resolution: tuple[float, float, float]
    encoding: str
    segment_block: tuple[int, int, int] | None
    sharding: Sharding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume.

    Attributes
    ----------
    kind : str
        ``image`` or ``segmentation``.
    dtype : str
        One of :data:`ITEM_BYTES`.
    channels : int
        At least 1. All channels of a place are in one chunk.
    scales : tuple of Scale
        As published: the finest is usually first.
    """

    kind: str
    dtype: str
    channels: int
    scales: tuple[Scale, ...]


def parse_info(key: str, data: bytes, folder: str) -> Volume:
    """Read an ``info`` document.

    Parameters
    ----------
    key : str
        Of the document, relative to the tree's base.
    data : bytes
        As received.
    folder : str
        That it lies in; scales are named relative to it.

    Raises
    ------
    FormatError
        It breaks a rule.
    SourceError
        It describes something else than a volume: annotations, meshes, skeletons.
    """
    document = Field(key, "", parse_object(key, data))
    _require_volume(document)
    dtype = document.member("data_type")
    if dtype.text().lower() not in ITEM_BYTES:
        raise dtype.broken(f"expected one of {', '.join(ITEM_BYTES)}")
    channels = _limited(document.member("num_channels"), 1, MAX_CHANNELS)
    listed = document.member("scales").items()
    if not 0 < len(listed) <= MAX_SCALES:
        raise document.member("scales").broken(f"expected 1 to {MAX_SCALES} scales")
    scales = tuple(_read_scale(scale, folder) for scale in listed)
    if len({scale.path for scale in scales}) < len(scales):
        raise document.member("scales").broken("expected a folder of its own for each scale")
    return Volume(
        kind=document.member("type").optional_text() or "image",
        dtype=dtype.text().lower(),
        channels=channels,
        scales=scales,
    )


def _require_volume(document: Field) -> None:
    """Annotations, meshes and skeletons have an ``info`` too, and are no arrays of voxels."""
    kind = document.member("@type")
    if kind.value in (None, VOLUME):
        return
    raise SourceError(
        f"{escape_for_log(document.key)} describes {escape_for_log(kind.text())}, not a volume of voxels: take it "
        "object by object with format: raw, or name the url of an image or segmentation",
        kind=ErrorKind.FORMAT,
        location=document.key,
    )


def _read_scale(scale: Field, folder: str) -> Scale:
    shapes = scale.member("chunk_sizes").items()
    if not 0 < len(shapes) <= MAX_COPIES:
        raise scale.member("chunk_sizes").broken(f"expected 1 to {MAX_COPIES} chunk shapes")
    for shape in shapes[1:]:
        _three(shape, 1)
    found = Scale(
        path=resolve_key(scale.member("key"), folder),
        size=_three(scale.member("size"), 0),
        offset=_three(scale.member("voxel_offset"), -_MOST) if "voxel_offset" in scale.object() else (0, 0, 0),
        chunk=_three(shapes[0], 1),
        copies=len(shapes),
        resolution=_resolution(scale.member("resolution")),
        encoding=scale.member("encoding").text(),
        segment_block=_segment_block(scale),
        sharding=None if scale.member("sharding").value is None else read_sharding(scale.member("sharding")),
    )
    _require_addressable(found, scale)
    return found


def _segment_block(scale: Field) -> tuple[int, int, int] | None:
    member = scale.member("compressed_segmentation_block_size")
    return None if member.value is None else _three(member, 1)


def _require_addressable(found: Scale, scale: Field) -> None:
    """Chunks are numbered with 63 bits here, and identified with 64 at the source."""
    if prod(grid_shape(found)) >= 1 << 63:
        raise scale.member("size").broken("expected fewer than 2^63 chunks")
    if found.sharding is not None and len(interleaving(grid_shape(found))) > _ID_BITS:
        raise scale.member("size").broken(f"expected a grid whose chunk identifiers fit into {_ID_BITS} bits")


def grid_shape(scale: Scale) -> tuple[int, ...]:
    """Chunks on each axis, z, y, x."""
    return tuple(-(-size // chunk) for size, chunk in zip(scale.size, scale.chunk, strict=True))


def resolve_key(field: Field, folder: str) -> str:
    """Folder of a scale below the tree's base; the key is opaque, and may lead up with ``..``.

    Raises
    ------
    FormatError
        It leads out of the tree, or is no relative path.
    """
    text = field.text()
    parts = folder.split("/") if folder else []
    for part in text.split("/"):
        if part == ".." and not parts:
            raise field.broken("leads out of the dataset's url; name a folder further up as url, and this in arrays")
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if text.startswith("/") or "://" in text or "\\" in text or _CONTROL.search(text):
        raise field.broken("expected a relative path")
    return "/".join(parts)


def _three(field: Field, least: int) -> tuple[int, int, int]:
    """Three whole numbers in the order x, y, z, turned round."""
    items = field.items()
    if len(items) != _AXES:
        raise field.broken("expected three numbers, in the order x, y, z")
    x, y, z = (_limited(item, least, _MOST) for item in items)
    return z, y, x


def _limited(field: Field, least: int, most: int) -> int:
    value = field.integer(least)
    if value > most:
        raise field.broken(f"expected at most {most}")
    return value


def _resolution(field: Field) -> tuple[float, float, float]:
    items = field.items()
    sizes = [item.number() for item in items]
    if len(sizes) != _AXES or any(size <= 0 for size in sizes):
        raise field.broken("expected three positive numbers of nanometres, in the order x, y, z")
    return sizes[2], sizes[1], sizes[0]


def reversed_list(values: Iterable[int]) -> list[int]:
    """z, y, x as x, y, z and back."""
    return list(values)[::-1]
