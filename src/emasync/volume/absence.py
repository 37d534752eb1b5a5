"""Chunks without bytes: what is in those that were left out, and what is said of those that are not here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emasync.errors import ErrorKind, NotDownloaded
from emasync.formats.chunks import ChunkLayout
from emasync.formats.fill_values import fill_voxel
from emasync.model.task import escape_for_log
from emasync.volume.cache import Voxels
from emasync.volume.interface import NOT_DOWNLOADED, IndexedArray, Numbers


def fill_of(layout: ChunkLayout) -> Voxels:
    """A chunk full of the fill value, in no memory.

    Raises
    ------
    FormatError
        The value does not go with the voxels' type.
    """
    return np.broadcast_to(fill_voxel(layout), layout.chunks)


def name_of(array: IndexedArray) -> str:
    """What an array is called in messages."""
    parts = [part for part in (array.dataset, array.asset, array.path) if part]
    return escape_for_log("/".join(parts))


def place_of(number: int, grid: Sequence[int]) -> tuple[int, ...]:
    """Coordinates of a chunk by its number in C order."""
    place = list[int]()
    for size in reversed(grid):
        number, at = divmod(number, size)
        place.append(at)
    return tuple(reversed(place))


def inside_of(number: int, array: IndexedArray) -> tuple[int, ...]:
    """Voxels of a chunk that lie inside of the array, on each axis."""
    at = place_of(number, array.grid_shape)
    return tuple(
        min(chunk, size - cell * chunk) for cell, chunk, size in zip(at, array.layout.chunks, array.shape, strict=True)
    )


def require_here(array: IndexedArray, numbers: Sequence[int], files: Numbers) -> None:
    """Refuse chunks of which nobody can say what is in them.

    Parameters
    ----------
    array : IndexedArray
    numbers : sequence of int
        Of the chunks.
    files : ndarray of int64
        What the index says of each, see :class:`~emasync.volume.interface.ChunkPlaces`.

    Raises
    ------
    NotDownloaded
        ``not_downloaded``, or ``unknown_chunk``: nobody remembers.
    """
    if files.min(initial=0) <= NOT_DOWNLOADED:
        row = int(np.flatnonzero(files <= NOT_DOWNLOADED)[0])
        raise _refusal(array, numbers[row], int(files[row]))


def _refusal(array: IndexedArray, number: int, state: int) -> NotDownloaded:
    """The error that says which voxels are not here, and what can be done."""
    at = place_of(number, array.grid_shape)
    low = [cell * chunk + first for cell, chunk, first in zip(at, array.layout.chunks, array.origin, strict=True)]
    inside = inside_of(number, array)
    spans = ", ".join(
        f"{axis} {first} to {first + size}" for axis, first, size in zip(array.axes, low, inside, strict=True)
    )
    chunk = f"{name_of(array)}: the chunk of voxels {spans}"
    if state == NOT_DOWNLOADED:
        lazily = "" if "series" in array.attributes else ", or open with lazy=True"
        return NotDownloaded(
            f"{chunk} was not downloaded; run the manifest again (with a wider crop, if it has one){lazily}",
            location=name_of(array),
        )
    return NotDownloaded(
        f"{chunk} is not here, and nobody remembers whether the publisher left it out or it was never fetched; run "
        "the manifest again with --adopt, then `emasync index`",
        kind=ErrorKind.UNKNOWN_CHUNK,
        location=name_of(array),
    )
