"""Boxes of voxels on arrays and across the levels of an image. Pure arithmetic.

Boxes are half-open and in voxels. A voxel is the cell around its centre: level ``i`` of an image puts the centre of
index ``n`` at ``scale * n + translation``, so the cell's edges lie half a voxel beside it. A box goes from one level
to another by its *edges*, and is rounded outward there. Two kinds of pyramids are in use and both are met exactly:

- translations that grow by half a voxel a level (OpenOrganelle): the grids share their edges in the world;
- no translations although voxels were averaged in blocks (many writers): taken literally the grids would share the
  first *centre*, and every box would grow by a voxel; they share the first *edge* instead.

Anything else is taken literally (OME-NGFF 0.4, section "multiscales", "coordinateTransformations").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from emasync.errors import SourceError
from emasync.formats.interface import ArrayDescription, LevelDescription, Transform
from emasync.model.geometry import Box
from emasync.model.task import escape_for_log

_EDGE_TOLERANCE = 1e-3  # voxels; published scales carry float noise (11.840000000000002)
_OFFSET_TOLERANCE = 0.02  # of a finest voxel, when telling half-voxel translations from none
_SPATIAL = ("z", "y", "x")


@dataclass(frozen=True, slots=True)
class Crop:
    """What is cut out of arrays.

    Attributes
    ----------
    box : Box or None
        On the spatial axes, order z, y, x; None: all of them.
    select : mapping of str to int
        One index on some of the other axes.
    """

    box: Box | None
    select: Mapping[str, int]

    @property
    def anything(self) -> bool:
        """Whether anything is cut off."""
        return self.box is not None or bool(self.select)


def spatial_axes(axes: Sequence[str] | None, count: int) -> tuple[int, ...]:
    """Which axes of an array are z, y, x (or y, x), in that order.

    Parameters
    ----------
    axes : sequence of str or None
        Names; those called z, y and x (in either case) are meant. Without such names the last three are.
    count : int
        Number of axes.
    """
    names = [name.lower() for name in axes or ()]
    if "y" in names and "x" in names:
        return tuple(names.index(name) for name in _SPATIAL if name in names)
    return tuple(range(max(0, count - 3), count))


def array_box(array: ArrayDescription, crop: Crop) -> Box:
    """Lay a crop, given in source coordinates, over all axes of `array`, in its own voxels from zero.

    Raises
    ------
    SourceError
        It does not lie inside, or names an axis or index that is not there.
    """
    start, stop = [0] * len(array.shape), list(array.shape)
    spatial = spatial_axes(array.axes, len(array.shape))
    if crop.box is not None:
        for axis, low, high in _spatial_spans(array, from_source(array, crop.box), spatial):
            if not 0 <= low < high <= array.shape[axis]:
                raise _outside(array, crop.box, spatial)
            start[axis], stop[axis] = low, high
    for axis, index in _picked(array, crop.select, spatial):
        start[axis], stop[axis] = index, index + 1
    return Box(tuple(start), tuple(stop))


def _spatial_spans(array: ArrayDescription, box: Box, spatial: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """(array axis, low, high); a 3-D box fits a 2-D array where its z is the one plane there is."""
    extra = len(box.start) - len(spatial)
    flat = all(span == (0, 1) for span in zip(box.start[:extra], box.stop[:extra], strict=True)) if extra > 0 else False
    if extra and not flat:
        raise SourceError(
            f"{place_name(array.path)}: a box of {len(box.start)} axes does not fit an array of shape "
            f"{list(array.shape)} with {len(spatial)} spatial axes",
            location=array.path,
        )
    yield from zip(spatial, box.start[extra:], box.stop[extra:], strict=True)


def _picked(array: ArrayDescription, select: Mapping[str, int], spatial: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    names = [name.lower() for name in array.axes or ()]
    others = [name for axis, name in enumerate(names) if axis not in spatial]
    for name, index in select.items():
        if name.lower() not in others:
            known = ", ".join(others) or "none"
            raise SourceError(
                f"{place_name(array.path)}: select names axis {name!r}; axes to select from: {known}",
                location=array.path,
            )
        axis = names.index(name.lower())
        if not 0 <= index < array.shape[axis]:
            raise SourceError(
                f"{place_name(array.path)}: select {name}: {index} is beyond the {array.shape[axis]} there are",
                location=array.path,
            )
        yield axis, index


def _outside(array: ArrayDescription, box: Box, spatial: tuple[int, ...]) -> SourceError:
    shape = [array.shape[axis] for axis in spatial]
    first = [(array.origin or (0,) * len(array.shape))[axis] for axis in spatial]
    begins = f" that begins at {first}" if any(first) else ""
    return SourceError(
        f"{place_name(array.path)}: crop {list(box.start)} to {list(box.stop)} is not inside the array of shape "
        f"{shape}{begins} (z, y, x); choose a box that is",
        location=array.path,
    )


def source_origin(array: ArrayDescription, axes: int) -> tuple[int, ...]:
    """Source coordinates of the first voxel on the last `axes` spatial axes; zeros before those that there are."""
    if array.origin is None:
        return (0,) * axes
    origin = tuple(array.origin[axis] for axis in spatial_axes(array.axes, len(array.shape)))[-axes:]
    return (*(0 for _ in range(axes - len(origin))), *origin)


def from_source(array: ArrayDescription, box: Box) -> Box:
    """Take a spatial box from source coordinates to voxels counted from the array's first."""
    return box.moved([-first for first in source_origin(array, len(box.start))])


