"""Boxes that were cut out, kept beside the dataset: drawn ones can be read there, and other datasets take them over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from emasync.errors import SourceError
from emasync.formats.interface import MultiscaleDescription
from emasync.model.cut import BOXES, BOXES_VERSION
from emasync.model.geometry import Box
from emasync.plan.choice import Choice
from emasync.plan.choose import Picked, at_box
from emasync.plan.draw import Draw
from emasync.plan.extents import Extent, extent_of
from emasync.plan.intake import Intake
from emasync.plan.layout import kept_place
from emasync.plan.select import Chosen
from emasync.plan.tools import PlanTools


async def keep_boxes(intake: Intake, picked: Sequence[Picked], choice: Choice, tools: PlanTools) -> None:
    """Write down what was cut out; trees of one dataset share the document.

    Parameters
    ----------
    intake : Intake
    picked : sequence of Picked
    choice : Choice
    tools : PlanTools

    Raises
    ------
    MachineError
        Disk full, no permission.
    """
    if choice.crop is None:
        return
    place = kept_place(intake.dataset, BOXES)
    before = _read(await tools.documents.read(place), choice.digest) or {}
    rows = {**before, **{_name(intake, item): _row(item) for item in picked}}
    document = {"version": BOXES_VERSION, "digest": choice.digest, "images": rows}
    data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    if await tools.documents.read(place) != data:
        await tools.documents.write(place, data)


async def borrowed_extent(choice: Choice, lender: str, tools: PlanTools) -> Extent:
    """The box that the dataset `lender` cut out.

    Raises
    ------
    SourceError
        It was not planned, has several boxes, or none that has a place in the world.
    """
    place = kept_place(lender, BOXES)
    rows = _read(await tools.documents.read(place), choice.lender_digest)
    if rows is None:
        raise SourceError(
            f"dataset {choice.dataset!r} takes over the box of {lender!r}, which could not be planned; run both of them"
        )
    extents = {_extent(row) for row in rows.values()}
    if len(extents) != 1 or (found := extents.pop()) is None:
        raise SourceError(
            f"dataset {choice.dataset!r} takes over the box of {lender!r}, which has {len(rows)} images and no one box "
            "in nanometres that all of them share; write the box as start and shape"
        )
    return found


def kept_boxes(data: bytes | None, digest: str) -> dict[str, tuple[Box, int]]:
    """Box and scale by image, out of a document that was written for the entry of this digest."""
    rows = (_read(data, digest) or {}).items()
    return {image: box for image, row in rows if (box := _crop(row)) is not None}


def as_recorded(intake: Intake, picked: Sequence[Picked], choice: Choice, tools: PlanTools) -> tuple[Picked, ...]:
    """`picked` at the boxes that a lock has recorded; one that does not fit any more is left as it was drawn."""
    boxes = tools.boxes.get(intake.dataset, {})
    return tuple(_recorded(item, boxes.get(_name(intake, item)), choice) for item in picked)


def is_recorded(intake: Intake, picked: Sequence[Picked], tools: PlanTools) -> bool:
    """Whether a lock has recorded the boxes of all images: nothing needs to be looked into then."""
    boxes = tools.boxes.get(intake.dataset, {})
    return all(_name(intake, item) in boxes for item in picked)


def _recorded(item: Picked, recorded: tuple[Box, int] | None, choice: Choice) -> Picked:
    if recorded is None or recorded[1] != item.box_scale:
        return item
    try:
        return at_box(item, choice, recorded[0], item.draw)
    except SourceError:
        return item


async def kept_draws(intake: Intake, choice: Choice, tools: PlanTools) -> Callable[[Picked], tuple[Box, Draw] | None]:
    """Look up boxes that had to hold data, and were found by an earlier plan of this very entry."""
    rows = _read(await tools.documents.read(kept_place(intake.dataset, BOXES)), choice.digest) or {}

    def kept(item: Picked) -> tuple[Box, Draw] | None:
        row = rows.get(_name(intake, item))
        crop, draw = _crop(row), _draw(row)
        return None if crop is None or draw is None or crop[1] != item.box_scale else (crop[0], draw)

    return kept


def _name(intake: Intake, item: Picked) -> str:
    """Of an image, unique in its dataset; several images may share a group."""
    path = item.image.path if item.image is not None else item.chosen[0].array.path
    number = f"#{item.image.index}" if item.image is not None and item.image.index else ""
    return intake.named(path) + number


def _row(item: Picked) -> dict[str, object]:
    extent = None if item.image is None or item.box is None else _world(item.image, item.box, item.box_scale)
    chosen = None if item.box is None else {"start": item.box.start, "shape": item.box.shape, "scale": item.box_scale}
    return {
        "extent": None if extent is None else {"start": extent.start, "stop": extent.stop, "unit": "nanometer"},
        "crop": chosen,
        **({} if item.draw is None else {"draw": asdict(item.draw)}),
        "arrays": [_array(chosen) for chosen in item.chosen],
    }


def _world(image: MultiscaleDescription, box: Box, scale: int) -> Extent | None:
    """None where the image states no unit: it can be cut out of, and lends nothing."""
    try:
        return extent_of(image, box, scale)
    except SourceError:
        return None


def _array(chosen: Chosen) -> dict[str, object]:
    origin = chosen.array.origin or (0,) * len(chosen.array.shape)
    boxes: Iterable[tuple[str, Box]] = (("box", chosen.box.moved(origin)), ("hull", chosen.hull.moved(origin)))
    shapes = {name: {"start": box.start, "shape": box.shape} for name, box in boxes}
    return {"path": chosen.array.path, "level": chosen.level, "axes": chosen.array.axes, **shapes}


def _read(data: bytes | None, digest: str) -> dict[str, Any] | None:
    """Images of a document that was written for this very entry (Any: JSON, checked where it is used)."""
    try:
        value: Any = orjson.loads(data or b"{}")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.get("version") != BOXES_VERSION or value.get("digest") != digest:
        return None
    images = value.get("images")
    return images if isinstance(images, dict) else None


def _crop(row: Any) -> tuple[Box, int] | None:
    """Any: JSON that anybody may have edited."""
    try:
        found = row["crop"]
        return Box.from_shape([int(at) for at in found["start"]], [int(size) for size in found["shape"]]), int(
            found["scale"]
        )
    except (KeyError, TypeError, ValueError):
        return None


def _draw(row: Any) -> Draw | None:
    """Any: JSON that anybody may have edited."""
    try:
        found = row["draw"]
        return Draw(**{name: int(found[name]) for name in ("draws", "sampled", "nonzero")})
    except (KeyError, TypeError, ValueError):
        return None


def _extent(row: Any) -> Extent | None:
    """Any: JSON that anybody may have edited."""
    try:
        found = row["extent"]
        return Extent(tuple(map(float, found["start"])), tuple(map(float, found["stop"])))
    except (KeyError, TypeError, ValueError):
        return None
