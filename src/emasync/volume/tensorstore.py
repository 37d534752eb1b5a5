"""Blocks by TensorStore, for comparison and for formats it is at home in. An extra; not usable after a fork.

TensorStore ends a forked child that uses it ("fork() use detected"), so it is refused there before that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from emasync.errors import FormatError, InputError
from emasync.model.geometry import Box
from emasync.volume.absence import name_of, require_here
from emasync.volume.cache import Voxels
from emasync.volume.interface import IndexedArray
from emasync.volume.planning import plan_of, portions
from emasync.volume.reading import go_on

DRIVERS: Final[Mapping[str, str]] = {
    "zarr2": "zarr",
    "zarr3": "zarr3",
    "n5": "n5",
    "precomputed": "neuroglancer_precomputed",
}
"""Formats → TensorStore's names of them."""

_DOCUMENTS: Final[Mapping[str, str]] = {
    "zarr2": ".zarray",
    "zarr3": "zarr.json",
    "n5": "attributes.json",
    "precomputed": "info",
}
"""Format → document in the folder that TensorStore opens."""

_LOOKED_AT: Final = 4096
"""Chunks of which one should be there; its path tells the folder."""

_used_by: list[int] = []
"""The process that used TensorStore first; a forked child finds another's number here."""


@final
class TensorStoreEngine:
    """Reads boxes with TensorStore; what is not on disk is refused before that, for it would read as fill value.

    Parameters
    ----------
    array : IndexedArray
    root : str

    Raises
    ------
    InputError
        It cannot read this format, is not installed, or this process was forked from one that used it.
    FormatError
        It does not find the array.
    """

    def __init__(self, array: IndexedArray, root: str) -> None:
        if array.format not in DRIVERS:
            raise InputError(
                f"{name_of(array)}: engine='tensorstore' reads {', '.join(DRIVERS)}, not {array.format}; use 'direct'"
            )
        _require_own_process()
        self._array = array
        self._store = _opened(array, root)

    def fill(self, boxes: Sequence[Box], targets: Sequence[Voxels], gone_on: Callable[[], None] = go_on) -> None:
        """Put the voxels of each box into its target; see :class:`~emasync.volume.reading.BlockEngine`."""
        _require_own_process()
        self._require_here(boxes)
        reads = [self._store[tuple(map(slice, box.start, box.stop))].read() for box in boxes]
        for read, target in zip(reads, targets, strict=True):
            gone_on()
            target[...] = read.result()

    def _require_here(self, boxes: Sequence[Box]) -> None:
        array = self._array
        for portion in portions(boxes, array.layout.chunks):
            numbers = list(plan_of((box for _, box in portion), array.layout.chunks, array.grid_shape))
            require_here(array, numbers, array.chunks.find(np.array(numbers, np.int64)).files)


def _require_own_process() -> None:
    _used_by[:1] = _used_by[:1] or [os.getpid()]
    if _used_by[0] != os.getpid():
        raise InputError(
            "engine='tensorstore' cannot be used in a process that was forked from one that used it (TensorStore ends "
            "such a process); start workers with multiprocessing's 'spawn', or use engine='direct'"
        )


def _opened(array: IndexedArray, root: str) -> Any:
    """The array in the index's order of axes, its first voxel on disk at 0 (Any: TensorStore has no types)."""
    try:
        import tensorstore  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputError("engine='tensorstore' needs: pip install 'emasync[tensorstore]'") from error
    folder, inner = _folder(array, root)
    spec: dict[str, Any] = {
        "driver": DRIVERS[array.format],
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "open": True,
    }
    if inner:
        spec["scale_metadata"] = {"key": inner}
    try:
        store = tensorstore.open(spec, read=True).result()
    except ValueError as error:
        raise FormatError(f"{name_of(array)}: TensorStore cannot open it: {error}", location=name_of(array)) from error
    if array.format in ("n5", "precomputed"):
        store = store.T  # they count x, y, z
    if store.ndim == len(array.shape) + 1:
        store = store[0]  # the one channel
    if tuple(store.shape) == array.shape:
        return store[tensorstore.d[:].translate_to[0]]
    return store[tuple(slice(low, low + size) for low, size in zip(array.origin, array.shape, strict=True))][
        tensorstore.d[:].translate_to[0]
    ]


def _folder(array: IndexedArray, root: str) -> tuple[Path, str]:
    """Folder of the array's document, and what is between it and the chunks where that names a level."""
    numbers = np.arange(min(_LOOKED_AT, prod(array.grid_shape)), dtype=np.int64)
    files = array.chunks.find(numbers).files
    there = files[files >= 0]
    near = Path(array.chunks.path(int(there[0]))) if len(there) else Path(array.dataset, array.asset, array.path, "0")
    if array.format == "precomputed" and near.suffix == ".gz":
        raise InputError(f"{name_of(array)}: TensorStore does not find chunks whose names end with .gz; use 'direct'")
    for folder in near.parents:
        if (Path(root) / folder / _DOCUMENTS[array.format]).is_file():
            inner = near.relative_to(folder).parent if array.format == "precomputed" else Path()
            return Path(root) / folder, "" if inner == Path() else inner.as_posix()
    raise FormatError(
        f"{name_of(array)}: there is no {_DOCUMENTS[array.format]} above {near}; use engine='direct'",
        location=name_of(array),
    )
