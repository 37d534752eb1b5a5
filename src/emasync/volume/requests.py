"""What is read for a block, also where it reaches beyond the array, and how the block is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from emasync.errors import EmasyncError, ErrorKind
from emasync.model.geometry import Box
from emasync.volume.cache import Voxels
from emasync.volume.padding import Pad, Padding, Positions, sources


@dataclass(frozen=True, slots=True)
class Request:
    """One block.

    Attributes
    ----------
    boxes : list of Box
        What is read, source coordinates, a block's axes.
    targets : list of ndarray
        Where each goes.
    gather : tuple of ndarray or None
        Where the block is not read in place: positions in `made`, one array an axis.
    made : ndarray
        All that was read.
    block : ndarray
        To be returned.
    """

    boxes: list[Box]
    targets: list[Voxels]
    gather: tuple[Positions, ...] | None
    made: Voxels
    block: Voxels

    def finish(self) -> None:
        """Make the block, after everything was read."""
        if self.gather is not None:
            self.block[...] = self.made[np.ix_(*self.gather)]


def request(box: Box, there: Box, block: Voxels, padding: Padding, name: str) -> Request:
    """Find out what to read for a block.

    Parameters
    ----------
    box, there : Box
        Wanted, and on disk.
    block : ndarray
        Of the box's shape.
    padding : Padding
    name : str
        Of the volume, for messages.

    Raises
    ------
    EmasyncError
        ``out_of_bounds``: the box reaches beyond what there is, and nobody said how to pad.
    """
    if box.empty:
        return Request([], [], None, block, block)
    if there.contains(box):
        return Request([box], [block], None, block, block)
    if padding.fill is not None:
        return _filled(box, there, block, padding.fill)
    if padding.rule == "error" or there.empty:
        raise out_of_bounds(box, there, name)
    return _gathered(box, there, block, padding.rule)


def _filled(box: Box, there: Box, block: Voxels, fill: Voxels) -> Request:
    block[...] = fill
    inner = box.intersect(there)
    if inner.empty:
        return Request([], [], None, block, block)
    return Request([inner], [_within(block, inner, box.start)], None, block, block)


def _within(block: Voxels, box: Box, start: Sequence[int]) -> Voxels:
    inner = box.moved([-low for low in start])
    return block[tuple(map(slice, inner.start, inner.stop))]


def _gathered(box: Box, there: Box, block: Voxels, pad: Pad) -> Request:
    axes = zip(box.start, box.stop, there.start, there.stop, strict=True)
    wanted = [np.unique(sources(*axis, pad), return_inverse=True) for axis in axes]
    made = np.empty([len(positions) for positions, _ in wanted], block.dtype)
    boxes, targets = list[Box](), list[Voxels]()
    for runs in product(*(list(_runs(positions)) for positions, _ in wanted)):
        boxes.append(Box(tuple(run[0] for run in runs), tuple(run[1] for run in runs)))
        targets.append(made[tuple(run[2] for run in runs)])
    return Request(boxes, targets, tuple(inverse for _, inverse in wanted), made, block)


def _runs(positions: Positions) -> Iterator[tuple[int, int, slice]]:
    """Stretches without holes: first and last coordinate (half-open), and where they are among the positions."""
    holes = np.flatnonzero(np.diff(positions) > 1) + 1
    edges = [0, *holes.tolist(), len(positions)]
    for low, high in pairwise(edges):
        yield int(positions[low]), int(positions[high - 1]) + 1, slice(low, high)


def out_of_bounds(box: Box, there: Box, name: str) -> EmasyncError:
    """The error that says what was asked for, and what there is."""
    return EmasyncError(
        f"{name}: voxels {_shown(box)} reach out of bounds, {_shown(there)} are on disk; read inside of them, or say "
        "how to pad",
        kind=ErrorKind.OUT_OF_BOUNDS,
        location=name,
    )


def _shown(box: Box) -> str:
    return f"{list(box.start)} to {list(box.stop)}"
