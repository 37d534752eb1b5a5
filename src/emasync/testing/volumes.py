"""Small volumes made on the spot: OME-Zarr 0.4, OME-Zarr 0.5 with shards, multipage TIFF. Same seed, same bytes.

Each writer gives back what it wrote, so that a test has the truth at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import Zstd
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from emasync.testing.tiff import write_pages

Volume = NDArray[Any]
"""Any: the number type is the caller's choice."""

Shape = tuple[int, int, int]

_GRAIN = 12
"""Voxels between two knots of the blobs."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer wrote.

    Attributes
    ----------
    levels : tuple of ndarray
        Values, finest level first.
    scale : tuple of float
        Voxel size of the finest level, z y x.
    unit : str
    """

    levels: tuple[Volume, ...]
    scale: tuple[float, float, float]
    unit: str


def smooth_blobs(shape: Shape, dtype: str, seed: int) -> Volume:
    """Smooth blobs with a little noise, over about half the range of the number type.

    Parameters
    ----------
    shape : tuple of int
        Voxels, z y x.
    dtype : str
        An integer type.
    seed : int
    """
    rng = np.random.default_rng(seed)
    blobs: Volume = rng.standard_normal([size // _GRAIN + 2 for size in shape]).astype(np.float32)
    for axis, size in enumerate(shape):
        blobs = np.moveaxis(np.tensordot(_interpolation(size), blobs, axes=(1, axis)), 0, axis)
    blobs += rng.normal(scale=0.02, size=shape).astype(np.float32)
    limits = np.iinfo(dtype)
    middle, reach = (limits.max + limits.min) / 2, (limits.max - limits.min) / 2
    return np.clip(middle + reach * 0.25 * blobs, limits.min, limits.max).astype(dtype)


def _interpolation(size: int) -> Volume:
    """Matrix that interpolates `size` voxels linearly between knots."""
    knots = size // _GRAIN + 2
    positions = np.arange(size) / _GRAIN
    low = positions.astype(int)
    matrix = np.zeros((size, knots), np.float32)
    matrix[np.arange(size), low] = 1 - (positions - low)
    matrix[np.arange(size), low + 1] = positions - low
    return matrix


def halve(volume: Volume) -> Volume:
    """Mean of 2 x 2 x 2 voxels; an odd last plane is dropped, as most writers do."""
    shape = [max(1, size // 2) for size in volume.shape]
    trimmed: Volume = volume[tuple(slice(0, 2 * size) for size in shape)].astype(np.float32)
    for axis, size in enumerate(shape):
        pairs = np.moveaxis(trimmed, axis, 0)
        trimmed = np.moveaxis((pairs[0 : 2 * size : 2] + pairs[min(1, len(pairs) - 1) : 2 * size : 2]) / 2, 0, axis)
    return np.round(trimmed).astype(volume.dtype)


def write_ome_zarr_04(
    folder: Path,
    *,
    shape: Shape = (96, 160, 176),
    chunks: Shape = (32, 64, 64),
    levels: int = 3,
    dtype: str = "int16",
    scale: tuple[float, float, float] = (8.0, 4.0, 4.0),
    seed: int = 0,
) -> Written:
    """Write an OME-Zarr 0.4 image (Zarr v2, ``/`` between chunk coordinates, Zstandard).

    The last chunk of the finest level holds nothing but fill value and is left out.

    Parameters
    ----------
    folder : Path
        The group; made when it is missing.
    shape, chunks : tuple of int
        Voxels, z y x.
    levels : int
    dtype : str
    scale : tuple of float
        Voxel size of the finest level, nanometres, z y x.
    seed : int
    """
    pyramid = halved_levels(shape, chunks, levels, dtype, seed)
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    group.attrs["multiscales"] = [{"version": "0.4", **_multiscale(folder.stem, len(pyramid), scale)}]
    for number, volume in enumerate(pyramid):
        array = group.create_array(
            f"s{number}",
            shape=volume.shape,
            chunks=_fitting(chunks, volume.shape),
            dtype=volume.dtype,
            compressors=Zstd(level=1),
            fill_value=0,
            chunk_key_encoding={"name": "v2", "separator": "/"},
            config={"write_empty_chunks": False},
        )
        array[...] = volume
    return Written(pyramid, scale, "nanometer")


def write_ome_zarr_05_sharded(
    folder: Path,
    *,
    shape: Shape = (96, 128, 160),
    chunks: Shape = (32, 32, 32),
    shards: Shape = (64, 64, 64),
    levels: int = 2,
    dtype: str = "uint8",
    scale: tuple[float, float, float] = (2.0, 0.5, 0.5),
    seed: int = 1,
) -> Written:
    """Write an OME-Zarr 0.5 image (Zarr v3, ``sharding_indexed``, Zstandard inside).

    The last shard of the finest level holds nothing but fill value and is left out.

    Parameters
    ----------
    folder : Path
        The group; made when it is missing.
    shape, chunks, shards : tuple of int
        Voxels, z y x; shards are multiples of chunks.
    levels : int
    dtype : str
    scale : tuple of float
        Voxel size of the finest level, micrometres, z y x.
    seed : int
    """
    pyramid = halved_levels(shape, shards, levels, dtype, seed)
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    multiscale = _multiscale(folder.stem, len(pyramid), scale, unit="micrometer")
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    for number, volume in enumerate(pyramid):
        array = group.create_array(
            f"s{number}",
            shape=volume.shape,
            chunks=chunks,
            shards=shards,
            dtype=volume.dtype,
            compressors=ZstdCodec(level=1),
            fill_value=0,
            dimension_names=("z", "y", "x"),
            config={"write_empty_chunks": False},
        )
        array[...] = volume
    return Written(pyramid, scale, "micrometer")


def write_multipage_tiff(
    path: Path, *, shape: Shape = (24, 96, 112), dtype: str = "uint16", seed: int = 2, voxel_nm: float = 5.0
) -> Written:
    """Write a classic multipage TIFF, one page a section, uncompressed.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Pages, rows, columns.
    dtype : str
        8 or 16 bits.
    seed : int
    voxel_nm : float
        Pixel size, told as resolution.
    """
    volume = smooth_blobs(shape, dtype, seed)
    write_pages(path, volume, pixel_nm=voxel_nm)
    return Written((volume,), (voxel_nm, voxel_nm, voxel_nm), "nanometer")


def halved_levels(shape: Shape, blocks: Shape, levels: int, dtype: str, seed: int) -> tuple[Volume, ...]:
    """Blobs, each level half of the one before; the last block of the finest holds zeros only.

    Parameters
    ----------
    shape, blocks : tuple of int
        Voxels, z y x.
    levels : int
    dtype : str
    seed : int
    """
    finest = smooth_blobs(shape, dtype, seed)
    if any(size > block for size, block in zip(shape, blocks, strict=True)):
        last = tuple(slice((size - 1) // block * block, size) for size, block in zip(shape, blocks, strict=True))
        finest[last] = 0
    pyramid = [finest]
    while len(pyramid) < levels:
        pyramid.append(halve(pyramid[-1]))
    return tuple(pyramid)


def _fitting(chunks: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(min(chunk, size) for chunk, size in zip(chunks, shape, strict=True))


def _multiscale(name: str, levels: int, scale: tuple[float, float, float], unit: str = "nanometer") -> dict[str, Any]:
    """Multiscales entry (OME-NGFF 0.4 and 0.5, "multiscales" metadata); Any: JSON.

    Voxels of a coarser level are centred between those they average, hence the translation.
    """
    datasets = []
    for level in range(levels):
        factor = 2**level
        datasets.append(
            {
                "path": f"s{level}",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [size * factor for size in scale]},
                    {"type": "translation", "translation": [size * (factor - 1) / 2 for size in scale]},
                ],
            }
        )
    axes = [{"name": axis, "type": "space", "unit": unit} for axis in "zyx"]
    return {"name": name, "axes": axes, "datasets": datasets}
