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
    """The box in its array, seen along z and along y; none where all of the array was asked for, or nobody knows."""
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
    picture = Image.new("RGB", (_pixels(whole[columns], scale), _pixels(whole[rows], scale)), LEFT_OUT)
    left, upper = box.start[columns] * scale, box.start[rows] * scale
    right = max(left + LEAST, box.stop[columns] * scale) - 1
    lower = max(upper + LEAST, box.stop[rows] * scale) - 1
    ImageDraw.Draw(picture).rectangle((left, upper, right, lower), fill=PRESENT)
    out = io.BytesIO()
    picture.save(out, format="PNG")
    share = 100 * prod(box.shape) / prod(whole)
    sides = f"{_ZYX[rows]}, {_ZYX[columns]}"
    counts = " \u00d7 ".join(map(str, whole))
    told = f"the box in its array: {sides}; {share:.3g} % of {counts} voxels"
    return Picture(data=out.getvalue(), alt=told, caption=told)


def _pixels(count: int, scale: float) -> int:
    return max(LEAST, round(count * scale))
