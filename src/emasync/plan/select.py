"""Selection: levels and a box of voxels → boxes, chunk hulls and chunk grids of arrays. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emasync.errors import SourceError
from emasync.formats.chunk_grids import grid_between
from emasync.formats.interface import ArrayDescription, LevelDescription, MultiscaleDescription
from emasync.formats.zarr.sharding import shard_layout
from emasync.model.geometry import Box
from emasync.model.grid import ChunkGrid
from emasync.model.task import Rank
from emasync.plan.boxes import Crop, array_box, level_box, place_name, spatial_axes

__all__ = [
    "Chosen",
    "select_array",
    "select_image",
    "spatial_axes",
    "whole_box",
]


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
        On disk: whole objects around the box, clipped to the array; voxels, half-open. Boxes count from the array's
        first voxel, wherever the source begins to count.
    grid : ChunkGrid or None
        The hull's chunks; keys begin with the array's path, so they are relative to the tree's base. Where chunks
        are taken out of shards, destinations are theirs, and no object has their keys. None for an array without
        extent, which has no objects.
    unsharded : bool
        Whether chunks are taken out of their shards and kept as objects of their own.
    """

    array: ArrayDescription
    level: int
    rank: int
    box: Box
    hull: Box
    grid: ChunkGrid | None
    unsharded: bool = False

    @property
    def whole(self) -> bool:
        """Whether the hull is the array."""
        return self.hull == whole_box(self.array)


def whole_box(array: ArrayDescription) -> Box:
    """All voxels of `array`."""
    return Box((0,) * len(array.shape), array.shape)


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
        Voxels of level `box_scale` in source coordinates, order z, y, x (or y, x), half-open; must lie inside that
        level.
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
        A level that is not there, a box beyond the array, an axis or index that is not there, a crop over shards
        that can only be taken whole.
    """
    levels = _levels(image, scales)
    crop = Crop(box, select or {})
    reference = _level(image, box_scale) if box is not None else levels[0]
    if box is not None:
        array_box(reference.array, crop)
    order = [level.number for level in reversed(image.levels)]
    return tuple(
        _choose(
            level.array,
            level_box(reference, level, crop),
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
    crop = Crop(box, select or {})
    inside = array_box(array, crop)
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
    raise SourceError(f"{place_name(image.path)}: no scale {number}; there are {there}", location=image.path)


def _choose(array: ArrayDescription, box: Box, *, level: int, rank: int, cut: bool, rebase: bool) -> Chosen:
    unsharded = cut and rebase and array.sharded
    chunks = shard_layout(array).inner if unsharded and array.inner_chunks is not None else array.chunks
    first = tuple(low // chunk for low, chunk in zip(box.start, chunks, strict=True))
    last = tuple(-(-high // chunk) for high, chunk in zip(box.stop, chunks, strict=True))
    hull = Box(
        tuple(number * chunk for number, chunk in zip(first, chunks, strict=True)),
        tuple(min(number * chunk, size) for number, chunk, size in zip(last, chunks, array.shape, strict=True)),
    )
    return Chosen(
        array=array,
        level=level,
        rank=rank,
        box=box,
        hull=hull,
        grid=None if hull.empty else grid_between(array, first, last, rebase=rebase and any(first)),
        unsharded=unsharded,
    )
