"""What is there of an array: the box that was asked for, whole chunks around it, objects on disk.

It goes into the documents, so that it survives a ledger that was deleted (law 9: absent is a statement).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal

from emasync.hooks.metadata.counting import Count
from emasync.hooks.metadata.records import Grid
from emasync.model.cut import Cut
from emasync.model.geometry import Box
from emasync.volume.index_entry import Coverage as IndexedChunks

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


def coverage_of(
    grid: Grid,
    count: Count | None,
    cut: Cut | None,
    *,
    done: bool,
    globs: bool = False,
    indexed: IndexedChunks | None = None,
) -> Coverage:
    """Put together what is known of one array.

    Parameters
    ----------
    grid : Grid
    count : Count or None
        Of its objects; None where the ledger knows nothing of the dataset.
    cut : Cut or None
        What was cut out of it; passed over where it is none of this array's axes.
    done : bool
        Whether all of the dataset that was asked for is on disk, or absent.
    globs : bool
        Whether the manifest leaves files out: what is missing may be one of them then, and is fill value only where
        the index says so.
    indexed : Coverage or None
        Of the index.
    """
    whole = Box.from_shape(grid.origin, grid.shape)
    cut = cut if cut is not None and len(cut.box.start) == len(grid.axes) else None
    box, hull = (whole, whole) if cut is None else (cut.box, cut.hull)
    expected = _objects(grid, hull)
    if count is None:
        return Coverage(axes=grid.axes, box=box, hull=hull, cropped=cut is not None, expected=expected)
    whole_list = done and (not globs or (indexed is not None and indexed.complete))
    absent = count.absent if indexed is None or indexed.complete else indexed.absent
    if whole_list and expected is not None:
        absent = max(absent, expected - count.present)  # what a listing that came to its end does not name
    full = whole_list or (expected is not None and count.present + absent >= expected)
    return Coverage(
        axes=grid.axes,
        box=box,
        hull=hull,
        cropped=cut is not None,
        expected=expected,
        present=count.present,
        absent=absent,
        state="complete" if full else "partial",
        bytes_on_disk=count.bytes,
    )


def _objects(grid: Grid, hull: Box) -> int | None:
    """Chunks that reach into `hull`."""
    if grid.chunks is None:
        return None
    spans = zip(hull.start, hull.stop, grid.origin, grid.chunks, strict=True)
    return prod(-(-(stop - first) // chunk) - (start - first) // chunk for start, stop, first, chunk in spans)
