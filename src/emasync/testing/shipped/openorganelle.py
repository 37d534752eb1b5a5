"""jrc_mus-nacc-2 of OpenOrganelle: the true grid of all nine levels, made-up voxels, and only some of the chunks.

What is true: names, shapes, chunks, codec, transforms, nulls in the multiscales entry. Chunks of the finest level are
there for the box that the shipped manifest takes and beside it, those of the coarse levels all; the others are left
out, as a publisher leaves out what is fill value.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import orjson
from numcodecs import Zstd
from numpy.typing import NDArray

from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.shipped.truth import Truth, content
from emasync.testing.stores import MemoryStore, ObjectStore

BUCKET = "janelia-cosem-datasets"
CONTAINER = "jrc_mus-nacc-2/jrc_mus-nacc-2.zarr"
GROUP = "recon-2/em/fibsem-int16"
SHAPE = (564, 2520, 2596)
"""Voxels of the finest level, z y x."""

VOXEL_NM = (2.96, 4.0, 4.0)
LEVELS = 9
CHUNK = 64
COARSE = 3
"""Levels from here on are whole."""

BOX = ((128, 1024, 1024), (256, 256, 256))
"""Start and shape of the shipped manifest's box, z y x voxels of the finest level."""

_ARCHIVE = "OpenOrganelle (S3)"
_GRAIN = 8
"""Voxels in a row that are alike: chunks are large, and nobody looks at the finest detail of a made-up cell."""

Cell = tuple[int, int, int]


def twin() -> ArchiveTwin:
    """The bucket, held in memory."""
    return ArchiveTwin(store=MemoryStore(_objects()), stands_for={f"s3://{BUCKET}": BUCKET})


def _objects() -> dict[str, bytes]:
    root = f"{BUCKET}/{CONTAINER}"
    groups = ("", "recon-2/", "recon-2/em/", f"{GROUP}/")
    found = {f"{root}/{group}.zgroup": orjson.dumps({"zarr_format": 2}) for group in groups}
    found[f"{root}/{GROUP}/.zattrs"] = orjson.dumps(_multiscales(), option=orjson.OPT_INDENT_2)
    for level in range(LEVELS):
        found[f"{root}/{GROUP}/s{level}/.zarray"] = orjson.dumps(_array(level), option=orjson.OPT_INDENT_2)
        for cell in _cells(level):
            found[f"{root}/{GROUP}/s{level}/{_key(cell)}"] = _chunk(level, cell)
    return found


def truths(store: ObjectStore) -> dict[str, Truth]:
    """What the shipped manifests must leave on disk, by dataset; `store` holds what :func:`twin` made."""
    return {
        "nacc-2-s3": _levels(store, (3,), "one coarse level"),
        "nacc-2-overview": _levels(store, (6, 7, 8), "the three coarsest levels"),
        "nacc-2-box": _box(store),
    }


def voxels(level: int, start: Cell, shape: Cell) -> NDArray[np.int16]:
    """Made-up voxels of a box of one level, z y x: waves, the same ones at every level.

    Parameters
    ----------
    level : int
    start, shape : tuple of int
        In voxels of that level; multiples of eight in the finest, so that blocks of equal voxels stay whole.
    """
    grain = max(1, _GRAIN >> level)
    waves = [
        np.sin((first + np.arange(0, size, grain)) * 2**level / period)
        for first, size, period in zip(start, shape, (17.0, 61.0, 43.0), strict=True)
    ]
    z, y, x = waves[0][:, None, None], waves[1][None, :, None], waves[2][None, None, :]
    coarse: NDArray[np.int16] = (8000 * (z + y * x + np.sin(3 * (y + x)))).astype(np.int16)
    for axis in range(3):
        coarse = np.repeat(coarse, grain, axis)
    return coarse[tuple(slice(0, size) for size in shape)]


def _shape(level: int) -> Cell:
    z, y, x = (size >> level for size in SHAPE)
    return z, y, x


def _cells(level: int) -> Iterator[Cell]:
    """Chunks that are there: all of a coarse level; of the finest those of the box and the row behind it."""
    if 0 < level < COARSE:
        return iter(())
    first = [start // CHUNK if level == 0 else 0 for start in BOX[0]]
    last = [(start + size) // CHUNK + 1 for start, size in zip(*BOX, strict=True)]
    stops = last if level == 0 else [-(-size // CHUNK) for size in _shape(level)]
    return product(*(range(*span) for span in zip(first, stops, strict=True)))  # type: ignore[return-value]  # three axes


def _key(cell: Cell) -> str:
    return "/".join(map(str, cell))


def _chunk(level: int, cell: Cell) -> bytes:
    """A chunk of full shape, as Zarr v2 stores it also at the edge."""
    z, y, x = (index * CHUNK for index in cell)
    block = voxels(level, (z, y, x), (CHUNK, CHUNK, CHUNK))
    encoded: bytes = Zstd(level=1).encode(np.ascontiguousarray(block, "<i2"))
    return encoded


def _array(level: int) -> dict[str, Any]:
    """Any: JSON."""
    return {
        "chunks": [CHUNK, CHUNK, CHUNK],
        "compressor": {"id": "zstd", "level": 1},
        "dimension_separator": "/",
        "dtype": "<i2",
        "fill_value": 0,
        "filters": None,
        "order": "C",
        "shape": list(_shape(level)),
        "zarr_format": 2,
    }


def _multiscales() -> dict[str, Any]:
    """Attributes of the group, with the nulls of the original; Any: JSON."""
    datasets = [
        {
            "coordinateTransformations": [
                {"scale": [size * 2**level for size in VOXEL_NM], "type": "scale"},
                {"translation": [size * (2**level - 1) / 2 for size in VOXEL_NM], "type": "translation"},
            ],
            "path": f"s{level}",
        }
        for level in range(LEVELS)
    ]
    entry = {
        "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
        "coordinateTransformations": [{"scale": [1.0, 1.0, 1.0], "type": "scale"}],
        "datasets": datasets,
        "metadata": None,
        "name": "",
        "type": None,
        "version": "0.4",
    }
    return {"multiscales": [entry]}


def _levels(store: ObjectStore, levels: tuple[int, ...], what: str) -> Truth:
    root = f"{BUCKET}/{CONTAINER}/"
    keys = [f"{GROUP}/s{level}/{_key(cell)}" for level in levels for cell in _cells(level)]
    return Truth(
        archive=_ARCHIVE,
        what=f"jrc_mus-nacc-2, {what}",
        files={key: content(store, root + key) for key in keys},
        rewritten=("**/.z*", ".z*"),
        look=f"{GROUP}/.zattrs",
        shows="levels that are there, and no others",
    )


def _box(store: ObjectStore) -> Truth:
    """Chunks of the box under keys that begin at zero."""
    root, first = f"{BUCKET}/{CONTAINER}/{GROUP}/s0", [start // CHUNK for start in BOX[0]]
    files = {}
    for cell in product(*(range(size // CHUNK) for size in BOX[1])):
        source = tuple(index + offset for index, offset in zip(cell, first, strict=True))
        files[f"{GROUP}/s0/{'/'.join(map(str, cell))}"] = content(store, f"{root}/{'/'.join(map(str, source))}")
    return Truth(
        archive=_ARCHIVE,
        what="jrc_mus-nacc-2, a box of 256 x 256 x 256 voxels",
        files=files,
        rewritten=("**/.z*", ".z*"),
        look=f"{GROUP}/.zattrs",
        shows="an OME-Zarr of its own, with its place in the whole",
    )
