"""Which arrays of a dataset are shown, and at which level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Final

from emasync.errors import EmasyncError
from emasync.hooks.report.drawing import SIDE
from emasync.hooks.report.extent import AT_ONCE
from emasync.hooks.report.pictures import ArrayPictures
from emasync.hooks.report.planes import spatial_axes
from emasync.hooks.report.portrait import pictures_of
from emasync.hooks.report.traces import time_axis
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.interface import IndexedArray
from emasync.volume.opening import Wanted, volume_of
from emasync.volume.orientation import CHANNELS, SPATIAL

MOST_ARRAYS: Final = 3
"""Of a dataset."""

LOOKED_AT: Final = 2_000
"""Arrays of a dataset among which these are chosen."""

CACHE_BYTES: Final = 64 << 20
"""Of decoded chunks: planes of an array share those in its centre."""


def chosen(entries: Iterable[ArrayEntry]) -> list[ArrayEntry]:
    """Arrays to show, each at the level that fills a picture with the least to read: images, segments, recordings.

    Parameters
    ----------
    entries : iterable of ArrayEntry
        Of one dataset; the first :data:`LOOKED_AT` of them.
    """
    groups: dict[tuple[str, str], list[ArrayEntry]] = {}
    recordings: list[ArrayEntry] = []
    for entry in islice(entries, LOOKED_AT):
        if entry.role not in ("image", "labels") or not _something(entry):
            continue
        if _is_recording(entry):
            recordings.append(entry)
        elif spatial_axes(entry.axes):
            groups.setdefault((entry.asset, entry.array), []).append(entry)
    levels = [_level(group) for group in groups.values()]
    images, segments = ([level for level in levels if level.role == role] for role in ("image", "labels"))
    recordings.sort(key=lambda entry: len(entry.axes), reverse=True)  # many channels before one
    return [*images[:1], *segments[:1], *images[1:], *segments[1:], *recordings][:MOST_ARRAYS]


def _is_recording(entry: ArrayEntry | IndexedArray) -> bool:
    return time_axis(entry.axes, entry.asset, entry.array) is not None


def _something(entry: ArrayEntry) -> bool:
    return not entry.bounds.empty and (entry.coverage.present > 0 or not entry.coverage.known)


def _level(group: Iterable[ArrayEntry]) -> ArrayEntry:
    """The coarsest level that fills a picture, else the finest."""
    by_size = sorted(group, key=_extent)
    return next((entry for entry in by_size if _extent(entry) >= SIDE), by_size[-1])


def _extent(entry: ArrayEntry) -> int:
    return max(entry.bounds.shape[axis] for axis in spatial_axes(entry.axes))


def selected(array: IndexedArray) -> Mapping[str, int]:
    """Where to cut the axes of an image that are neither space nor colours: at their first position."""
    if _is_recording(array):
        return {}
    names = [name.lower() for name in array.axes]
    return {
        name: array.bounds.start[axis]
        for axis, name in enumerate(names)
        if name not in (*SPATIAL, *CHANNELS) and names.count(name) == 1
    }


def known_index(root: Path, dataset: str) -> DatasetIndex | None:
    """The index of a dataset; None where it says nothing, or cannot be read, of which the hook ``index`` tells."""
    try:
        index = open_index(root, dataset)
        return index if len(index) or index.notes else None
    except EmasyncError:
        return None


def generation_of(index: DatasetIndex) -> str:
    """What changes whenever the index is made again."""
    return index.columns.folder.name


def gallery(index: DatasetIndex, hurry: Callable[[], bool]) -> tuple[ArrayPictures, ...]:
    """Pictures of a dataset.

    Parameters
    ----------
    index : DatasetIndex
    hurry : callable
        Whether to leave out what is not drawn yet.
    """
    try:
        entries = chosen(index.entries())
    except EmasyncError:
        return ()
    wanted = Wanted(root=str(index.root), dataset=index.dataset, cache_bytes=CACHE_BYTES, check=False)
    drawn = (_drawn(index, entry, wanted, hurry) for entry in takewhile(lambda _: not hurry(), entries))
    return tuple(array for array in drawn if array is not None)


def _drawn(index: DatasetIndex, entry: ArrayEntry, wanted: Wanted, hurry: Callable[[], bool]) -> ArrayPictures | None:
    """One array; None where the index is not of what is on disk any more."""
    try:
        array = index.indexed(entry)
    except EmasyncError:
        return None
    volume = partial(volume_of, index, entry, replace(wanted, select=selected(array)))
    return pictures_of(array, volume, partly=_is_partial(entry), hurry=hurry)


def _is_partial(entry: ArrayEntry) -> bool:
    """Whether a map of its chunks says something; without a ledger each is looked for on disk."""
    coverage = entry.coverage
    return not coverage.complete and (coverage.known or coverage.chunks <= AT_ONCE)
