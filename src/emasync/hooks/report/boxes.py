"""Where a box lies in the array that it was cut out of: two views, drawn at one scale."""

from __future__ import annotations

import io
from math import prod
from typing import Final

from emasync.hooks.report.described import DescribedAsset
from emasync.hooks.report.extent import LEFT_OUT, PRESENT
from emasync.hooks.report.pictures import Picture
from emasync.model.geometry import Box

SIDE: Final = 140
"""Pixels along the longest side of the array."""

LEAST: Final = 3
"""Pixels: a box is a dot at least."""

_ZYX: Final = ("z", "y", "x")


def box_pictures(asset: DescribedAsset) -> tuple[Picture, ...]:
    """The box, seen along z and along y, in this order; none where all was asked for, or nobody knows."""
    shape = [_number(asset, f"shape_{axis}") for axis in _ZYX]
    start = [_number(asset, f"box_start_{axis}") for axis in _ZYX]
    size = [_number(asset, f"box_shape_{axis}") for axis in _ZYX]
    if None in (*shape, *start, *size) or not all(shape):
        return ()
    whole = [count or 0 for count in shape]
    box = Box.from_shape([at or 0 for at in start], [count or 0 for count in size])
    return tuple(_view(whole, box, rows, 2) for rows in (1, 0))


def _number(asset: DescribedAsset, name: str) -> int | None:
    said = asset.fields.get(name)
    return int(said.value) if said is not None and said.value.isdecimal() else None


def _view(whole: list[int], box: Box, rows: int, columns: int) -> Picture:
    from PIL import Image, ImageDraw  # noqa: PLC0415 - an extra

    scale = SIDE / max(whole)
    width, height = _pixels(whole[columns], scale), _pixels(whole[rows], scale)
    left, right = _painted(box, columns, scale, width)
    upper, lower = _painted(box, rows, scale, height)
    picture = Image.new("RGB", (width, height), LEFT_OUT)
    ImageDraw.Draw(picture).rectangle((left, upper, right, lower), fill=PRESENT)
    out = io.BytesIO()
    picture.save(out, format="PNG")
    share = 100 * prod(box.shape) / prod(whole)
    told = f"{share:.3g} % of an array of {' x '.join(map(str, whole))} voxels"
    return Picture(
        data=out.getvalue(), alt=f"the box in its array, {_ZYX[rows]} over {_ZYX[columns]}: {told}", caption=told
    )


def _painted(box: Box, axis: int, scale: float, side: int) -> tuple[int, int]:
    """First and last pixel of the box along an axis, inside of the picture."""
    first = min(round(box.start[axis] * scale), side - LEAST)
    return first, max(first + LEAST, min(side, round(box.stop[axis] * scale))) - 1


def _pixels(count: int, scale: float) -> int:
    return max(LEAST, round(count * scale))
