"""Blocks around a place in the world, out of the level of an image that fits best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Protocol

import numpy as np

from emasync.errors import InputError
from emasync.volume.cache import Voxels
from emasync.volume.interface import IndexedArray
from emasync.volume.padding import Pad
from emasync.volume.resampling import hull, interpolated, nearest, samples, tiles

_SAME: Final = 1e-3
"""Sizes that differ by less are the same: published ones are rounded."""


class Level(Protocol):
    """One level of an image."""

    array: IndexedArray
    dtype: np.dtype[Any]  # of whatever type voxels are
    axes: tuple[str, ...]

    @property
    def voxel_size_nm(self) -> tuple[float, ...] | None:
        """Along the spatial axes, which come first."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels."""
        ...

    def read(self, start: Sequence[int], shape: Sequence[int], *, pad: Pad, fill: float | None) -> Voxels:
        """One block."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A block in the world; spatial axes.

    Attributes
    ----------
    center_nm : tuple of float
    shape : tuple of int
        Voxels.
    voxel_size_nm : tuple of float
    """

    center_nm: tuple[float, ...]
    shape: tuple[int, ...]
    voxel_size_nm: tuple[float, ...]

    def __post_init__(self) -> None:
        same = len(self.center_nm) == len(self.shape) == len(self.voxel_size_nm)
        if not same or min(self.shape, default=1) < 1 or min(self.voxel_size_nm, default=1) <= 0:
            raise InputError(
                f"center_nm {self.center_nm}, shape {self.shape}, voxel_size_nm {self.voxel_size_nm}: expected as many "
                "numbers each, and shapes and sizes above 0"
            )


def level_for(levels: Sequence[Level], place: Place, name: str) -> Level:
    """The coarsest level that is as fine along every axis; the finest where none is.

    Raises
    ------
    InputError
        Nobody knows how large voxels are, or they have other axes.
    """
    known = [(sizes, level) for level in levels if (sizes := level.voxel_size_nm) is not None]
    if not known:
        raise InputError(f"{name}: nobody says how large voxels are; use read, or say it in the manifest and run again")
    if len(known[0][0]) != len(place.shape):
        raise InputError(f"{name}: the place has {len(place.shape)} axes, the volume has {len(known[0][0])}")
    fine = [(sizes, level) for sizes, level in known if _as_fine(sizes, place.voxel_size_nm)]
    return max(fine, key=_voxel_nm3)[1] if fine else min(known, key=_voxel_nm3)[1]


def _as_fine(sizes: Sequence[float], steps: Sequence[float]) -> bool:
    return all(size <= step * (1 + _SAME) for size, step in zip(sizes, steps, strict=True))


def _voxel_nm3(pair: tuple[Sequence[float], Level]) -> float:
    return prod(pair[0])


def sampled(level: Level, place: Place, pad: Pad, fill: float | None) -> Voxels:
    """Sample a level: images linearly, labels from the nearest voxel.

    Raises
    ------
    EmasyncError
        As reading the level.
    """
    offsets = {axis.lower(): at for axis, at in level.array.translation_nm.items()}
    axes = [
        samples(center, count, step, size, offsets.get(axis.lower(), 0.0))
        for center, count, step, size, axis in zip(
            place.center_nm, place.shape, place.voxel_size_nm, level.voxel_size_nm or (), level.axes, strict=False
        )
    ]
    if level.array.role == "labels":
        axes = [nearest(at) for at in axes]
    block = np.empty((*place.shape, *level.shape[len(axes) :]), level.dtype)
    for tile in tiles(axes):
        parts = [at[along] for at, along in zip(axes, tile, strict=True)]
        box = hull(parts)
        found = level.read(box.start, box.shape, pad=pad, fill=fill)
        inner = [at - low for at, low in zip(parts, box.start, strict=True)]
        block[tile] = interpolated(found, inner, level.dtype)
    return block
