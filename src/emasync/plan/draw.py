"""Boxes that are drawn: at random, the same for ever, or in the centre. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from emasync.errors import SourceError
from emasync.model.geometry import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How a box was found that had to hold data.

    Attributes
    ----------
    draws : int
        Boxes drawn until then, this one included.
    sampled, nonzero : int
        Chunks of it that were looked at, and that hold data.
    """

    draws: int
    sampled: int
    nonzero: int

    @property
    def share(self) -> float:
        """Part of the chunks looked at that hold data."""
        return self.nonzero / self.sampled if self.sampled else 0.0


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
    from numpy.random import PCG64  # noqa: PLC0415 - a twentieth of a second to import, and most runs draw nothing

    bits = PCG64(seed)
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
