"""Pictures of the arrays of a dataset: which arrays, at which level, and what stands below them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Final

import numpy as np

from emasync.errors import EmasyncError
from emasync.hooks.report.cutting import Cut, cut, spans_of
from emasync.hooks.report.drawing import SIDE, Bar, Side, bar_of, contrast_of, pixels_for, png
from emasync.hooks.report.extent import AT_ONCE, coverage_png, extent_of
from emasync.hooks.report.pictures import ArrayPictures, Picture
from emasync.hooks.report.planes import Plane, planes_of, spatial_axes
from emasync.model.units import NANOMETRES
from emasync.volume.absence import name_of
from emasync.volume.index import open_index
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.index_layout import LINES
from emasync.volume.interface import IndexedArray
from emasync.volume.opening import Wanted, volume_of
from emasync.volume.orientation import CHANNELS, SPATIAL
from emasync.volume.volume import Volume

MOST_ARRAYS: Final = 3
"""Of a dataset."""

LOOKED_AT: Final = 2_000
"""Arrays of a dataset among which these are chosen."""

CACHE_BYTES: Final = 64 << 20
"""Of decoded chunks: planes of an array share those in its centre."""

_MICROMETRES: Final = 1_000.0
"""Nanometres from which on voxels are told in micrometres."""

_SEGMENTS: Final = frozenset("biu")
"""Kinds of numpy's types that can name segments."""


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


def gallery(root: Path, dataset: str, hurry: Callable[[], bool]) -> tuple[ArrayPictures, ...]:
    """Pictures of a dataset; none where it has no index that can be read.

    Parameters
    ----------
    root : Path
    dataset : str
    hurry : callable
        Whether to stop after the next array.
    """
    try:
        index = open_index(root, dataset)
        entries = chosen(index.entries())
    except EmasyncError:  # the hook that makes indexes tells of it
        return ()
    wanted = Wanted(root=str(root), dataset=dataset, cache_bytes=CACHE_BYTES, check=False)
    shown = []
    for entry in entries:
        if hurry():
            break
        array = index.indexed(entry, check=False)
        volume = partial(volume_of, index, entry, replace(wanted, select=selected(array)))
        shown.append(pictures_of(array, volume, partly=_is_partial(entry), hurry=hurry))
    return tuple(shown)


def _is_partial(entry: ArrayEntry) -> bool:
    """Whether a map of its chunks says something; without a ledger each is looked for on disk."""
    coverage = entry.coverage
    return not coverage.complete and (coverage.known or coverage.chunks <= AT_ONCE)


def index_digest(root: Path, dataset: str) -> str:
    """SHA-256 of what the index says of all arrays; empty where there is no index that can be read."""
    try:
        index = open_index(root, dataset)
        with (index.columns.folder / LINES).open("rb") as lines:
            return hashlib.file_digest(lines, "sha256").hexdigest()
    except (EmasyncError, OSError):
        return ""


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
    planes, note = tuple[Picture, ...](), None
    try:
        planes = tuple(_planes(open_volume(), hurry))
    except EmasyncError as error:
        note = error.message
    return ArrayPictures(
        name=name_of(array).removeprefix(f"{array.dataset}/"),
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
    planes = planes_of(spans_of(volume))
    cuts = [cut(volume, plane) for plane in takewhile(lambda _: not hurry(), planes)]
    segments = volume.array.role == "labels" and volume.dtype.kind in _SEGMENTS
    contrast = None if segments else contrast_of(cuts)
    sides = [_sides(volume, plane) for plane in planes]
    scale = pixels_for(chain.from_iterable(sides)) if planes else 1.0
    for plane, seen, (rows, columns) in zip(planes, cuts, sides, strict=False):
        bar = None if volume.voxel_size_nm is None else bar_of(columns.extent, scale)
        size = max(1, round(columns.extent * scale)), max(1, round(rows.extent * scale))
        caption = _caption(volume, plane, seen, bar)
        data = png(seen, size, contrast=contrast, bar=bar)
        yield Picture(data=data, alt=f"{name_of(volume.array)}: plane {caption}", caption=caption)


def _sides(volume: Volume, plane: Plane) -> tuple[Side, Side]:
    spatial = spatial_axes(volume.axes)
    steps = dict(zip(spatial, volume.voxel_size_nm or (1.0,) * len(spatial), strict=True))
    shape = plane.box.shape
    return Side(shape[plane.rows], steps[plane.rows]), Side(shape[plane.columns], steps[plane.columns])


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
