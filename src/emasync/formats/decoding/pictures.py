"""Voxels as pictures: JPEG, PNG and their kin, decoded by imagecodecs into memory of ours.

The library refuses a picture of another shape or type than that memory before it decodes, so that what a header claims
costs nothing.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding.form import Bytes, Data, Form, Step, Voxels, as_bytes
from emasync.formats.decoding.native import Function, require_native
from emasync.formats.decoding.tiff import number_in
from emasync.formats.json_document import Json
from emasync.formats.stored import Codec

Sides = tuple[int, int]
"""Rows, columns."""

_END_OF_IMAGE, _START_OF_SCAN = b"\xff\xd9", b"\xff\xda"
_PNG_HEADER: Final = struct.Struct(">8s4x4sII")
_JPEG_SEGMENT: Final = struct.Struct(">BBHxHH")
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG frames, which hold the sides (ITU-T T.81, table B.1)."""

_SPACE_AXES: Final = 3
_RGB, _CMYK, _YCBCR = 2, 5, 6
_COLOURS: Final = 3


def require_whole_jpeg(data: Bytes) -> None:
    """Refuse a JPEG that ends early: the library would fill up the rest with grey, and say nothing.

    Behind the last scan stands the end of the image (T.81, B.2.1); inside of a scan no marker can stand.

    Raises
    ------
    ValueError
    """
    raw = data.tobytes()
    if not raw.endswith(_END_OF_IMAGE) and raw.rfind(_END_OF_IMAGE) <= raw.rfind(_START_OF_SCAN):
        raise ValueError("is a JPEG that ends early, or none")


def jpeg_sides(data: Bytes) -> Sides:
    """Sides of a JPEG, from its frame header (T.81, B.2.2).

    Raises
    ------
    ValueError
        There is none.
    """
    at = 2
    while at + _JPEG_SEGMENT.size <= len(data):
        mark, kind, size_bytes, rows, columns = _JPEG_SEGMENT.unpack_from(data.data, at)
        if mark != 0xFF:  # noqa: PLR2004 - what all markers begin with
            break
        if kind in _FRAMES:
            return rows, columns
        at += 1 if kind == 0xFF else 2 + size_bytes  # noqa: PLR2004 - markers may have more of these ahead
    raise ValueError("is a JPEG without a frame, or none")


def png_sides(data: Bytes) -> Sides:
    """Sides of a PNG, from its header (W3C, "PNG (Third Edition)", section 11.2.1).

    Raises
    ------
    ValueError
        There is none.
    """
    magic, kind, columns, rows = _PNG_HEADER.unpack_from(data.data)
    if magic != b"\x89PNG\r\n\x1a\n" or kind != b"IHDR":
        raise ValueError("is no PNG")
    return rows, columns


@dataclass(frozen=True, slots=True)
class FlatPicture:
    """A chunk of a precomputed volume as one picture: x, y, z in turn along its rows, samples are channels.

    Neuroglancer, "Precomputed volume format", sections "jpeg", "png", "jxl": any sides whose product is the number of
    voxels will do.

    Attributes
    ----------
    decode : callable
        Of imagecodecs.
    sides : callable or None
        Reads them from the picture's header; None: those that writers are told to take are tried.
    jpeg : bool
    """

    decode: Function
    sides: Callable[[Bytes], Sides] | None
    jpeg: bool

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        if form.shape is None or len(form.shape) < _SPACE_AXES:
            raise NoDecoderError("is a picture of what is no volume")
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        packed = as_bytes(data)
        shape, _ = form.of()
        if self.jpeg:
            require_whole_jpeg(packed)
        channels = prod(shape[:-_SPACE_AXES])
        picture = self._picture(packed, form, channels, into if channels == 1 else None)
        if channels == 1:
            return picture.reshape(shape) if into is None else into
        return np.moveaxis(picture.reshape(*shape[-_SPACE_AXES:], channels), -1, 0).reshape(shape)

    def _picture(self, packed: Bytes, form: Form, channels: int, into: Bytes | None) -> Voxels:
        shape, dtype = form.of()
        depth, rows, columns = shape[-_SPACE_AXES:]
        known = [(depth * rows, columns), (depth, rows * columns)] if self.sides is None else [self.sides(packed)]
        problem: Exception | None = None
        for sides in known:
            if prod(sides) != depth * rows * columns:
                raise ValueError(f"is a picture of {sides[0]} x {sides[1]}, {depth * rows * columns} voxels expected")
            room = form.room(into).view(dtype).reshape(*sides, *((channels,) if channels > 1 else ()))
            try:
                self.decode(packed, out=room)
            except (ValueError, RuntimeError) as error:
                problem = error
            else:
                return room
        raise ValueError(f"is no picture of its voxels ({problem})")


