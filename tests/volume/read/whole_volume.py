"""A whole array by way of ``emasync.open_volume``, in the order of axes that it has on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.volume.read.desk import Array

import emasync
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.orientation import SPATIAL


def whole_volume(root: Path, dataset: str, entry: ArrayEntry, **options: Any) -> Array:
    """All voxels: position by position of the axes that must be selected."""
    others = [at for at, axis in enumerate(entry.axes) if axis.lower() not in SPATIAL]
    chosen = {"y", "x"} <= {axis.lower() for axis in entry.axes} and len(set(entry.axes)) == len(entry.axes)
    if not chosen:
        return emasync.open_volume(root, dataset, entry.asset, entry.path, entry.scale, **options)[...]
    made = np.empty(entry.shape, np.dtype(entry.layout.dtype).newbyteorder("="))
    for place in np.ndindex(*(entry.shape[at] for at in others)):
        select = {entry.axes[at]: position for at, position in zip(others, place, strict=True)}
        volume = emasync.open_volume(root, dataset, entry.asset, entry.path, entry.scale, select=select, **options)
        kept = [axis for axis in entry.axes if axis in volume.axes]
        index: list[Any] = [slice(None)] * len(entry.shape)
        for at, position in zip(others, place, strict=True):
            index[at] = position
        made[tuple(index)] = volume[...].transpose([volume.axes.index(axis) for axis in kept])
    return made
