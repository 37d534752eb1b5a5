"""Boxes in the world: what one dataset cut out, for another to cut out as well. Pure arithmetic.

Two volumes of one specimen differ in size, resolution and offset; what they share are nanometres. A box is carried
over by its edges, rounded outward, and clipped to the volume that takes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from emasync.errors import SourceError
from emasync.formats.interface import Axis, LevelDescription, MultiscaleDescription
from emasync.model.geometry import Box
from emasync.model.units import NANOMETRES
from emasync.plan.boxes import Crop, level_box, place_name, source_origin, spatial_axes

_TOLERANCE = 1e-3  # voxels; published sizes carry float noise


@dataclass(frozen=True, slots=True)
class Extent:
    """A box in the world, in nanometres, order z, y, x (or y, x).

    Attributes
    ----------
    start, stop : tuple of float
        Edges.
    """

    start: tuple[float, ...]
    stop: tuple[float, ...]


def extent_of(image: MultiscaleDescription, box: Box, scale: int) -> Extent:
    """Take a box of one level to the world.

    Parameters
    ----------
    image : MultiscaleDescription
    box : Box
        Spatial, source coordinates of level `scale`.
    scale : int

    Raises
    ------
    SourceError
        The image states no unit of length, or the box does not lie inside.
    """
    finest = image.levels[0]
    reference = next(level for level in image.levels if level.number == scale)
    inside = level_box(reference, finest, Crop(box, {}))
    edges = [_edges(image, finest, axis) for axis in _spatial(finest)]
    rows = list(zip(_spatial(finest), edges, strict=True))
    return Extent(
        tuple(first + inside.start[axis] * size for axis, (first, size) in rows),
        tuple(first + inside.stop[axis] * size for axis, (first, size) in rows),
    )


def box_of(image: MultiscaleDescription, extent: Extent) -> Box:
    """Whole voxels of the finest level around an extent, clipped to the volume.

    Parameters
    ----------
    image : MultiscaleDescription
    extent : Extent

    Returns
    -------
    Box
        Spatial, source coordinates.

    Raises
    ------
    SourceError
        They have no place in common, differ in their axes, or the image states no unit of length.
    """
    finest = image.levels[0]
    axes = _spatial(finest)
    if len(axes) != len(extent.start):
        raise SourceError(
            f"{place_name(image.path)}: a box of {len(extent.start)} axes cannot be taken over by {len(axes)}",
            location=image.path,
        )
    start, stop = [], []
    for axis, low_nm, high_nm in zip(axes, extent.start, extent.stop, strict=True):
        first, size = _edges(image, finest, axis)
        start.append(max(0, floor((low_nm - first) / size + _TOLERANCE)))
        stop.append(min(finest.array.shape[axis], ceil((high_nm - first) / size - _TOLERANCE)))
    if any(low >= high for low, high in zip(start, stop, strict=True)):
        raise SourceError(
            f"{place_name(image.path)}: nothing of it lies in the box that was to be taken over, which is from "
            f"{list(extent.start)} to {list(extent.stop)} nm (z, y, x)",
            location=image.path,
        )
    return Box(tuple(start), tuple(stop)).moved(source_origin(finest.array, len(axes)))


def _spatial(level: LevelDescription) -> tuple[int, ...]:
    return spatial_axes(level.array.axes, len(level.array.shape))


def _edges(image: MultiscaleDescription, level: LevelDescription, axis: int) -> tuple[float, float]:
    """Where the first voxel begins and how large voxels are, nanometres."""
    unit_nm = _unit_nm(image, image.axes[axis])
    transform = level.transform.then(image.transform)
    size = transform.scale[axis]
    if size <= 0:
        raise SourceError(f"{place_name(image.path)}: voxels of size {size} on axis {axis}", location=image.path)
    return (transform.translation[axis] - size / 2) * unit_nm, size * unit_nm


def _unit_nm(image: MultiscaleDescription, axis: Axis) -> float:
    found = NANOMETRES.get((axis.unit or "").lower())
    if found is None:
        raise SourceError(
            f"{place_name(image.path)}: axis {axis.name} is in {axis.unit or 'no unit'}, so its boxes cannot be "
            "carried over to another dataset; write the box as start and shape",
            location=image.path,
        )
    return found
