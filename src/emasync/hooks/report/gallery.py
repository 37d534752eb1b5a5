"""Pictures of the arrays of a dataset: which arrays, at which level, and what stands below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from emasync.errors import EmasyncError
from emasync.hooks.report.cutting import Cut, cut, spans_of
from emasync.hooks.report.drawing import SIDE, Bar, contrast_of, png
from emasync.hooks.report.extent import coverage_png, extent_of
from emasync.hooks.report.planes import Plane, planes_of, spatial_axes
from emasync.model.units import NANOMETRES
from emasync.volume.absence import name_of
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.interface import IndexedArray
from emasync.volume.orientation import CHANNELS, SPATIAL
from emasync.volume.volume import Volume

MOST_ARRAYS: Final = 3
"""Of a dataset."""

LOOKED_AT: Final = 2_000
"""Arrays of a dataset among which these are chosen."""

_SEGMENTS: Final = frozenset("biu")
"""Kinds of numpy's types that can name segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture.

    Attributes
    ----------
    data : bytes
        PNG.
    alt : str
        For who does not see it.
    caption : str
    """

    data: bytes
    alt: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayPictures:
    """An array in pictures.

    Attributes
    ----------
    name : str
    about : str
        Level, shape, voxel size, type.
    planes : tuple of Picture
    coverage : Picture or None
        Of an array that is here in part.
    note : str or None
        Why something is not shown.
    """

    name: str
    about: str
    planes: tuple[Picture, ...] = ()
    coverage: Picture | None = None
    note: str | None = None


def chosen(entries: Iterable[ArrayEntry]) -> list[ArrayEntry]:
    """Arrays to show, each at the level that fills a picture with the least to read: images before segments.

    Parameters
    ----------
    entries : iterable of ArrayEntry
        Of one dataset; the first :data:`LOOKED_AT` of them.
    """
    groups: dict[tuple[str, str], list[ArrayEntry]] = {}
    for entry in islice(entries, LOOKED_AT):
        if entry.role in ("image", "labels") and spatial_axes(entry.axes) and _something(entry):
            groups.setdefault((entry.asset, entry.array), []).append(entry)
    levels = [_level(group) for group in groups.values()]
    images, segments = ([level for level in levels if level.role == role] for role in ("image", "labels"))
    return [*images[:1], *segments[:1], *images[1:], *segments[1:]][:MOST_ARRAYS]


def _something(entry: ArrayEntry) -> bool:
    return not entry.bounds.empty and (entry.coverage.present > 0 or not entry.coverage.known)


def _level(group: Iterable[ArrayEntry]) -> ArrayEntry:
    """The coarsest level that fills a picture, else the finest."""
    by_size = sorted(group, key=_extent)
    return next((entry for entry in by_size if _extent(entry) >= SIDE), by_size[-1])


def _extent(entry: ArrayEntry) -> int:
    return max(entry.bounds.shape[axis] for axis in spatial_axes(entry.axes))


def selected(array: IndexedArray) -> Mapping[str, int]:
    """Where to cut the axes that are neither space nor colours: at their first position."""
    names = [name.lower() for name in array.axes]
    return {
        name: array.bounds.start[axis]
        for axis, name in enumerate(names)
        if name not in (*SPATIAL, *CHANNELS) and names.count(name) == 1
    }


def pictures_of(array: IndexedArray, open_volume: Callable[[IndexedArray], Volume], *, partly: bool) -> ArrayPictures:
    """Read and draw an array; what cannot be read is said in place of a picture.

    Parameters
    ----------
    array : IndexedArray
    open_volume : callable
    partly : bool
        Whether some of its chunks are not here.
    """
    planes, note = tuple[Picture, ...](), None
    try:
        planes = tuple(_planes(open_volume(array)))
    except EmasyncError as error:
        note = error.message
    return ArrayPictures(
        name=name_of(array),
        about=_about(array),
        planes=planes,
        coverage=_coverage(array) if partly else None,
        note=note,
    )


def _about(array: IndexedArray) -> str:
    sizes = " \u00d7 ".join(map(str, array.bounds.shape))
    steps = [_step_nm(array, axis) for axis in spatial_axes(array.axes)]
    voxel = "voxel size unknown" if None in steps else f"voxels of {_lengths(steps)}"
    level = f"level {array.scale}, " if array.scale else ""
    return f"{level}{''.join(array.axes)} {sizes}, {voxel}, {array.layout.dtype.lstrip('<>|=')}"


def _lengths(sizes_nm: Iterable[float | None]) -> str:
    return " \u00d7 ".join(f"{size:.4g}" for size in sizes_nm if size is not None) + " nm"


def _step_nm(array: IndexedArray, axis: int) -> float | None:
    measure = array.measures[axis]
    unit_nm = None if measure is None else NANOMETRES.get(measure.unit.lower())
    return None if measure is None or unit_nm is None else measure.value * unit_nm


def _planes(volume: Volume) -> Iterator[Picture]:
    planes = planes_of(spans_of(volume))
    cuts = [cut(volume, plane) for plane in planes]
    segments = volume.array.role == "labels" and volume.dtype.kind in _SEGMENTS
    contrast = None if segments else contrast_of(cuts)
    for plane, seen in zip(planes, cuts, strict=True):
        steps = _steps_nm(volume, plane)
        data, bar = png(seen, contrast=contrast, steps_nm=steps)
        caption = _caption(volume, plane, seen, bar)
        yield Picture(data=data, alt=f"{name_of(volume.array)}: plane {caption}", caption=caption)


def _steps_nm(volume: Volume, plane: Plane) -> tuple[float, float] | None:
    sizes = volume.voxel_size_nm
    if sizes is None:
        return None
    by_axis = dict(zip(spatial_axes(volume.axes), sizes, strict=True))
    return by_axis[plane.rows], by_axis[plane.columns]


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
        caption=f"{extent.rows}, {extent.columns}; {told}; blue is here, grey left out, orange not downloaded",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
