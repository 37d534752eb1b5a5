"""``volume[...]``: integers, slices and an ellipsis, in source coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

from emasync.errors import InputError
from emasync.model.geometry import Box


@dataclass(frozen=True, slots=True)
class Selection:
    """What an index means.

    Attributes
    ----------
    box : Box
        Voxels to be read.
    then : tuple of int or slice
        Index into what was read: takes axes away, and steps.
    """

    box: Box
    then: tuple[int | slice, ...]


def selection(key: object, bounds: Box) -> Selection:
    """Understand an index.

    All numbers are source coordinates, negative ones too: they do not count from the end. Slices without a start or
    stop go to the end of `bounds`.

    Parameters
    ----------
    key : int, slice, Ellipsis, or a tuple of them
    bounds : Box

    Raises
    ------
    InputError
        Anything else, too many of them, a step below 1.
    """
    parts = _spread(key if isinstance(key, tuple) else (key,), len(bounds.start))
    ranges, then = list[tuple[int, int]](), list[int | slice]()
    for part, low, high in zip(parts, bounds.start, bounds.stop, strict=True):
        if isinstance(part, slice):
            ranges.append(_range(part, low, high))
            then.append(slice(None, None, part.step))
        else:
            at = _integer(part)
            ranges.append((at, at + 1))
            then.append(0)
    return Selection(Box(tuple(start for start, _ in ranges), tuple(stop for _, stop in ranges)), tuple(then))


def _spread(parts: tuple[object, ...], axes: int) -> Sequence[object]:
    """One part an axis."""
    dots = [at for at, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1 or len(parts) - len(dots) > axes:
        raise InputError(f"index {parts}: the volume has {axes} axes, and one ellipsis is enough")
    at = dots[0] if dots else len(parts)
    missing = axes - len(parts) + len(dots)
    return (*parts[:at], *[slice(None)] * missing, *parts[at + 1 :])


def _range(part: slice, low: int, high: int) -> tuple[int, int]:
    if part.step is not None and _integer(part.step) < 1:
        raise InputError(f"index {part}: expected a step of 1 or more")
    start = low if part.start is None else _integer(part.start)
    return start, max(start, high if part.stop is None else _integer(part.stop))


def _integer(value: object) -> int:
    try:
        return index(value)  # type: ignore[arg-type]  # it says itself whether it is one
    except TypeError:
        raise InputError(f"index {value!r}: expected integers, slices, or an ellipsis") from None
