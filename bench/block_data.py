"""A volume that looks like electron microscopy to codecs, written the ways that people publish, and fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import tifffile
import zarr
from bench.block_codecs import CHUNK, N5, SHARD, ZARR, Volume, codec_layouts, n5, zarr2
from numcodecs import Blosc, GZip

import emasync


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


def _tiff(path: Path, volume: Volume) -> None:
    tifffile.imwrite(path, volume, contiguous=True)


def _mrc(path: Path, volume: Volume) -> None:
    with mrcfile.new(str(path)) as file:
        file.set_data(volume.view(np.int8))


def _hdf5(path: Path, volume: Volume) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("volume", data=volume, chunks=(CHUNK,) * 3, compression="gzip", compression_opts=5)


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to publish the volume.

    Attributes
    ----------
    name : str
        Below the folder of what is published: a tree, or a folder and a file in it.
    write : callable
    peers : tuple of str
        Other readers of it.
    """

    name: str
    write: Callable[[Path, Volume], None]
    peers: tuple[str, ...]


MAIN: Mapping[str, Layout] = {
    "raw": Layout("raw.zarr", partial(zarr2, None, []), ZARR),
    "gzip": Layout("gzip.zarr", partial(zarr2, GZip(5), []), ZARR),
    "blosc-zstd": Layout("blosc.zarr", partial(zarr2, Blosc("zstd", 3, Blosc.SHUFFLE), []), ZARR),
    "zstd shards": Layout("shards.zarr", _sharded, ZARR),
    "n5 gzip": Layout("gzip.n5/volume", partial(n5, {"type": "gzip", "level": 5}), N5),
    "tiff": Layout("tiff/volume.tif", _tiff, ("tifffile",)),
    "mrc": Layout("mrc/volume.mrc", _mrc, ("mrcfile",)),
    "hdf5 gzip": Layout("hdf5/volume.h5", _hdf5, ("h5py",)),
}
"""What is published most; chunks of 64³ where there are chunks."""

CODECS: Mapping[str, Layout] = {name: Layout(place, write, peers) for name, place, write, peers in codec_layouts()}
"""Every other format and codec that is decoded."""

LAYOUTS: Mapping[str, Layout] = {**MAIN, **CODECS}


def fetched(folder: Path, layouts: list[str], volume: Volume) -> dict[str, Path]:
    """Write layouts, fetch each into a root, and say where it is there: readers of all kinds read the same files."""
    published, root, entries, places = folder / "published", folder / "root", list[dict[str, Any]](), dict[str, Path]()
    for layout in layouts:
        name = LAYOUTS[layout].name
        dataset = layout.replace(" ", "-")
        tree, _, file = name.partition("/")
        if not (published / name).exists():
            (published / name).parent.mkdir(parents=True, exist_ok=True)
            LAYOUTS[layout].write(published / name, volume)
        entries.append({"id": dataset, "source": "bucket", "url": f"file://{published}/{tree}"})
        places[layout] = root / dataset / file
    receipt = emasync.run({"version": 1, "datasets": entries}, root=root)
    if not receipt.ok:
        raise SystemExit(f"the data could not be fetched: {receipt.to_dict()}")
    return places
