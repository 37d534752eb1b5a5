"""Small assets of a flat bucket, laid out as those of the Allen Institute for Neural Dynamics: sidecars and tiles.

What real assets have is kept on purpose: sidecars of mixed schema versions, numbers as text, fields that are null,
names of files that are not there, paths of the machine that recorded.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numcodecs import Blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from emasync.testing.aind_sidecars import Schema, sidecars
from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.folder import FolderStore
from emasync.testing.volumes import Shape, Volume, halve, smooth_blobs

BUCKET = "aind-open-data"
CHUNK = (16, 32, 32)
"""Voxels, z y x; true ones have 128 or 256 to each side. Shards have twice as many."""

RAW = "exaSPIM_708373_2024-04-02_19-49-38"
FUSED = f"{RAW}_fusion_2024-06-12_11-58-05"
NEW = "795133_2026-02-10_11-06-18"
"""Named and described by schema v2, which tells no platform."""

Stored = Literal["zarr2", "zarr3"]

_VOXEL_UM = (1.0, 0.748, 0.748)


def exaspim(folder: Path, *, shape: Shape = (40, 72, 80), levels: int = 6, chunk: Shape = CHUNK) -> ArchiveTwin:
    """Three assets of the flat bucket: raw tiles, what was fused of them, and tiles of the newer writer in shards.

    Parameters
    ----------
    folder : Path
        Empty; is written to and served from.
    shape : tuple of int
        Voxels of a tile, z y x.
    levels : int
        Of each tile; the true ones have eight.
    chunk : tuple of int
        Voxels, z y x.
    """
    write = partial(write_asset, folder / BUCKET, levels=levels, shape=shape, chunk=chunk)
    written = {
        RAW: write(RAW),
        FUSED: write(FUSED, tiles=1, container="fused.zarr"),
        NEW: write(NEW, stored="zarr3", schema="v2"),
    }
    return ArchiveTwin(
        store=FolderStore(folder),
        stands_for={f"s3://{BUCKET}": BUCKET},
        truth={
            f"{BUCKET}/{asset}/{tile}/{level}": volume
            for asset, tiles in written.items()
            for tile, volumes in tiles.items()
            for level, volume in enumerate(volumes)
        },
    )


def write_asset(
    bucket: Path,
    name: str,
    *,
    tiles: int = 2,
    levels: int = 3,
    container: str = "SPIM.ome.zarr",
    stored: Stored = "zarr2",
    schema: Schema = "v1",
    shape: Shape = (40, 72, 80),
    chunk: Shape = CHUNK,
) -> dict[str, tuple[Volume, ...]]:
    """Write a light-sheet asset.

    Parameters
    ----------
    bucket : Path
        Folder of the bucket.
    name : str
        Of the asset.
    tiles, levels : int
    container : str
        Folder of the tiles below the asset.
    stored : {"zarr2", "zarr3"}
        Chunks of their own, or shards (the newer writer).
    schema : {"v1", "v2"}
        Of the sidecars; with it the names of tiles changed.
    shape, chunk : tuple of int
        Voxels of a tile and of a chunk, z y x.

    Returns
    -------
    dict of str to tuple of ndarray
        Levels (t, c, z, y, x), finest first, by path of the tile below the asset.
    """
    asset = bucket / name
    pattern = "tile_x_{:04d}_y_0000_z_0000_ch_488" if schema == "v1" else "tile_{:06d}_ch_561"
    names = [pattern.format(number) for number in range(tiles)]
    for key, document in sidecars(bucket.name, name, names, schema).items():
        sidecar = asset / key
        sidecar.parent.mkdir(parents=True, exist_ok=True)
        sidecar.write_text(json.dumps(document, indent=3))
    zarr.open_group(asset / container, mode="w", zarr_format=2 if stored == "zarr2" else 3)
    written = {}
    for number, tile in enumerate(names):
        path = f"{container}/{tile}.zarr"
        written[path] = write_tile(asset / path, levels=levels, stored=stored, shape=shape, chunk=chunk, seed=number)
    return written


def write_tile(
    folder: Path, *, levels: int, stored: Stored, shape: Shape, chunk: Shape = CHUNK, seed: int = 0
) -> tuple[Volume, ...]:
    """Write one tile: OME-Zarr of five axes, levels ``0``, ``1``, ...; the last chunk of the finest is left out."""
    finest = smooth_blobs(shape, "uint16", seed)
    shard = [2 * size for size in chunk]
    finest[tuple(slice((size - 1) // block * block, size) for size, block in zip(shape, shard, strict=True))] = 0
    pyramid = [finest]
    while len(pyramid) < levels:
        pyramid.append(halve(pyramid[-1]))
    volumes = tuple(volume[np.newaxis, np.newaxis] for volume in pyramid)
    group = zarr.open_group(folder, mode="w", zarr_format=2 if stored == "zarr2" else 3)
    described = _multiscales(folder.name, levels, "0.4" if stored == "zarr2" else "0.5")
    group.attrs.update(described if stored == "zarr2" else {"ome": described})
    for number, volume in enumerate(volumes):
        _write_level(group, str(number), volume, stored, chunk)
    return volumes


def _write_level(group: zarr.Group, name: str, volume: NDArray[Any], stored: Stored, chunk: Shape) -> None:
    options: dict[str, Any] = {  # Any: keyword arguments of one call
        "compressors": Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE),
        "chunk_key_encoding": {"name": "v2", "separator": "/"},
    }
    if stored == "zarr3":
        options = {"compressors": BloscCodec(cname="zstd", clevel=3), "shards": (1, 1, *(2 * size for size in chunk))}
    array = group.create_array(
        name,
        shape=volume.shape,
        chunks=(1, 1, *chunk),
        dtype=volume.dtype,
        fill_value=0,
        config={"write_empty_chunks": False},
        **options,
    )
    array[...] = volume


def _multiscales(name: str, levels: int, version: str) -> dict[str, Any]:
    """Attributes of an image (OME-NGFF 0.4, "multiscales" metadata); Any: JSON."""
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, 1.0, *(size * 2**level for size in _VOXEL_UM)]},
                {"type": "translation", "translation": [0.0, 0.0, 0.0, 0.0, 0.0]},
            ],
        }
        for level in range(levels)
    ]
    axes: list[dict[str, str]] = [
        {"name": "t", "type": "time", "unit": "millisecond"},
        {"name": "c", "type": "channel"},
    ]
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    entry = {"name": name, "axes": axes, "datasets": datasets, "version": version}
    return {"multiscales": [entry], "omero": {"id": 1, "channels": [], "rdefs": {"model": "color"}}}
