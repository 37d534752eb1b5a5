"""What is there of an array: the box that was asked for, whole chunks around it, objects on disk.

It goes into the documents, so that it survives a ledger that was deleted (law 9: absent is a statement).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal

import orjson

from emasync.hooks.metadata.counting import Count
from emasync.hooks.metadata.records import Grid
from emasync.model.geometry import Box

BOXES: Final = "boxes.json"
"""Inside ``<dataset>.source-metadata/``; written by the planner."""

BOXES_VERSION: Final = 1

State = Literal["complete", "partial", "unknown"]

_STATES: Final[dict[str, State]] = {"complete": "complete", "partial": "partial", "unknown": "unknown"}
_COUNTS: Final = ("expected", "present", "absent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What is there of one array.

    Attributes
    ----------
    axes : tuple of str
    box, hull : Box
        Source coordinates, all axes; the whole array where nothing was cut out.
    cropped : bool
    expected, present, absent : int or None
        Objects of chunks; None where nobody knows.
    state : {"complete", "partial", "unknown"}
        ``complete``: what is not present in the hull is fill value.
    bytes_on_disk : int or None
    """

    axes: tuple[str, ...]
    box: Box
    hull: Box
    cropped: bool
    expected: int | None = None
    present: int | None = None
    absent: int | None = None
    state: State = "unknown"
    bytes_on_disk: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON (Any)."""
        named = (("box", self.box), ("hull", self.hull))
        boxes = {name: {"start": box.start, "shape": box.shape} for name, box in named}
        counts = {"expected": self.expected, "present": self.present, "absent": self.absent}
        more = {"cropped": self.cropped, "chunks": counts, "state": self.state, "bytes_on_disk": self.bytes_on_disk}
        return {"axes": self.axes, **boxes, **more}

    @classmethod
    def from_dict(cls, value: Any) -> Coverage | None:
        """Read :meth:`to_dict` back (Any: JSON that anybody may have edited); None for anything else."""
        try:
            box, hull = (Box.from_shape(value[name]["start"], value[name]["shape"]) for name in ("box", "hull"))
            return cls(
                axes=tuple(map(str, value["axes"])),
                box=box,
                hull=hull,
                cropped=bool(value["cropped"]),
                **{name: None if (one := value["chunks"][name]) is None else int(one) for name in _COUNTS},
                state=_STATES[value["state"]],
                bytes_on_disk=None if value["bytes_on_disk"] is None else int(value["bytes_on_disk"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def coverage_of(grid: Grid, count: Count | None, cut: tuple[Box, Box] | None, *, done: bool) -> Coverage:
    """Put together what is known of one array.

    Parameters
    ----------
    grid : Grid
    count : Count or None
        Of its objects; None where the ledger knows nothing of the dataset.
    cut : (Box, Box) or None
        Box and hull, where something was cut out.
    done : bool
        Whether all of the dataset that was asked for is on disk, or absent.
    """
    whole = Box.from_shape(grid.origin, grid.shape)
    box, hull = cut or (whole, whole)
    expected = _objects(grid, hull)
    if count is None:
        return Coverage(axes=grid.axes, box=box, hull=hull, cropped=cut is not None, expected=expected)
    known = count.present + count.absent
    full = done or (expected is not None and known >= expected)
    return Coverage(
        axes=grid.axes,
        box=box,
        hull=hull,
        cropped=cut is not None,
        expected=expected,
        present=count.present,
        absent=_absent(count, expected, done=done),
        state="complete" if full else "partial",
        bytes_on_disk=count.bytes,
    )


def _absent(count: Count, expected: int | None, *, done: bool) -> int:
    """In a listing that came to its end, what is not named is left out by the publisher."""
    if done and expected is not None:
        return max(count.absent, expected - count.present)
    return count.absent


def _objects(grid: Grid, hull: Box) -> int | None:
    """Chunks that reach into `hull`."""
    if grid.chunks is None:
        return None
    spans = zip(hull.start, hull.stop, grid.origin, grid.chunks, strict=True)
    return prod(-(-(stop - first) // chunk) - (start - first) // chunk for start, stop, first, chunk in spans)


def read_boxes(data: bytes | None) -> tuple[tuple[str, str, Box, Box], ...]:
    """Image, array path, box and hull of everything that was cut out; what cannot be read is passed over."""
    try:
        document: Any = orjson.loads(data or b"{}")  # Any: JSON that anybody may have edited
    except orjson.JSONDecodeError:
        return ()
    if not isinstance(document, Mapping) or document.get("version") != BOXES_VERSION:
        return ()
    images = document.get("images")
    rows = images.items() if isinstance(images, Mapping) else ()
    arrays = ((str(name), array) for name, row in rows if isinstance(row, Mapping) for array in row.get("arrays", ()))
    return tuple((name, *boxes) for name, array in arrays if (boxes := _boxes(array)) is not None)


def _boxes(array: Any) -> tuple[str, Box, Box] | None:
    """One array's (Any: JSON that anybody may have edited)."""
    try:
        box, hull = (
            Box.from_shape([int(at) for at in part["start"]], [int(size) for size in part["shape"]])
            for part in (array["box"], array["hull"])
        )
        return str(array["path"]), box, hull
    except (KeyError, TypeError, ValueError):
        return None


def cut_of(path: str, axes: int, boxes: Sequence[tuple[str, str, Box, Box]]) -> tuple[Box, Box] | None:
    """Box and hull of the array at `path` below the dataset's folder."""
    for image, array, box, hull in boxes:
        if len(box.start) != axes or not (path == array or path.endswith(f"/{array}") or not array):
            continue
        lead = path[: len(path) - len(array)]
        if image.startswith(lead):
            return box, hull
    return None
