"""Selection: levels and a box of voxels → boxes, chunk hulls and chunk grids of arrays. Pure arithmetic.

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
from itertools import islice
from math import ceil, floor
from typing import Literal

import numpy as np

from emasync.errors import ErrorKind, SourceError
from emasync.formats.interface import ArrayDescription, LevelDescription, MultiscaleDescription, Transform
from emasync.model.geometry import Box
from emasync.model.grid import ChunkGrid
from emasync.model.task import Rank, escape_for_log

_EDGE_TOLERANCE = 1e-3  # voxels; published scales carry float noise (11.840000000000002)
_OFFSET_TOLERANCE = 0.02  # of a finest voxel, when telling half-voxel translations from none
_SPATIAL = ("z", "y", "x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is wanted of one array.

    Attributes
    ----------
    array : ArrayDescription
    level : int
        Level number; 0 for an array that is no level.
    rank : int
        Order of transfer, see :class:`~emasync.model.task.Rank`.
    box : Box
        Asked for: voxels, the array's axis order, half-open.
    hull : Box
        On disk: whole objects around the box, clipped to the array; voxels, half-open.
    grid : ChunkGrid or None
        The hull's objects; keys begin with the array's path, so they are relative to the tree's base. None for an
        array without extent, which has no objects.
    """

    array: ArrayDescription
    level: int
    rank: int
    box: Box
    hull: Box
    grid: ChunkGrid | None

    @property
    def whole(self) -> bool:
        """Whether the hull is the array."""
        return self.hull == whole_box(self.array)


@dataclass(frozen=True, slots=True)
class _Crop:
    """A box on the spatial axes (None: all), and one index on some of the others."""

    box: Box | None
    select: Mapping[str, int]

    @property
    def anything(self) -> bool:
        return self.box is not None or bool(self.select)


def whole_box(array: ArrayDescription) -> Box:
    """All voxels of `array`."""
    return Box((0,) * len(array.shape), array.shape)


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


def select_image(
    image: MultiscaleDescription,
    *,
    scales: Sequence[int] | None = None,
    box: Box | None = None,
    box_scale: int = 0,
    select: Mapping[str, int] | None = None,
    rebase: bool = True,
) -> tuple[Chosen, ...]:
    """Choose levels of an image and a box inside them.

    Parameters
    ----------
    image : MultiscaleDescription
    scales : sequence of int, optional
        Level numbers; all by default.
    box : Box, optional
        Voxels of level `box_scale`, order z, y, x (or y, x), half-open; must lie inside that level.
    box_scale : int
        Need not be among `scales`.
    select : mapping of str to int, optional
        One index on axes that are not z, y or x; the others stay whole.
    rebase : bool
        Store a crop as an array of its own: destination keys count from zero.

    Returns
    -------
    tuple of Chosen
        Coarsest first: a preview is on disk early.

    Raises
    ------
    SourceError
        A level that is not there, a box beyond the array, an axis or index that is not there, a crop over a sharded
        array (not built).
    """
    levels = _levels(image, scales)
    crop = _Crop(box, select or {})
    reference = _level(image, box_scale) if box is not None else levels[0]
    if box is not None:
        _array_box(reference.array, crop)
    order = [level.number for level in reversed(image.levels)]
    return tuple(
        _choose(
            level.array,
            _level_box(reference, level, crop),
            level=level.number,
            rank=Rank.LEVELS + order.index(level.number),
            cut=crop.anything,
            rebase=rebase,
        )
        for level in reversed(levels)
    )


def select_array(
    array: ArrayDescription,
    *,
    box: Box | None = None,
    select: Mapping[str, int] | None = None,
    rebase: bool = True,
) -> Chosen:
    """Choose an array that is no level of an image, or a box inside it; arguments as for :func:`select_image`.

    Raises
    ------
    SourceError
        As for :func:`select_image`.
    """
    crop = _Crop(box, select or {})
    inside = _array_box(array, crop)
    return _choose(array, inside, level=0, rank=Rank.BULK, cut=crop.anything, rebase=rebase)


def _levels(image: MultiscaleDescription, scales: Sequence[int] | None) -> tuple[LevelDescription, ...]:
    if scales is None:
        return image.levels
    wanted = {_level(image, number).number for number in scales}
    return tuple(level for level in image.levels if level.number in wanted)


def _level(image: MultiscaleDescription, number: int) -> LevelDescription:
    for level in image.levels:
        if level.number == number:
            return level
    there = ", ".join(str(level.number) for level in image.levels)
    raise SourceError(f"{_name(image.path)}: no scale {number}; there are {there}", location=image.path)


