"""OME-XML in the first description of a file (OME-TIFF specification; OME data model 2016-06)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from emasync.formats.stored import Measure
from emasync.formats.tiff.stack import Order

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_XML_BYTES: Final = 16 << 20
MAX_PLANES: Final = 1 << 24
MAX_IMAGES: Final = 10_000
_ORDERS: Final = frozenset(("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeImage:
    """One image of the document.

    Attributes
    ----------
    name : str
        Its ``ID``.
    lead : tuple of tuple
        Name and length of each axis that planes are counted along, the slowest first.
    size : tuple of int
        Rows, columns.
    measures : dict
        By name of the axis.
    pages : ndarray of int64
        The page of the file that each plane is; -1 for planes of other files and for missing ones.
    elsewhere : tuple of str
        Names of other files that planes lie in.
    """

    name: str
    lead: tuple[tuple[str, int], ...]
    size: tuple[int, int]
    measures: dict[str, Measure | None]
    pages: Order
    elsewhere: tuple[str, ...]


class OmeError(ValueError):
    """The document contradicts the data model."""


def is_ome(description: bytes) -> bool:
    """Whether a description is OME-XML."""
    return description.rstrip().endswith(b"OME>") and b"<" in description[:16]


def ome_images(description: bytes, pages: int | None) -> tuple[OmeImage, ...]:
    """The images of a document.

    Parameters
    ----------
    description : bytes
    pages : int or None
        Of the file: what ``TiffData`` without numbers counts. None: as many as an image has planes.

    Raises
    ------
    OmeError
        No OME-XML, or nothing that can be used.
    """
    try:
        root = fromstring(description, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise OmeError(f"OME-XML does not parse: {type(error).__name__} {error}") from error
    uuid = root.get("UUID", "")
    images = [node for node in root if _local(node) == "Image"]
    if len(images) > MAX_IMAGES:
        raise OmeError(f"OME-XML of more than {MAX_IMAGES} images")
    found: list[OmeImage] = []
    room = MAX_PLANES
    for number, node in enumerate(images):
        found.append(_image(node, number, uuid, pages=pages, room=room))
        room -= len(found[-1].pages)
    return tuple(found)


def _local(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _children(node: Element, name: str) -> Iterator[Element]:
    return (child for child in node if _local(child) == name)


def _image(node: Element, number: int, uuid: str, *, pages: int | None, room: int) -> OmeImage:
    pixels = next(_children(node, "Pixels"), None)
    if pixels is None:
        raise OmeError(f"image {number} has no Pixels")
    order = pixels.get("DimensionOrder", "")
    sizes = {axis: _whole(pixels, f"Size{axis}") for axis in "XYZCT"}
    channels = list(_children(pixels, "Channel"))
    samples = _whole(channels[0], "SamplesPerPixel", 1) if channels else 1
    if order not in _ORDERS or min(sizes.values()) < 1 or samples < 1 or sizes["C"] % samples:
        raise OmeError(f"image {number} has sizes {sizes} in the order {order[:8]!r}")
    sizes["C"] //= samples  # planes of several samples
    lead = tuple((axis.lower(), sizes[axis]) for axis in reversed(order[2:]))
    if math.prod(length for _, length in lead) > room:
        raise OmeError(f"image {number} brings more than {MAX_PLANES} planes")
    found, elsewhere = _pages(pixels, lead, uuid, pages)
    return OmeImage(
        name=node.get("ID", f"Image:{number}")[:100],
        lead=lead,
        size=(sizes["Y"], sizes["X"]),
        measures={axis.lower(): _measure(pixels, axis) for axis in "XYZ"},
        pages=found,
        elsewhere=elsewhere,
    )


def _whole(node: Element, name: str, default: int = 0) -> int:
    text = node.get(name, str(default))
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1  # noqa: PLR2004 - of 32 bits


def _measure(pixels: Element, axis: str) -> Measure | None:
    """A physical size; the unit is the micrometre where none is given."""
    name = f"PhysicalSize{axis}"
    try:
        value = float(pixels.get(name, ""))
    except ValueError:
        return None
    if not math.isfinite(value) or value <= 0:
        return None
    return Measure(value, pixels.get(f"{name}Unit", "µm")[:50], f"ImageDescription: Pixels/{name}")


def _pages(
    pixels: Element, lead: tuple[tuple[str, int], ...], uuid: str, pages: int | None
) -> tuple[Order, tuple[str, ...]]:
    """The page of each plane; without ``TiffData`` they come as they are counted."""
    found = np.full(math.prod(length for _, length in lead), -1, np.int64)
    elsewhere: dict[str, None] = {}
    room = MAX_PLANES
    blocks = list(_children(pixels, "TiffData"))
    for block in blocks:
        file = next(_children(block, "UUID"), None)
        if file is not None and (file.text or "").strip() != uuid:
            elsewhere[file.get("FileName", "")[:200]] = None
            continue
        first, page, count = _block(block, lead, len(found) if pages is None else pages)
        room -= count
        if first + count > len(found) or (pages is not None and page + count > pages) or room < 0:
            raise OmeError(f"TiffData puts {count} planes from page {page}; the file has {pages}")
        found[first : first + count] = np.arange(page, page + count)
    if not blocks:
        count = len(found) if pages is None else min(pages, len(found))
        found[:count] = np.arange(count)
    return found, tuple(elsewhere)


def _block(block: Element, lead: tuple[tuple[str, int], ...], pages: int) -> tuple[int, int, int]:
    """First plane, first page and number of planes; without ``IFD`` and ``PlaneCount`` it is all pages of the file."""
    first = 0
    for axis, length in lead:
        at = _whole(block, f"First{axis.upper()}")
        if not 0 <= at < length:
            raise OmeError(f"TiffData begins at plane {at} of {length} along {axis}")
        first = first * length + at
    page = _whole(block, "IFD")
    count = _whole(block, "PlaneCount", 1 if "IFD" in block.attrib else pages)
    if min(page, count) < 0:
        raise OmeError("TiffData counts from below 0")
    return first, page, count
