"""What was cut out of arrays, as the plan keeps it beside a dataset, in ``<dataset>.source-metadata/boxes.json``.

The one reader of that document for whoever wants to know which part of an array is on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from emasync.model.geometry import Box

BOXES: Final = "boxes.json"
"""Name inside ``<dataset>.source-metadata/``; no metadata document of any format has it."""

BOXES_VERSION: Final = 1


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
    """Cuts by path of the array below the dataset; none where nothing was cut out.

    A document of another version tells nothing, and rows that cannot be read are passed over: people edit such files.

    Parameters
    ----------
    data : bytes or None
        Of the document.
    """
    found: dict[str, Cut] = {}
    for image, array in _rows(data):
        cut = _cut(array)
        if cut is not None:
            for path in _paths(image.partition("#")[0], str(array["path"])):
                found.setdefault(path, cut)
    return found


def _rows(data: bytes | None) -> Iterator[tuple[str, Any]]:
    """Names of images, and an array of each (Any: JSON that anybody may have edited)."""
    try:
        document: Any = orjson.loads(data or b"{}")  # Any: as above
    except orjson.JSONDecodeError:
        return
    if not isinstance(document, dict) or document.get("version") != BOXES_VERSION:
        return
    images = document.get("images")
    for name, row in images.items() if isinstance(images, dict) else ():
        arrays = row.get("arrays") if isinstance(row, dict) else None
        yield from ((name, array) for array in (arrays if isinstance(arrays, list) else ()))


def _cut(array: Any) -> Cut | None:
    """None where it cannot be read (Any: JSON that anybody may have edited)."""
    try:
        str(array["path"])
        return Cut(level=int(array["level"]), box=_box(array["box"]), hull=_box(array["hull"]))
    except (KeyError, TypeError, ValueError):
        return None


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
