"""Which levels and boxes of what was found a manifest entry wants. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from emasync.errors import SourceError
from emasync.formats.chunk_grids import grid_between
from emasync.formats.interface import ArrayDescription, Found, MultiscaleDescription
from emasync.manifest.crop import BoxCrop, DrawnCrop, SameAsCrop
from emasync.model.geometry import Box
from emasync.plan.boxes import from_source, source_origin
from emasync.plan.choice import Choice
from emasync.plan.draw import Draw, draw_box, draw_boxes
from emasync.plan.extents import Extent, box_of
from emasync.plan.select import Chosen, select_array, select_image, spatial_axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What is wanted of one image, or of an array that is no level.

    Attributes
    ----------
    image : MultiscaleDescription or None
    chosen : tuple of Chosen
        Coarsest first; not empty.
    box : Box or None
        Asked for, or drawn: spatial, source coordinates of level `box_scale`.
    box_scale : int
    draw : Draw or None
        Of a box that had to hold data.
    """

    image: MultiscaleDescription | None
    chosen: tuple[Chosen, ...]
    box: Box | None = None
    box_scale: int = 0
    draw: Draw | None = None


def pick(found: Iterable[Found], choice: Choice, extent: Extent | None = None) -> tuple[Picked, ...]:
    """Apply a choice to everything a walk has found.

    Parameters
    ----------
    found : iterable of Found
    choice : Choice
    extent : Extent, optional
        The box that is taken over from another dataset.

    Returns
    -------
    tuple of Picked
        Not empty; images that lack the chosen levels, and arrays that the globs leave out, are not in it.

    Raises
    ------
    SourceError
        Nothing to choose from, a level that no image has, a box beyond an array.
    """
    images, arrays = _parted(found)
    if not images and not arrays:
        where = ", ".join(choice.arrays) or "its url"
        raise SourceError(
            f"dataset {choice.dataset!r}: no array at {where}; arrays, scales and crop choose among arrays: check the "
            "url, or remove them to take the objects as they are"
        )
    _require_levels(images, arrays, choice.scales)
    picked = tuple(_picked(images, arrays, choice, extent))
    if not picked:
        raise SourceError(f"dataset {choice.dataset!r}: include and exclude leave none of its arrays")
    return picked


def _parted(found: Iterable[Found]) -> tuple[list[MultiscaleDescription], list[ArrayDescription]]:
    nodes = list(found)
    images = [node for node in nodes if isinstance(node, MultiscaleDescription) and node.levels]
    return images, [node for node in nodes if isinstance(node, ArrayDescription)]


def _require_levels(
    images: Sequence[MultiscaleDescription], arrays: Sequence[ArrayDescription], scales: Sequence[int]
) -> None:
    """Each chosen level must be there somewhere: a typing error must not quietly give less."""
    there = {level.number for image in images for level in image.levels} | ({0} if arrays else set())
    if missing := sorted(set(scales) - there):
        raise SourceError(
            f"no scale {', '.join(map(str, missing))}: there are {', '.join(map(str, sorted(there)))}",
            location=images[0].path if images else arrays[0].path,
        )


def _picked(
    images: Iterable[MultiscaleDescription],
    arrays: Iterable[ArrayDescription],
    choice: Choice,
    extent: Extent | None,
) -> Iterator[Picked]:
    for image in images:
        scales = tuple(level.number for level in image.levels if not choice.scales or level.number in choice.scales)
        if not scales:
            continue
        box, box_scale = _box_in_image(image, choice, extent)
        wanted = _levels_wanted(image, choice, scales, box, box_scale)
        if wanted:
            yield Picked(image=image, chosen=wanted, box=box, box_scale=box_scale)
    for array in arrays:
        if (choice.scales and 0 not in choice.scales) or not wants_array(array, choice.wants):
            continue
        box = _box_in_array(array, choice)
        chosen_array = select_array(array, box=box, select=choice.select, rebase=choice.standalone)
        yield Picked(image=None, chosen=(chosen_array,), box=box)


