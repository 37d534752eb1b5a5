"""What was cut out of arrays, as the plan kept it beside the dataset (``boxes.json``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from emasync.model.geometry import Box

BOXES: Final = "boxes.json"


@dataclass(frozen=True, slots=True)
class Cut:
    """What was cut out of one array, in its own axis order and source coordinates.

    Attributes
    ----------
    level : int
        As published.
    box : Box
        Asked for.
    hull : Box
        On disk: whole chunks around it.
    """

    level: int
    box: Box
    hull: Box


def read_cuts(data: bytes | None) -> Mapping[str, Cut]:
    """Cuts by path of the array below the dataset; none where nothing was cut out, or the document is broken.

    Parameters
    ----------
    data : bytes or None
        Of the document, which :mod:`emasync.plan.lending` writes.
    """
    try:
        images = orjson.loads(data or b"{}").get("images", {})
        return {path: cut for name, row in images.items() for path, cut in _of_image(name, row)}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _of_image(name: str, row: Any) -> Iterator[tuple[str, Cut]]:
    """Any: JSON that anybody may have edited; the caller knows what that may raise."""
    for item in row["arrays"]:
        cut = Cut(level=int(item["level"]), box=_box(item["box"]), hull=_box(item["hull"]))
        for path in _paths(name.partition("#")[0], item["path"]):
            yield path, cut


def _paths(image: str, array: str) -> Iterator[str]:
    """Where the array may be below the dataset: images are named with the tree's path ahead, arrays without it."""
    parts = image.split("/") if image else []
    for count in range(len(parts) + 1):
        tree, within = parts[:count], "/".join(parts[count:])
        if array == within or array.startswith(f"{within}/" if within else ""):
            yield "/".join((*tree, array)) if array else "/".join(tree)


def _box(value: Any) -> Box:
    """Any: as above."""
    return Box.from_shape([int(at) for at in value["start"]], [int(size) for size in value["shape"]])
