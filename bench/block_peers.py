"""Readers that are raced, each over the same files: a crop's start and shape in, an array out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin  # noqa: F401 - the filters of h5py
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

OPTIONAL: Final[Mapping[str, tuple[str, str]]] = {
    "CloudVolume": ("cloudvolume", "pip install cloud-volume"),
    "ncempy": ("ncempy", "pip install ncempy"),
    "z5py": ("z5py", "pip install z5py"),
}
"""Peers that may be missing: their module, and how to get them."""

_DRIVERS: Final[Mapping[str, str]] = {
    ".zarray": "zarr",
    "zarr.json": "zarr3",
    "attributes.json": "n5",
    "info": "neuroglancer_precomputed",
}


def missing() -> dict[str, str]:
    """Optional peers that are not here, and how to get them."""
    return {name: how for name, (module, how) in OPTIONAL.items() if find_spec(module) is None}


def _ours(root: Path, dataset: str, **options: Any) -> Reader:
    volume = emasync.open_volume(root, dataset, cache_bytes=0, **options)
    if volume.axes == ("time", "channel"):
        return lambda box: volume.read(*_frames(box, volume.shape[1]))
    return lambda box: volume.read([part.start for part in box], [part.stop - part.start for part in box])


def _frames(box: tuple[slice, ...], width: int) -> tuple[list[int], list[int]]:
    """Of a recording with a channel for each x: as many values as the box has, from its first row on."""
    z, y, x = box
    return [z.start * width + y.start, x.start], [(z.stop - z.start) * (y.stop - y.start), x.stop - x.start]


def _tensorstore(folder: Path) -> Reader:
    driver = next(driver for document, driver in _DRIVERS.items() if (folder / document).exists())
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}
    store = tensorstore.open(spec, read=True).result()
    store = store[..., 0] if driver == "neuroglancer_precomputed" else store
    store = store.T if driver in ("n5", "neuroglancer_precomputed") else store
    return lambda box: np.asarray(store[box].read().result())


def _zarr(folder: Path) -> Reader:
    array: Any = zarr.open_array(str(folder), mode="r")  # Any: zarr's own types are wider than what is read here
    return lambda box: np.asarray(array[box])


def _z5py(folder: Path) -> Reader:
    """An array of N5 in its container."""
    z5py: Any = import_module("z5py")  # without types
    dataset = z5py.File(str(folder.parent), mode="r", use_zarr_format=False)[folder.name]
    return lambda box: np.asarray(dataset[box])


def _cloudvolume(folder: Path) -> Reader:
    volumes: Any = import_module("cloudvolume").CloudVolume  # without types
    volume = volumes(f"file://{folder}", progress=False, fill_missing=True, parallel=1)
    return lambda box: np.asarray(volume[box[::-1]])[..., 0].T


def _mapped_tiff(path: Path) -> Reader:
    pages = tifffile.memmap(path, mode="r")
    return lambda box: np.array(pages[box])


def _tiff_pages(path: Path) -> Reader:
    file = tifffile.TiffFile(path)
    return lambda box: file.asarray(key=range(box[0].start, box[0].stop))[:, box[1], box[2]]


def _mrcfile(path: Path) -> Reader:
    data = mrcfile.mmap(str(path), mode="r").data
    return lambda box: np.array(data[box])


def _ncempy(path: Path) -> Reader:
    data = import_module("ncempy.io.dm").fileDM(str(path)).getMemmap(0)
    return lambda box: np.array(data[box])


def _numpy(path: Path) -> Reader:
    """Traces, mapped: what SpikeInterface does with them."""
    width = round(path.stat().st_size ** (1 / 3))
    data = np.memmap(path, np.uint8, "r").reshape(-1, width)

    def read(box: tuple[slice, ...]) -> Block:
        (frame, channel), (frames, channels) = _frames(box, width)
        return np.array(data[frame : frame + frames, channel : channel + channels])

    return read


def _h5py(path: Path) -> Reader:
    dataset = h5py.File(path, "r", rdcc_nbytes=0)["volume"]  # nobody keeps decoded chunks
    return lambda box: np.asarray(dataset[box])


_PEERS: Final[Mapping[str, Callable[[Path], Reader]]] = {
    "TensorStore": _tensorstore,
    "zarr-python": _zarr,
    "z5py": _z5py,
    "CloudVolume": _cloudvolume,
    "tifffile": _mapped_tiff,
    "tifffile, pages": _tiff_pages,
    "mrcfile": _mrcfile,
    "ncempy": _ncempy,
    "numpy": _numpy,
    "h5py": _h5py,
}


def readers(root: Path, dataset: str, place: Path, peers: tuple[str, ...]) -> Mapping[str, Reader]:
    """All readers of one layout, ours first; peers that are not here are left out."""
    ours = {OURS: _ours(root, dataset), ALONE: _ours(root, dataset, threads=1)}
    return {**ours, **dict(_here(place, peers))}


def _here(place: Path, peers: tuple[str, ...]) -> Iterator[tuple[str, Reader]]:
    gone = missing()
    for name in peers:
        if name not in gone:
            yield name, _PEERS[name](place)
