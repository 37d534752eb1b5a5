"""A volume that looks like electron microscopy to codecs, written the ways that people publish, and fetched."""

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
from numcodecs import Blosc, GZip

import emasync

CHUNK = 64
SHARD = 256

Volume = npt.NDArray[np.uint8]


def electron_micrograph(size: int) -> Volume:
    """Smooth structure with noise over it: about 60 % of its bits are left by gzip."""
    random = np.random.default_rng(20261121)
    coarse = random.standard_normal((size // 8 + 2,) * 3, dtype=np.float32)
    fine = coarse.repeat(8, 0).repeat(8, 1).repeat(8, 2)[:size, :size, :size]
    for axis in range(3):
        fine = sum((np.roll(fine, shift, axis) for shift in range(-3, 4)), np.zeros_like(fine)) / 7
    fine = 128 + 60 * fine / fine.std() + random.normal(0, 3, fine.shape).astype(np.float32)
    return fine.clip(0, 255).astype(np.uint8)


def kept(path: Path, size: int) -> Volume:
    """The volume of an earlier race in the same folder, or a new one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, electron_micrograph(size))
    volume: Volume = np.load(path)
    return volume


def _zarr2(compressor: Any) -> Callable[[Path, Volume], None]:  # Any: numcodecs has no types
    def write(path: Path, volume: Volume) -> None:
        array = zarr.create_array(
            str(path),
            shape=volume.shape,
            chunks=(CHUNK,) * 3,
            dtype=volume.dtype,
            zarr_format=2,
            compressors=compressor,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        array[:] = volume

    return write


def _sharded(path: Path, volume: Volume) -> None:
    array = zarr.create_array(
        str(path),
        shape=volume.shape,
        chunks=(CHUNK,) * 3,
        shards=(min(SHARD, volume.shape[0]),) * 3,
        dtype=volume.dtype,
        zarr_format=3,
        compressors=zarr.codecs.ZstdCodec(level=3),
    )
    array[:] = volume


def _n5(path: Path, volume: Volume) -> None:
    metadata = {
        "dimensions": volume.shape,
        "blockSize": (CHUNK,) * 3,
        "dataType": "uint8",
        "compression": {"type": "gzip", "level": 5},
    }
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata, "create": True}
    tensorstore.open(spec).result().T[...] = volume


def _tiff(path: Path, volume: Volume) -> None:
    tifffile.imwrite(path, volume, contiguous=True)


def _mrc(path: Path, volume: Volume) -> None:
    with mrcfile.new(str(path)) as file:
        file.set_data(volume.view(np.int8))


def _hdf5(path: Path, volume: Volume) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("volume", data=volume, chunks=(CHUNK,) * 3, compression="gzip", compression_opts=5)


WRITERS: Mapping[str, tuple[str, Callable[[Path, Volume], None]]] = {
    "raw": ("raw.zarr", _zarr2(None)),
    "gzip": ("gzip.zarr", _zarr2(GZip(5))),
    "blosc-zstd": ("blosc.zarr", _zarr2(Blosc("zstd", 3, Blosc.SHUFFLE))),
    "zstd shards": ("shards.zarr", _sharded),
    "n5 gzip": ("gzip.n5", _n5),
    "tiff": ("tiff/volume.tif", _tiff),
    "mrc": ("mrc/volume.mrc", _mrc),
    "hdf5 gzip": ("hdf5/volume.h5", _hdf5),
}
"""Layout → name, and how it is written; chunks of 64³ where there are chunks."""


def fetched(folder: Path, layouts: list[str], volume: Volume) -> dict[str, Path]:
    """Write layouts, fetch each into a root, and say where it is there: readers of all kinds read the same files."""
    published, root, entries, places = folder / "published", folder / "root", list[dict[str, Any]](), dict[str, Path]()
    for layout in layouts:
        name, write = WRITERS[layout]
        dataset = layout.replace(" ", "-")
        tree, _, file = name.partition("/")
        (published / tree).parent.mkdir(parents=True, exist_ok=True)
        if not (published / name).exists():
            (published / name).parent.mkdir(exist_ok=True)
            write(published / name, volume)
        entries.append({"id": dataset, "source": "bucket", "url": f"file://{published}/{tree}"})
        places[layout] = root / dataset / file
    receipt = emasync.run({"version": 1, "datasets": entries}, root=root)
    if not receipt.ok:
        raise SystemExit(f"the data could not be fetched: {receipt.to_dict()}")
    return places