@dataclass(frozen=True, slots=True)
class SegmentPicture:
    """A strip or tile of TIFF as a picture.

    Attributes
    ----------
    decode : callable
        Of imagecodecs.
    options : callable
        What it is told, by the picture's bytes.
    samples : int
        A pixel.
    segment_bytes : int
        Of a whole strip or tile: some writers fill the last one of a page up.
    jpeg : bool
    """

    decode: Function
    options: Callable[[Bytes], dict[str, Any]]  # Any: of foreign functions
    samples: int
    segment_bytes: int
    jpeg: bool

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        if form.shape is None:
            raise NoDecoderError("is a picture of what is no voxels")
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        packed = as_bytes(data)
        if self.jpeg:
            require_whole_jpeg(packed)
        try:
            found = self._picture(packed, form, form.most_bytes)
        except ValueError:
            if form.most_bytes >= self.segment_bytes:
                raise
            found = self._picture(packed, form, self.segment_bytes)
        return as_bytes(found.astype(form.dtype, copy=False))[: form.most_bytes]

    def _picture(self, packed: Bytes, form: Form, size_bytes: int) -> Voxels:
        shape, dtype = form.of()
        native = dtype.newbyteorder("=")
        pixel = shape[-2:] if self.samples > 1 else shape[-1:]
        room = np.empty((size_bytes // (prod(pixel) * native.itemsize), *pixel), native)
        self.decode(packed, out=room, **self.options(packed))
        return room


def _flat(name: str, sides: Callable[[Bytes], Sides] | None = None) -> Callable[[Codec], Step]:
    return lambda _: FlatPicture(require_native(name), sides, jpeg=sides is jpeg_sides)


def _segment(name: str) -> Callable[[Codec], Step]:
    def made(codec: Codec) -> Step:
        samples, size_bytes = number_in(codec, "samples"), number_in(codec, "segment_bytes", 1 << 62)
        return SegmentPicture(require_native(name), lambda _: {}, samples, size_bytes, jpeg=False)

    return made


def _jpeg_segment(codec: Codec) -> Step:
    samples, size_bytes = number_in(codec, "samples"), number_in(codec, "segment_bytes", 1 << 62)
    tables, photometric = codec.configuration.get("tables"), codec.configuration.get("photometric")
    fixed: dict[str, Any] = {"bitspersample": number_in(codec, "bits")}  # Any: of a foreign function
    if isinstance(tables, str):
        fixed["tables"] = b64decode(tables)
    colours = _colours(photometric, samples)
    return SegmentPicture(require_native("jpeg"), lambda data: fixed | colours(data), samples, size_bytes, jpeg=True)


def _colours(photometric: Json, samples: int) -> Callable[[Bytes], dict[str, Any]]:
    """Colours as the file means them (TIFF Technical Note 2): YCbCr becomes RGB; RGB stays, but where JFIF says not."""

    def told(data: Bytes) -> dict[str, Any]:
        if samples != _COLOURS:
            return {"outcolorspace": "CMYK"} if photometric == _CMYK else {}
        if photometric == _RGB and data[6:10].tobytes() != b"JFIF":
            return {"colorspace": "RGB", "outcolorspace": "RGB"}
        return {"outcolorspace": "RGB"} if photometric in (_RGB, _YCBCR) else {}

    return told


STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    "precomputed.jpeg": _flat("jpeg8", jpeg_sides),
    "precomputed.png": _flat("png", png_sides),
    "precomputed.jxl": _flat("jpegxl"),
    "tiff.jpeg": _jpeg_segment,
    "tiff.jpeg2k": _segment("jpeg2k"),
    "tiff.webp": _segment("webp"),
    "tiff.png": _segment("png"),
    "tiff.lerc": _segment("lerc"),
    "tiff.jpegxl": _segment("jpegxl"),
}
