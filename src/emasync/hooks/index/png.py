"""Grey pictures in PNG files, as slices of a series (PNG specification, third edition, section 11.2.1, ``IHDR``)."""

from __future__ import annotations

import struct
from typing import Final

from emasync.formats.stored import ByteSource, Codec, StoredArray

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_HEADER: Final = struct.Struct(">IIBBBBB")
_GREY: Final = 0
_DTYPES: Final = {8: "|u1", 16: "<u2"}
_MOST: Final = 1 << 20


def png_slice(file: ByteSource, notes: list[str]) -> StoredArray | None:
    """The plane that a file holds; None where it holds none of grey values.

    Parameters
    ----------
    file : ByteSource
    notes : list of str
        Grows.
    """
    head = file.read(0, len(_SIGNATURE) + _HEADER.size)
    if not head.startswith(_SIGNATURE) or len(head) < len(_SIGNATURE) + _HEADER.size:
        notes.append(f"{file.name}: no PNG file")
        return None
    width, height, bits, colour, *_ = _HEADER.unpack_from(head, len(_SIGNATURE))
    if colour != _GREY or bits not in _DTYPES or not (0 < width <= _MOST and 0 < height <= _MOST):
        notes.append(
            f"{file.name}: a PNG of {width} x {height} pixels, colour type {colour}, {bits} bits; slices of a series "
            "are grey, of 8 or 16 bits"
        )
        return None
    return StoredArray(
        path="",
        shape=(height, width),
        chunks=(height, width),
        dtype=_DTYPES[bits],
        axes=("y", "x"),
        measures=(None, None),
        whole=None,
        codecs=(Codec("precomputed.png"),),
    )
