"""Pictures of one array, and what stands below them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, takewhile
from typing import Final

import numpy as np

from emasync.errors import EmasyncError
from emasync.hooks.report.cutting import Cut, cut, spans_of
from emasync.hooks.report.drawing import Bar, Side, bar_of, contrast_of, pixels_for, png
from emasync.hooks.report.extent import coverage_png, extent_of
from emasync.hooks.report.pictures import ArrayPictures, Picture
from emasync.hooks.report.planes import Plane, planes_of, spatial_axes
from emasync.hooks.report.traces import about, time_axis, traces_of
from emasync.model.units import NANOMETRES
from emasync.volume.absence import name_of
from emasync.volume.interface import IndexedArray
from emasync.volume.orientation import SPATIAL
from emasync.volume.volume import Volume

_MICROMETRES: Final = 1_000.0
"""Nanometres from which on voxels are told in micrometres."""

_LEAST_NM, _MOST_NM = 1e-6, 1e12
"""Sizes of voxels beyond are nonsense that somebody wrote."""

_SEGMENTS: Final = frozenset("biu")
"""Kinds of numpy's types that can name segments."""

_log = logging.getLogger("emasync")


def pictures_of(
    array: IndexedArray,
    open_volume: Callable[[], Volume],
    *,
    partly: bool,
    hurry: Callable[[], bool] = lambda: False,
) -> ArrayPictures:
    """Read and draw an array; what cannot be read is said in place of a picture.

    Parameters
    ----------
    array : IndexedArray
    open_volume : callable
    partly : bool
        Whether some of its chunks are not here, or nobody knows.
    hurry : callable
        Whether to leave out what is not drawn yet.
    """
    time = time_axis(array.axes, array.asset, array.array)
    draw, told = (_planes, _about(array)) if time is None else (traces_of, about(array, time))
    shown = ArrayPictures(name=name_of(array).removeprefix(f"{array.dataset}/"), about=told)
    try:
        coverage = _coverage(array) if partly else None
        return replace(shown, planes=tuple(draw(open_volume(), hurry)), coverage=coverage)
    except EmasyncError as error:
        return replace(shown, note=error.message)
    except Exception as error:  # noqa: BLE001 - whatever a library makes of odd voxels costs one picture
        _log.exception("%s cannot be drawn", shown.name)
        return replace(shown, note=f"{type(error).__name__}: {error}")


def _about(array: IndexedArray) -> str:
    sizes = " \u00d7 ".join(map(str, array.bounds.shape))
    steps = [_step_nm(array, axis) for axis in spatial_axes(array.axes)]
    voxel = "voxel size unknown" if None in steps else f"voxels of {_lengths(steps)}"
    level = f"level {array.scale}, " if array.scale else ""
    return f"{level}{''.join(array.axes)} {sizes}, {voxel}, {np.dtype(array.layout.dtype).name}"


def _lengths(sizes_nm: Iterable[float | None]) -> str:
    known = [size for size in sizes_nm if size is not None]
    unit, unit_nm = ("\u00b5m", 1e3) if min(known) >= _MICROMETRES else ("nm", 1.0)
    return " \u00d7 ".join(f"{size / unit_nm:.4g}" for size in known) + f" {unit}"


def _step_nm(array: IndexedArray, axis: int) -> float | None:
    measure = array.measures[axis]
    unit_nm = None if measure is None else NANOMETRES.get(measure.unit.lower())
    return None if measure is None or unit_nm is None else measure.value * unit_nm


def _planes(volume: Volume, hurry: Callable[[], bool]) -> Iterator[Picture]:
    planes, steps = planes_of(spans_of(volume)), _steps_nm(volume)
    cuts = [cut(volume, plane) for plane in takewhile(lambda _: not hurry(), planes)]
    contrast = None if _are_segments(volume, cuts) else contrast_of(cuts)
    sides = [_sides(plane, steps or {}) for plane in planes]
    scale = pixels_for(chain.from_iterable(sides)) if planes else 1.0
    for plane, seen, (rows, columns) in zip(planes, cuts, sides, strict=False):
        bar = None if steps is None else bar_of(columns.extent, scale)
        size = max(1, round(columns.extent * scale)), max(1, round(rows.extent * scale))
        caption = _caption(volume, plane, seen, bar)
        data = png(seen, size, contrast=contrast, bar=bar)
        yield Picture(data=data, alt=f"{name_of(volume.array)}: plane {caption}", caption=caption)


def _are_segments(volume: Volume, cuts: Iterable[Cut]) -> bool:
    named = volume.array.role == "labels" and volume.dtype.kind in _SEGMENTS
    return named and all(seen.voxels.ndim == 2 for seen in cuts)  # noqa: PLR2004 - no colours already


def _steps_nm(volume: Volume) -> dict[int, float] | None:
    """Size of a voxel along each axis of space; None where one is not known, or cannot be."""
    sizes, spatial = volume.voxel_size_nm, spatial_axes(volume.axes)
    if sizes is None or not all(_LEAST_NM <= size <= _MOST_NM for size in sizes):
        return None
    return dict(zip(spatial, sizes, strict=False))


def _sides(plane: Plane, steps_nm: Mapping[int, float]) -> tuple[Side, Side]:
    rows, columns = (Side(plane.box.shape[axis], steps_nm.get(axis, 1.0)) for axis in (plane.rows, plane.columns))
    return rows, columns


def _caption(volume: Volume, plane: Plane, seen: Cut, bar: Bar | None) -> str:
    axes, start = volume.axes, plane.box.start
    places = [f"at {axes[axis]} = {start[axis]:,}" for axis in plane.across if axes[axis].lower() in SPATIAL]
    parts = [
        " ".join((f"{axes[plane.rows]}, {axes[plane.columns]}", *places)),
        f"bar {bar.label}" if bar else "",
        "" if plane.whole else "the middle of it",
    ]
    parts.append("" if seen.there.all() else "not all of it is here")
    return "; ".join(part for part in parts if part)


def _coverage(array: IndexedArray) -> Picture:
    extent = extent_of(array)
    here, left_out = (float(shares.mean()) for shares in (extent.present, extent.left_out))
    told = f"{_percent(here)} of the chunks are here, {_percent(left_out)} were left out by the publisher"
    return Picture(
        data=coverage_png(extent),
        alt=f"{name_of(array)}: {told}",
        caption=f"{extent.rows}, {extent.columns}; {told}; blue: here, grey: left out, orange: not here, or not known",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
