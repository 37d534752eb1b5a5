"""Axes as they are stored, and as blocks have them: z, y, x, and channels last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from emasync.errors import EmasyncError, ErrorKind, InputError
from emasync.model.geometry import Box
from emasync.volume.absence import name_of
from emasync.volume.cache import Voxels
from emasync.volume.interface import IndexedArray

SPATIAL: Final = ("z", "y", "x")
CHANNELS: Final = ("c", "channel", "s")
"""Names of axes that hold several values of one voxel; ``s``: samples, as TIFF calls the colours of a pixel."""

_MOST_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Orientation:
    """Which axes of an array a block has, in which order.

    Attributes
    ----------
    order : tuple of int
        Axis of the array for each axis of a block.
    fixed : mapping of int to int
        Axis of the array that blocks do not have → its source coordinate.
    straight : bool
        Whether blocks have the array's axes, all of them and in their order.
    """

    order: tuple[int, ...]
    fixed: Mapping[int, int]
    straight: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "straight", not self.fixed and self.order == tuple(range(len(self.order))))

    def outward(self, values: Sequence[int]) -> tuple[int, ...]:
        """Take values of the array's axes to those of a block."""
        return tuple(values[axis] for axis in self.order)

    def inward(self, box: Box, origin: Sequence[int]) -> Box:
        """Take a box of source coordinates in a block's axes to the array's axes, counted from `origin`."""
        if self.straight and not any(origin):
            return box
        start = [self.fixed.get(axis, 0) - first for axis, first in enumerate(origin)]
        stop = [low + 1 for low in start]
        for axis, low, high in zip(self.order, box.start, box.stop, strict=True):
            start[axis], stop[axis] = low - origin[axis], high - origin[axis]
        return Box(tuple(start), tuple(stop))

    def stored_view(self, block: Voxels) -> Voxels:
        """A block, seen in the array's axes; writing there writes to the block."""
        if self.straight:
            return block
        ranks = sorted(range(len(self.order)), key=lambda rank: self.order[rank])
        view = block.transpose(ranks)
        for axis in sorted(self.fixed):
            view = np.expand_dims(view, axis)
        return view


def orient(array: IndexedArray, select: Mapping[str, int] | None = None) -> Orientation:
    """Decide on the axes of blocks.

    Spatial axes come in the order z, y, x, then channels. Other axes must be selected, unless they have an extent of
    one. An array without the axes y and x, or with two of one name, keeps its axes as they are.

    Parameters
    ----------
    array : IndexedArray
    select : mapping of str to int, optional
        Axis that is not spatial → source coordinate.

    Raises
    ------
    InputError
        No such axis to select from.
    EmasyncError
        ``out_of_bounds``: nothing there; ``ambiguous``: an axis has a choice and none was made.
    """
    names = [name.lower() for name in array.axes]
    spatial = [names.index(name) for name in SPATIAL if name in names] if _is_volume(names) else []
    fixed = _selected(array, names, spatial, select or {})
    rest = [axis for axis in range(len(names)) if axis not in spatial and axis not in fixed]
    if not spatial:
        return Orientation(tuple(rest), fixed)
    for axis in list(rest):
        low, high = array.bounds.start[axis], array.bounds.stop[axis]
        if high - low == 1:
            fixed[axis] = low
            rest.remove(axis)
        elif names[axis] not in CHANNELS:
            raise EmasyncError(_choices(array, axis), kind=ErrorKind.AMBIGUOUS, location=name_of(array))
    return Orientation((*spatial, *rest), fixed)


def _is_volume(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names) and {"y", "x"} <= set(names)


def _selected(
    array: IndexedArray, names: Sequence[str], spatial: Sequence[int], select: Mapping[str, int]
) -> dict[int, int]:
    fixed: dict[int, int] = {}
    for name, at in select.items():
        axes = [axis for axis, own in enumerate(names) if own == name.lower() and axis not in spatial]
        if len(axes) != 1:
            others = ", ".join(own for axis, own in enumerate(names) if axis not in spatial) or "none"
            raise InputError(f"{name_of(array)}: select names axis {name!r}; axes to select from: {others}")
        low, high = array.bounds.start[axes[0]], array.bounds.stop[axes[0]]
        if not low <= at < high:
            raise EmasyncError(
                f"{name_of(array)}: select {name}={at} is out of bounds, {low} to {high - 1} are there",
                kind=ErrorKind.OUT_OF_BOUNDS,
                location=name_of(array),
            )
        fixed[axes[0]] = at
    return fixed


def _choices(array: IndexedArray, axis: int) -> str:
    name, low, high = array.axes[axis], array.bounds.start[axis], array.bounds.stop[axis]
    shown = [f"{name}={at}" for at in range(low, min(high, low + _MOST_SHOWN))]
    more = f", ... {name}={high - 1}" if high - low > _MOST_SHOWN else ""
    return f"{name_of(array)}: axis {name} has {high - low} positions, choose one by select: {', '.join(shown)}{more}"