def level_box(reference: LevelDescription, level: LevelDescription, crop: Crop) -> Box:
    """Take a crop given in voxels of `reference` to voxels of `level`, rounded outward.

    Raises
    ------
    SourceError
        As :func:`array_box`, or a scale that is not positive.
    """
    if crop.box is None or level.number == reference.number:
        return array_box(level.array, crop)
    there = array_box(reference.array, Crop(crop.box, {}))
    here = array_box(level.array, Crop(None, crop.select))
    start, stop = list(here.start), list(here.stop)
    for axis in spatial_axes(reference.array.axes, len(there.start)):
        span = (there.start[axis], there.stop[axis])
        exact = reference.exact and level.exact
        low, high = _map_span(span, _on_axis(reference, axis), _on_axis(level, axis), exact=exact)
        start[axis], stop[axis] = _outward(low, high, level.array.shape[axis])
    return Box(tuple(start), tuple(stop))


def _on_axis(level: LevelDescription, axis: int) -> tuple[float, float]:
    transform: Transform = level.transform
    scale = transform.scale[axis]
    if scale <= 0:
        raise SourceError(
            f"{place_name(level.array.path)}: scale {scale} on axis {axis}; a crop needs positive scales to be mapped",
            location=level.array.path,
        )
    return scale, transform.translation[axis]


def _map_span(
    span: tuple[int, int], source: tuple[float, float], target: tuple[float, float], *, exact: bool
) -> tuple[float, float]:
    """Edges of a span of voxels, in voxels of another level; (scale, translation) of each."""
    (scale, at), (other, there) = source, target
    fine = min(scale, other)
    shared_edge = scale / other if abs(there - at) <= _OFFSET_TOLERANCE * fine and not exact else None
    if shared_edge is not None:
        return span[0] * shared_edge, span[1] * shared_edge
    offset = (at - scale / 2) - (there - other / 2)
    if abs(offset) <= _OFFSET_TOLERANCE * fine:
        offset = 0.0
    return (span[0] * scale + offset) / other, (span[1] * scale + offset) / other


def _outward(low: float, high: float, size: int) -> tuple[int, int]:
    """Whole voxels around a span, inside the axis; never none, though floor halving may have dropped the last ones."""
    start = min(max(0, floor(low + _EDGE_TOLERANCE)), max(0, size - 1))
    return start, min(size, max(start + 1, ceil(high - _EDGE_TOLERANCE)))


def place_name(path: str) -> str:
    """An array or group in a message."""
    return escape_for_log(path) or "the base"
