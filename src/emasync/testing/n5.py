"""N5 made on the spot: blocks cut at the edge as Java writes them, and a container like those of OpenOrganelle.

The writer is ours, because the one that is at hand (TensorStore) pads the blocks that publishers cut; what it writes is
read back with TensorStore.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numcodecs import Blosc, Zstd

from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.n5.block import BlockHeader
from emasync.testing.volumes import Shape, Volume, Written, halved_levels

EM: Final = "em/fibsem-uint8"
LABELS: Final = "labels/mito_seg"
"""Groups of the two images in the container."""

COMPRESSIONS: Final[Mapping[str, tuple[dict[str, Any], Callable[[bytes], bytes]]]] = {
    "raw": ({"type": "raw"}, bytes),
    "gzip": ({"type": "gzip", "level": -1, "useZlib": False}, lambda data: gzip.compress(data, mtime=0)),
    "zlib": ({"type": "gzip", "level": 6, "useZlib": True}, zlib.compress),
    "bzip2": ({"type": "bzip2", "blockSize": 9}, bz2.compress),
    "xz": ({"type": "xz", "preset": 6}, lzma.compress),
    "zstd": ({"type": "zstd", "level": 3}, lambda data: bytes(Zstd(level=3).encode(data))),
    "blosc": (
        {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
        lambda data: bytes(Blosc(cname="lz4", clevel=5, shuffle=1).encode(data)),
    ),
}
"""By name: the ``compression`` attribute (Any: JSON), and what compresses."""


@dataclass(frozen=True, slots=True)
class Container:
    """What was written.

    Attributes
    ----------
    em, labels : Written
        The images in :data:`EM` and :data:`LABELS`, of one grid.
    """

    em: Written
    labels: Written


def write_openorganelle(
    folder: Path,
    *,
    shape: Shape = (84, 116, 150),
    blocks: Shape = (32, 32, 32),
    levels: int = 3,
    scale: tuple[float, float, float] = (5.24, 4.0, 4.0),
    seed: int = 0,
) -> Container:
    """Write a container as OpenOrganelle publishes them: FIB-SEM, and a segmentation of it.

    The groups ``em`` and ``labels`` have no attributes, as at the publisher's. Blocks at the far edge are cut; those
    that hold zeros only are left out (the last block of the EM is one).

    Parameters
    ----------
    folder : Path
        The container, ``*.n5`` by custom; made when it is missing.
    shape, blocks : tuple of int
        Voxels, z y x.
    levels : int
    scale : tuple of float
        Voxel size of the finest level, nanometres, z y x.
    seed : int
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_attributes(folder, {"n5": "2.5.1"})
    em = halved_levels(shape, blocks, levels, "uint8", seed)
    labels = tuple((volume // 64).astype("uint64") << 40 for volume in em)
    write_image(folder / EM, em, blocks=blocks, scale=scale)
    write_image(folder / LABELS, labels, blocks=blocks, scale=scale)
    return Container(Written(em, scale, "nm"), Written(labels, scale, "nm"))


def write_image(
    folder: Path, levels: Sequence[Volume], *, blocks: Shape, scale: Sequence[float], compression: str = "gzip"
) -> None:
    """Write an image in the convention of OpenOrganelle: levels s0, s1, ..., one grid told in two opposite orders.

    Parameters
    ----------
    folder : Path
        The group.
    levels : sequence of ndarray
        Finest first, each half of the one before, z y x.
    blocks : tuple of int
    scale : sequence of float
        Voxel size of the finest level, nanometres, z y x.
    compression : str
        One of :data:`COMPRESSIONS`.
    """
    transforms = [cosem_transform(scale, 2**number) for number in range(len(levels))]
    datasets = [{"path": f"s{number}", "transform": transform} for number, transform in enumerate(transforms)]
    folder.mkdir(parents=True, exist_ok=True)
    write_attributes(
        folder,
        {
            "axes": ["x", "y", "z"],
            "units": ["nm"] * 3,
            "scales": [[2**number] * 3 for number in range(len(levels))],
            "pixelResolution": {"dimensions": [*reversed(scale)], "unit": "nm"},
            "multiscales": [{"name": None, "datasets": datasets}],
        },
    )
    for number, (volume, transform) in enumerate(zip(levels, transforms, strict=True)):
        resolution = {"dimensions": transform["scale"][::-1], "unit": "nm"}
        more = {"pixelResolution": resolution, "transform": transform}
        write_dataset(folder / f"s{number}", volume, blocks=blocks, compression=compression, more=more)


def cosem_transform(scale: Sequence[float], factor: int) -> dict[str, Any]:
    """``transform`` of a level (Any: JSON); its voxels are centred between those they average."""
    return {
        "order": "C",
        "axes": ["z", "y", "x"],
        "units": ["nm"] * 3,
        "translate": [size * (factor - 1) / 2 for size in scale],
        "scale": [size * factor for size in scale],
    }


def write_dataset(
    folder: Path,
    voxels: Volume,
    *,
    blocks: Sequence[int],
    compression: str = "gzip",
    more: Mapping[str, Any] | None = None,
    padded: bool = False,
) -> None:
    """Write a dataset; blocks that hold zeros only are left out.

    Parameters
    ----------
    folder : Path
    voxels : ndarray
        Last axis fastest.
    blocks : sequence of int
        Same order.
    compression : str
    more : mapping, optional
        Further attributes (Any: JSON).
    padded : bool
        Whether blocks at the far edge are filled up to the size of a block, as some writers do.
    """
    compressor, compress = COMPRESSIONS[compression]
    folder.mkdir(parents=True, exist_ok=True)
    attributes = {
        "dimensions": [*reversed(voxels.shape)],
        "blockSize": [*reversed(blocks)],
        "dataType": voxels.dtype.name,
        "compression": compressor,
    }
    write_attributes(folder, {**attributes, **(more or {})})
    for key, block in _blocks(voxels, blocks, padded=padded):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        data = block.astype(block.dtype.newbyteorder(">")).tobytes()
        path.write_bytes(BlockHeader(block.shape).to_bytes() + compress(data))


def _blocks(voxels: Volume, blocks: Sequence[int], *, padded: bool) -> Iterator[tuple[str, Volume]]:
    """Key (x first) and voxels of each block that holds something."""
    grid = [-(-size // block) for size, block in zip(voxels.shape, blocks, strict=True)]
    for cell in np.ndindex(*grid):
        cut = tuple(slice(at * block, (at + 1) * block) for at, block in zip(cell, blocks, strict=True))
        block = voxels[cut]
        if padded:
            missing = [(0, size - have) for size, have in zip(blocks, block.shape, strict=True)]
            block = np.pad(block, missing)
        if block.any():
            yield "/".join(map(str, reversed(cell))), block


def write_attributes(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Write the attributes of a folder (Any: JSON)."""
    (folder / ATTRIBUTES).write_text(json.dumps(attributes))


def read_dataset_back(folder: Path) -> Volume:
    """Read a dataset with TensorStore; last axis fastest."""
    import tensorstore  # noqa: PLC0415 - a development dependency

    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{folder}/"}}
    return np.asarray(tensorstore.open(spec, open=True, read=True).result().read().result()).T