def _levels_wanted(
    image: MultiscaleDescription, choice: Choice, scales: Sequence[int], box: Box | None, box_scale: int
) -> tuple[Chosen, ...]:
    chosen = select_image(
        image, scales=scales, box=box, box_scale=box_scale, select=choice.select, rebase=choice.standalone
    )
    return tuple(item for item in chosen if wants_array(item.array, choice.wants))


def reference_array(item: Picked) -> ArrayDescription:
    """The array whose voxels the box of `item` is counted in."""
    if item.image is None:
        return item.chosen[0].array
    return next(level.array for level in item.image.levels if level.number == item.box_scale)


def at_box(item: Picked, choice: Choice, box: Box, draw: Draw | None) -> Picked:
    """The same levels of `item`, at another box.

    Raises
    ------
    SourceError
        As :func:`pick`.
    """
    if item.image is None:
        array = item.chosen[0].array
        chosen: tuple[Chosen, ...] = (select_array(array, box=box, select=choice.select, rebase=choice.standalone),)
    else:
        scales = [chosen.level for chosen in item.chosen]
        chosen = _levels_wanted(item.image, choice, scales, box, item.box_scale)
    return replace(item, chosen=chosen, box=box, draw=draw)


def wants_array(array: ArrayDescription, wants: Callable[[str], bool]) -> bool:
    """Whether globs over paths want an array: asked of its first chunk.

    A grid is a formula, so globs choose arrays here and never single chunks.
    """
    axes = len(array.shape)
    return wants(grid_between(array, (0,) * axes, (1,) * axes).key(0))


def _box_in_image(image: MultiscaleDescription, choice: Choice, extent: Extent | None) -> tuple[Box | None, int]:
    crop = choice.crop
    if extent is not None:
        return box_of(image, extent), image.levels[0].number
    if not isinstance(crop, BoxCrop | DrawnCrop):
        return None, 0
    for level in image.levels:
        if level.number == crop.scale:
            return _box(level.array, crop), crop.scale
    there = ", ".join(str(level.number) for level in image.levels)
    raise SourceError(f"{image.path or 'the base'}: crop.scale {crop.scale} is not there; there are {there}")


def _box_in_array(array: ArrayDescription, choice: Choice) -> Box | None:
    crop = choice.crop
    if isinstance(crop, SameAsCrop):
        raise SourceError(
            f"{array.path or 'the base'} is an array without a place in the world, so it cannot take over the box of "
            f"{crop.same_as!r}; write the box as start and shape",
            location=array.path,
        )
    if not isinstance(crop, BoxCrop | DrawnCrop):
        return None
    if crop.scale:
        raise SourceError(f"{array.path or 'the base'}: crop.scale {crop.scale}, and this array has no other levels")
    return _box(array, crop)


def _box(array: ArrayDescription, crop: BoxCrop | DrawnCrop) -> Box:
    return Box.from_shape(crop.start, crop.shape) if isinstance(crop, BoxCrop) else next(drawn_boxes(array, crop))


def drawn_boxes(array: ArrayDescription, crop: DrawnCrop) -> Iterator[Box]:
    """Boxes in the order they are drawn, source coordinates; the centre is drawn once.

    Raises
    ------
    SourceError
        The box does not fit.
    """
    extent = tuple(array.shape[axis] for axis in spatial_axes(array.axes, len(array.shape)))
    flat = (1,) * (len(crop.shape) - len(extent)) + extent
    within = None if crop.within is None else from_source(array, Box.from_shape(crop.within.start, crop.within.shape))
    origin = source_origin(array, len(crop.shape))
    if crop.at == "center":
        yield draw_box(crop.shape, flat, at="center", within=within).moved(origin)
        return
    for box in draw_boxes(crop.shape, flat, seed=crop.seed or 0, within=within):
        yield box.moved(origin)
