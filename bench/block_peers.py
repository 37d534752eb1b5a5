"""Readers that are raced, each over the same files: a crop's start and shape in, an array out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import numpy.typing as npt
import tensorstore
import tifffile
import zarr

import emasync

Block = npt.NDArray[Any]  # Any: whatever type the reader gives
Reader = Callable[[tuple[slice, ...]], Block]

OURS = "emasync"
ALONE = "emasync, 1 thread"


def _ours(root: Path, dataset: str, **options: Any) -> Reader:
    volume = emasync.open_volume(root, dataset, cache_bytes=0, **options)
    return lambda box: volume.read([part.start for part in box], [part.stop - part.start for part in box])


def _tensorstore(driver: str, folder: Path) -> Reader:
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}
    store = tensorstore.open(spec, read=True).result()
    store = store.T if driver == "n5" else store
    return lambda box: np.asarray(store[box].read().result())


def _zarr(folder: Path) -> Reader:
    array: Any = zarr.open_array(str(folder), mode="r")  # Any: zarr's own types are wider than what is read here
    return lambda box: np.asarray(array[box])


def _tifffile(path: Path) -> Reader:
    pages = tifffile.memmap(path, mode="r")
    return lambda box: np.array(pages[box])


def _mrcfile(path: Path) -> Reader:
    data = mrcfile.mmap(str(path), mode="r").data
    return lambda box: np.array(data[box])


def _h5py(path: Path) -> Reader:
    dataset = h5py.File(path, "r", rdcc_nbytes=0)["volume"]  # nobody keeps decoded chunks
    return lambda box: np.asarray(dataset[box])


def readers(root: Path, layout: str, place: Path) -> Mapping[str, Reader]:
    """All readers of one layout, ours first."""
    dataset = layout.replace(" ", "-")
    ours = {OURS: _ours(root, dataset), ALONE: _ours(root, dataset, threads=1)}
    match layout:
        case "raw" | "gzip" | "blosc-zstd":
            return {**ours, "TensorStore": _tensorstore("zarr", place), "zarr-python": _zarr(place)}
        case "zstd shards":
            return {**ours, "TensorStore": _tensorstore("zarr3", place), "zarr-python": _zarr(place)}
        case "n5 gzip":
            return {**ours, "TensorStore": _tensorstore("n5", place)}
        case "tiff":
            return {**ours, "tifffile": _tifffile(place)}
        case "mrc":
            return {**ours, "mrcfile": _mrcfile(place)}
        case "hdf5 gzip":
            return {**ours, "h5py": _h5py(place)}
    raise ValueError(f"nobody reads {layout}")
