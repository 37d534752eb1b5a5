"""What ImageJ writes into the first description of a file (ij.io.TiffEncoder, ij.io.FileInfo.getDescriptionString)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from emasync.formats.stored import Measure
from emasync.formats.tiff.directory import Directory

_X_RESOLUTION: Final = 282
_Y_RESOLUTION: Final = 283
_AXES: Final = (("t", "frames"), ("z", "slices"), ("c", "channels"))
"""The order of pages, the slowest first (ImageJ: hyperstacks are ``xyczt``)."""

_ESCAPE: Final = re.compile(r"\\u([0-9A-Fa-f]{4})")
_SPACING: Final = "ImageDescription: spacing"


@dataclass(frozen=True, slots=True)
class ImagejStack:
    """The stack as described.

    Attributes
    ----------
    images : int
        Pages, also those without a directory.
    lead : tuple of tuple
        Name and length of each axis that pages are counted along.
    unit : str
        Empty where none was given.
    spacing : float or None
        Between slices.
    """

    images: int
    lead: tuple[tuple[str, int], ...]
    unit: str
    spacing: float | None

    def depth(self) -> Measure | None:
        """The measure of z."""
        return Measure(self.spacing, self.unit, _SPACING) if self.spacing is not None and self.unit else None


def imagej_of(description: bytes) -> ImagejStack | None:
    r"""What a description says; None when ImageJ did not write it.

    The unit has its micro sign as the six characters ``\u00B5``: ImageJ writes ASCII.
    """
    if not description.startswith(b"ImageJ="):
        return None
    lines = (line.partition("=") for line in description.decode("latin-1").splitlines())
    told = {name: value.strip() for name, _, value in lines}
    unit = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), told.get("unit", ""))
    images = max(1, _count(told, "images"))
    lead = tuple((axis, _count(told, name)) for axis, name in _AXES if _count(told, name) > 0)
    if math.prod(length for _, length in lead) != images:
        lead = (("z", images),) if images > 1 else ()
    return ImagejStack(images, lead, "" if unit == "pixel" else unit, _positive(told.get("spacing", "")))


def _count(told: Mapping[str, str], name: str) -> int:
    text = told.get(name, "")
    return int(text) if len(text) <= 9 and text.isascii() and text.isdigit() else 0  # noqa: PLR2004 - below 2**31


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def plane_of(page: Directory, unit: str) -> dict[str, Measure | None]:
    """Measures of a page from its resolution, which ImageJ gives in pixels a unit of its own."""
    found: dict[str, Measure | None] = {}
    for axis, tag, name in (("x", _X_RESOLUTION, "XResolution"), ("y", _Y_RESOLUTION, "YResolution")):
        ratio = page.ratio(tag)
        found[axis] = Measure(1 / ratio, unit, name) if ratio is not None and unit else None
    return found