def _choose(array: ArrayDescription, box: Box, *, level: int, rank: int, cut: bool, rebase: bool) -> Chosen:
    if cut and array.sharded:
        raise SourceError(
            f"{_name(array.path)}: crops of sharded arrays are not built yet in this version; take whole scales",
            kind=ErrorKind.NOT_BUILT,
            location=array.path,
        )
    first = tuple(low // chunk for low, chunk in zip(box.start, array.chunks, strict=True))
    last = tuple(-(-high // chunk) for high, chunk in zip(box.stop, array.chunks, strict=True))
    hull = Box(
        tuple(number * chunk for number, chunk in zip(first, array.chunks, strict=True)),
        tuple(min(number * chunk, size) for number, chunk, size in zip(last, array.chunks, array.shape, strict=True)),
    )
    grid = ChunkGrid(
        start=first,
        shape=tuple(high - low for low, high in zip(first, last, strict=True)),
        prefix=f"{array.path}/" if array.path else "",
        encoding=array.encoding,
        separator=array.separator,
        rebase=rebase and any(first),
    )
    return Chosen(array=array, level=level, rank=rank, box=box, hull=hull, grid=None if hull.empty else grid)


# --- boxes ----------------------------------------------------------------------------------------------------------


def _array_box(array: ArrayDescription, crop: _Crop) -> Box:
    """The crop on all axes of `array`, in its own voxels."""
    start, stop = [0] * len(array.shape), list(array.shape)
    spatial = spatial_axes(array.axes, len(array.shape))
    if crop.box is not None:
        for axis, low, high in _spatial_spans(array, crop.box, spatial):
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
            f"{_name(array.path)}: a box of {len(box.start)} axes does not fit an array of shape {list(array.shape)} "
            f"with {len(spatial)} spatial axes",
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
                f"{_name(array.path)}: select names axis {name!r}; axes to select from: {known}", location=array.path
            )
        axis = names.index(name.lower())
        if not 0 <= index < array.shape[axis]:
            raise SourceError(
                f"{_name(array.path)}: select {name}: {index} is beyond the {array.shape[axis]} there are",
                location=array.path,
            )
        yield axis, index


def _outside(array: ArrayDescription, box: Box, spatial: tuple[int, ...]) -> SourceError:
    shape = [array.shape[axis] for axis in spatial]
    return SourceError(
        f"{_name(array.path)}: crop {list(box.start)} to {list(box.stop)} is not inside the array of shape {shape} "
        "(z, y, x); choose a box that is",
        location=array.path,
    )


def _level_box(reference: LevelDescription, level: LevelDescription, crop: _Crop) -> Box:
    """The crop, given in voxels of `reference`, in voxels of `level`."""
    if crop.box is None or level.number == reference.number:
        return _array_box(level.array, crop)
    there = _array_box(reference.array, _Crop(crop.box, {}))
    here = _array_box(level.array, _Crop(None, crop.select))
    start, stop = list(here.start), list(here.stop)
    for axis in spatial_axes(reference.array.axes, len(there.start)):
        span = (there.start[axis], there.stop[axis])
        low, high = _map_span(span, _on_axis(reference, axis), _on_axis(level, axis))
        start[axis], stop[axis] = _outward(low, high, level.array.shape[axis])
    return Box(tuple(start), tuple(stop))


def _on_axis(level: LevelDescription, axis: int) -> tuple[float, float]:
    transform: Transform = level.transform
    scale = transform.scale[axis]
    if scale <= 0:
        raise SourceError(
            f"{_name(level.array.path)}: scale {scale} on axis {axis}; a crop needs positive scales to be mapped",
            location=level.array.path,
        )
    return scale, transform.translation[axis]


def _map_span(span: tuple[int, int], source: tuple[float, float], target: tuple[float, float]) -> tuple[float, float]:
    """Edges of a span of voxels, in voxels of another level; (scale, translation) of each."""
    (scale, at), (other, there) = source, target
    fine = min(scale, other)
    shared_edge = scale / other if abs(there - at) <= _OFFSET_TOLERANCE * fine else None
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


def _name(path: str) -> str:
    return escape_for_log(path) or "the base"


# --- drawn boxes ----------------------------------------------------------------------------------------------------


def draw_box(
    shape: Sequence[int],
    array_shape: Sequence[int],
    *,
    at: Literal["center", "random"],
    seed: int = 0,
    within: Box | None = None,
) -> Box:
    """Place a box of `shape` voxels inside an array.

    Parameters
    ----------
    shape : sequence of int
        Extent of the box, voxels, order z, y, x.
    array_shape : sequence of int
        Spatial extent of the array, same order.
    at : {"center", "random"}
    seed : int
        Of numpy's PCG64, for ``random``.
    within : Box, optional
        The box stays inside this one; the whole array by default.

    Raises
    ------
    SourceError
        The box does not fit.
    """
    room = _room(shape, array_shape, within)
    if at == "random":
        return next(draw_boxes(shape, array_shape, seed=seed, within=within))
    start = [low + (high - low - size) // 2 for low, high, size in zip(room.start, room.stop, shape, strict=True)]
    return Box.from_shape(start, shape)


def draw_boxes(
    shape: Sequence[int], array_shape: Sequence[int], *, seed: int, within: Box | None = None
) -> Iterator[Box]:
    """Draw boxes one after the other; the first is :func:`draw_box`'s. Endless.

    Raw 64-bit output of PCG64 is scaled to the range: numpy keeps that stream the same for ever, which it does not
    promise for ``Generator.integers``; a box drawn today is drawn again in ten years.

    Raises
    ------
    SourceError
        The box does not fit.
    """
    room = _room(shape, array_shape, within)
    raw = _raw_stream(seed)
    while True:
        start = [
            low + (number * (high - low - size + 1) >> 64)
            for low, high, size, number in zip(room.start, room.stop, shape, islice(raw, len(shape)), strict=True)
        ]
        yield Box.from_shape(start, shape)


def _raw_stream(seed: int) -> Iterator[int]:
    bits = np.random.PCG64(seed)
    while True:
        yield int(bits.random_raw())


def _room(shape: Sequence[int], array_shape: Sequence[int], within: Box | None) -> Box:
    """Where the box may lie."""
    array = Box((0,) * len(array_shape), tuple(array_shape))
    room = within if within is not None else array
    fits = len(shape) == len(array_shape) == len(room.start) and array.contains(room)
    if not fits or any(not 0 < size <= extent for size, extent in zip(shape, room.shape, strict=True)):
        raise SourceError(
            f"a box of {list(shape)} voxels does not fit into {list(room.start)} to {list(room.stop)} "
            f"of an array of {list(array_shape)}; choose a smaller shape or a larger within"
        )
    return room
