"""Small assets of a flat bucket, laid out as those of the Allen Institute for Neural Dynamics: sidecars, tiles, traces.

What real assets have is kept on purpose: sidecars of mixed schema versions, numbers as text, fields that are null,
names of files that are not there, paths of the machine that recorded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numcodecs import Blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from emasync.testing.volumes import Volume, halve, smooth_blobs

BUCKET = "aind-open-data"
CHUNKS = (1, 1, 16, 32, 32)
SHARDS = (1, 1, 32, 64, 64)

_SCHEMAS = "https://raw.githubusercontent.com/AllenNeuralDynamics/aind-data-schema/main/src/aind_data_schema"
_VOXEL_UM = (1.0, 0.748, 0.748)


def write_asset(
    bucket: Path,
    name: str,
    *,
    tiles: int = 2,
    levels: int = 3,
    container: str = "SPIM.ome.zarr",
    stored: Literal["zarr2", "zarr3"] = "zarr2",
    shape: tuple[int, int, int] = (40, 72, 80),
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
    shape : tuple of int
        Voxels of a tile, z y x.

    Returns
    -------
    dict of str to tuple of ndarray
        Levels (t, c, z, y, x), finest first, by path of the tile below the asset.
    """
    asset = bucket / name
    names = [f"tile_x_{number:04d}_y_0000_z_0000_ch_488" for number in range(tiles)]
    for key, document in sidecars(name, names).items():
        sidecar = asset / key
        sidecar.parent.mkdir(parents=True, exist_ok=True)
        sidecar.write_text(json.dumps(document, indent=3))
    zarr.open_group(asset / container, mode="w", zarr_format=2 if stored == "zarr2" else 3)
    written = {}
    for number, tile in enumerate(names):
        path = f"{container}/{tile}.zarr"
        written[path] = write_tile(asset / path, levels=levels, stored=stored, shape=shape, seed=number)
    return written


def write_tile(
    folder: Path, *, levels: int, stored: Literal["zarr2", "zarr3"], shape: tuple[int, int, int], seed: int
) -> tuple[Volume, ...]:
    """Write one tile: OME-Zarr of five axes, levels ``0``, ``1``, ...; the last chunk of the finest is left out."""
    finest = smooth_blobs(shape, "uint16", seed)
    finest[tuple(slice((size - 1) // block * block, size) for size, block in zip(shape, SHARDS[2:], strict=True))] = 0
    pyramid = [finest]
    while len(pyramid) < levels:
        pyramid.append(halve(pyramid[-1]))
    volumes = tuple(volume[np.newaxis, np.newaxis] for volume in pyramid)
    group = zarr.open_group(folder, mode="w", zarr_format=2 if stored == "zarr2" else 3)
    described = _multiscales(folder.name, levels, "0.4" if stored == "zarr2" else "0.5")
    group.attrs.update(described if stored == "zarr2" else {"ome": described})
    for number, volume in enumerate(volumes):
        _write_level(group, str(number), volume, stored)
    return volumes


def _write_level(group: zarr.Group, name: str, volume: NDArray[Any], stored: Literal["zarr2", "zarr3"]) -> None:
    options: dict[str, Any] = {  # Any: keyword arguments of one call
        "compressors": Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE),
        "chunk_key_encoding": {"name": "v2", "separator": "/"},
    }
    if stored == "zarr3":
        options = {"compressors": BloscCodec(cname="zstd", clevel=3), "shards": SHARDS}
    array = group.create_array(
        name,
        shape=volume.shape,
        chunks=CHUNKS,
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


def sidecars(name: str, tiles: Sequence[str]) -> dict[str, Any]:
    """Sidecars of schema v1 and their aggregate, by key below the asset (Any: JSON)."""
    subject = name.split("_")[1]
    description = {**_head("data_description", "0.10.0"), "name": name.lower(), "data_level": "raw", "label": None}
    acquisition = {
        **_head("imaging/acquisition", "0.5.2"),
        "specimen_id": subject,
        "local_storage_directory": "E:\\exaSPIM\\" + name,
        "tiles": [_tile(tile) for tile in tiles],
    }
    core: dict[str, Any] = {
        "data_description": description,
        "acquisition": acquisition,
        "subject": {**_head("subject", "0.4.2"), "subject_id": subject, "sex": "Male"},
        "instrument": {**_head("imaging/instrument", "0.6.4"), "instrument_id": "exaSPIM1-1"},
        "procedures": {**_head("procedures", "0.9.3"), "subject_id": subject, "notes": "/scratch/procedures"},
    }
    absent = dict.fromkeys(("processing", "rig", "session", "quality_control"))
    aggregate = {
        "_id": "e617e755-e06f-452e-bba3-f70d42cf17fb",
        "name": f"{name}-renamed",
        "location": f"s3://{BUCKET}/{name}",
        "metadata_status": "Invalid",
        "schema_version": "0.2.7",
        "external_links": {"Code Ocean": []},
        **core,
        **absent,
    }
    documents = {f"{key}.json": value for key, value in core.items()}
    original = {"original_metadata/data_description.20240522.json": description}
    return {**documents, **original, "metadata.nd.json": aggregate}


def _head(module: str, version: str) -> dict[str, Any]:
    return {"describedBy": f"{_SCHEMAS}/core/{module}.py", "schema_version": version}


def _tile(name: str) -> dict[str, Any]:
    z, y, x = map(str, _VOXEL_UM)
    scale = {"type": "scale", "scale": [x, y, z]}
    translation = {"type": "translation", "translation": ["-1000", "2000", "0"]}
    return {"file_name": f"{name}.ims", "coordinate_transformations": [scale, translation], "channel": None}
