"""Blocks that reach beyond the array: where each voxel comes from, by the rules of :func:`numpy.pad`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from emasync.errors import InputError
from emasync.formats.chunks import ChunkLayout
from emasync.volume.absence import fill_of
from emasync.volume.cache import Voxels

Pad = Literal["error", "constant", "edge", "reflect", "symmetric", "wrap"]

PADS: Final[tuple[Pad, ...]] = get_args(Pad)

Positions = npt.NDArray[np.int64]


def _reflected(at: Positions, size: int) -> Positions:
    """The edge voxel once: 2 1 | 0 1 2 | 1 0."""
    if size == 1:
        return np.zeros_like(at)
    folded = at % (2 * size - 2)
    return np.minimum(folded, 2 * size - 2 - folded)


def _mirrored(at: Positions, size: int) -> Positions:
    """The edge voxel twice: 1 0 | 0 1 2 | 2 1."""
    folded = at % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


_RULES: Final[Mapping[str, Callable[[Positions, int], Positions]]] = {
    "edge": lambda at, size: np.clip(at, 0, size - 1),
    "reflect": _reflected,
    "symmetric": _mirrored,
    "wrap": lambda at, size: at % size,
}


def sources(start: int, stop: int, low: int, high: int, pad: Pad) -> Positions:
    """Coordinate that each voxel of an axis is taken from.

    Parameters
    ----------
    start, stop : int
        Of the block.
    low, high : int
        Of what there is; not empty.
    pad : {"edge", "reflect", "symmetric", "wrap"}
    """
    return _RULES[pad](np.arange(start - low, stop - low, dtype=np.int64), high - low) + low


@dataclass(frozen=True, slots=True)
class Padding:
    """What is beyond the array.

    Attributes
    ----------
    rule : Pad
    fill : ndarray or None
        One voxel; for the rule ``constant``, and for no other.
    """

    rule: Pad
    fill: Voxels | None = None


def padding_of(rule: str, fill: float | None, layout: ChunkLayout) -> Padding:
    """Understand the arguments of a reader.

    Raises
    ------
    InputError
        An unknown rule; a value that goes with another rule, or not with the voxels.
    """
    known = [pad for pad in PADS if pad == rule]
    if not known:
        raise InputError(f"pad={rule!r}: expected one of {', '.join(PADS)}")
    if rule != "constant":
        if fill is not None:
            raise InputError(f"fill={fill} goes with pad='constant', not with pad={rule!r}")
        return Padding(known[0])
    dtype = np.dtype(layout.dtype)
    try:
        return Padding("constant", np.asarray(fill_of(layout).flat[0] if fill is None else np.full((), fill, dtype)))
    except (OverflowError, ValueError, TypeError) as error:
        raise InputError(f"fill={fill!r} is no {layout.dtype} ({error})") from error
