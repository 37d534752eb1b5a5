"""Images of DM3 and DM4 files: raw pixels in one piece, calibrated, beside a thumbnail that is none of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from emasync.formats.dm.tags import Tag, read_tags, version_of
from emasync.formats.lengths import MAX_AXES
from emasync.formats.stored import ByteSource, FileDescription, HeaderBytes, Measure, StoredArray, reversed_axes

_DTYPES: Final = {
    1: "<i2",
    2: "<f4",
    3: "<c8",
    5: "<c8",
    6: "|u1",
    7: "<i4",
    9: "|i1",
    10: "<u2",
    11: "<u4",
    12: "<f8",
    13: "<c16",
    14: "|b1",
    27: "<c8",
    28: "<c16",
}
"""Codes of ``DataType``. 5, 27 and 28 are packed half planes of a transform, unless all of their values are there."""

_COLOURS: Final = frozenset({8, 23})
"""Four bytes a pixel: blue, green, red, alpha."""

_ITEM_BYTES: Final = {
    "|b1": 1,
    "|i1": 1,
    "|u1": 1,
    "<i2": 2,
    "<u2": 2,
    "<f4": 4,
    "<i4": 4,
    "<u4": 4,
    "<c8": 8,
    "<f8": 8,
    "<c16": 16,
}

Values = Mapping[tuple[str, ...], Tag]


class DmFormat:
    """Gatan DigitalMicrograph, versions 3 and 4."""

    def recognises(self, head: bytes) -> bool:
        """See :class:`~emasync.formats.stored.FileFormat`."""
        return version_of(head) is not None

    def describe(self, source: ByteSource) -> FileDescription:
        """See :class:`~emasync.formats.stored.FileFormat`; the tags behind the pixels are found over their length."""
        file = HeaderBytes(source)
        images: dict[int, dict[tuple[str, ...], Tag]] = defaultdict(dict)
        thumbnails: set[int] = set()
        for tag in read_tags(file):
            match tag.path:
                case ("ImageList", number, *rest) if number.isdigit():
                    images[int(number)][tuple(rest)] = tag
                case ("Thumbnails", _, "ImageIndex") if isinstance(tag.value, int):
                    thumbnails.add(tag.value)
        arrays, notes = [], []
        for index in sorted(images):
            found = _image(file, index, images[index], thumbnail=index in thumbnails)
            if isinstance(found, StoredArray):
                arrays.append(found)
            elif found:
                notes.append(found)
        version = version_of(source.read(0, 32))
        return FileDescription(format=f"dm{version}", arrays=tuple(arrays), notes=tuple(notes))


def _image(file: HeaderBytes, number: int, tags: Values, *, thumbnail: bool) -> StoredArray | str:
    """One entry of the image list, or why it cannot be read; empty for one without pixels."""
    data, kind = tags.get(("ImageData", "Data")), _number(tags, "ImageData", "DataType")
    if data is None or not kind:
        return ""
    sizes = _sizes(tags)
    if sizes is None:
        raise file.broken(data.place.start, f"image {number} has no usable dimensions")
    shape, axes = tuple(reversed(sizes)), reversed_axes(len(sizes))
    measures = tuple(reversed([_measure(tags, number, axis) for axis in range(len(sizes))]))
    dtype = "|u1" if kind in _COLOURS else _DTYPES.get(kind)
    if dtype is None:
        return f"image {number} has pixels of type {kind}, which is not known"
    if kind in _COLOURS:
        shape, axes, measures = (*shape, 4), (*axes, "bgra"), (*measures, None)
    if math.prod(shape) * _ITEM_BYTES[dtype] != data.place.size_bytes:
        return (
            f"image {number} has {data.place.size_bytes} bytes of pixels of type {kind}, {shape} of {dtype} take "
            f"{math.prod(shape) * _ITEM_BYTES[dtype]}: a packed transform, or damaged"
        )
    return StoredArray(
        path=f"ImageList/{number}",
        shape=shape,
        chunks=shape,
        dtype=dtype,
        axes=axes,
        measures=measures,
        whole=data.place,
        role="thumbnail" if thumbnail else "image",
    )


def _number(tags: Values, *path: str) -> int | None:
    tag = tags.get(path)
    return tag.value if tag is not None and isinstance(tag.value, int) else None


def _sizes(tags: Values) -> list[int] | None:
    """Sizes of the axes, x first; None where they are none."""
    sizes: list[int] = []
    while (size := _number(tags, "ImageData", "Dimensions", str(len(sizes)))) is not None and len(sizes) < MAX_AXES:
        sizes.append(size)
    return sizes if sizes and min(sizes) > 0 else None


def _measure(tags: Values, number: int, axis: int) -> Measure | None:
    """The calibration of an axis; scale 1 without a unit is what an uncalibrated axis has."""
    path = ("ImageData", "Calibrations", "Dimension", str(axis))
    scale, units = tags.get((*path, "Scale")), tags.get((*path, "Units"))
    unit = units.value if units is not None and isinstance(units.value, str) else ""
    if scale is None or not isinstance(scale.value, float) or not math.isfinite(scale.value) or scale.value <= 0:
        return None
    if scale.value == 1 and not unit:
        return None
    return Measure(scale.value, unit, "/".join(("ImageList", str(number), *path)))
