"""Voxels of planes, and which of them are not here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emasync.errors import NotDownloaded
from emasync.hooks.report.planes import Plane, Spans
from emasync.model.geometry import Box
from emasync.volume.cache import Voxels
from emasync.volume.uncompressed import is_uncompressed
from emasync.volume.volume import Volume


class Cut(NamedTuple):
    """A plane's voxels.

    Attributes
    ----------
    voxels : ndarray
        Rows, columns, and colours where there are three.
    there : ndarray of bool
        Rows, columns: False where nothing was downloaded.
    """

    voxels: Voxels
    there: npt.NDArray[np.bool_]


def spans_of(volume: Volume) -> Spans:
    """What planning needs to know of a volume."""
    return Spans(
        axes=volume.axes,
        bounds=volume.bounds.intersect(volume.chunk_bounds),
        chunks=volume.chunks,
        first=volume.chunk_bounds.start,
        itemsize_bytes=volume.dtype.itemsize,
        fastest=_fastest(volume),
    )


def _fastest(volume: Volume) -> int | None:
    name = volume.array.axes[-1]
    plain = is_uncompressed(volume.array.layout) and volume.axes.count(name) == 1
    return volume.axes.index(name) if plain else None


def cut(volume: Volume, plane: Plane) -> Cut:
    """Read a plane; where a part of it is not here, what is.

    Raises
    ------
    EmasyncError
        It cannot be read; that a chunk was not downloaded is no error.
    """
    box = plane.box
    there = np.ones(box.shape, bool)
    try:
        voxels = volume.read(box.start, box.shape)
    except NotDownloaded:
        voxels = np.zeros(box.shape, volume.dtype)
        for part, where in _parts(box, spans_of(volume)):
            try:
                voxels[where] = volume.read(part.start, part.shape)
            except NotDownloaded:
                there[where] = False
    order = (
        plane.rows,
        plane.columns,
        *(axis for axis in range(len(box.shape)) if axis not in (plane.rows, plane.columns)),
    )
    sides = (box.shape[plane.rows], box.shape[plane.columns])
    flat = voxels.transpose(order).reshape(*sides, -1)
    return Cut(flat[..., 0] if flat.shape[-1] == 1 else flat, there.transpose(order).reshape(*sides, -1)[..., 0])


def _parts(box: Box, spans: Spans) -> Iterator[tuple[Box, tuple[slice, ...]]]:
    """The box, cut along chunk borders: each part in source coordinates, and where it lies in the box."""
    axes = [
        [(max(low, at), min(high, at + chunk)) for at in range(first + (low - first) // chunk * chunk, high, chunk)]
        for low, high, first, chunk in zip(box.start, box.stop, spans.first, spans.chunks, strict=True)
    ]
    for cell in product(*axes):
        part = Box(tuple(low for low, _ in cell), tuple(high for _, high in cell))
        where = part.moved([-low for low in box.start])
        yield part, tuple(map(slice, where.start, where.stop))
