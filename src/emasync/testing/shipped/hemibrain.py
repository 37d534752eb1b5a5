"""The hemibrain on Google Cloud Storage: image and segmentation in their true grids, sharded, made-up voxels.

What is true: names, sizes, chunks, encodings; the sharding is that of the segmentation (that of the image is not
published). Chunks are there for the cube of the shipped manifest and one row behind it; the rest is left out.
"""

from __future__ import annotations

from itertools import product
from math import ceil
from typing import Any

import numpy as np
import orjson

from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.content import BucketRules
from emasync.testing.shipped.encodings import compressed_segmentation, jpeg_file, jpeg_scan
from emasync.testing.shipped.shards import Cell, ShardLayout
from emasync.testing.shipped.truth import Truth
from emasync.testing.stores import MemoryStore

BUCKET = "neuroglancer-janelia-flyem-hemibrain"
IMAGE = "emdata/clahe_yz/jpeg"
LABELS = "v1.2/segmentation"
IMAGE_SIZE = (34427, 39725, 41394)
"""Voxels of 8 nm, x y z."""

LABELS_SIZE = (34432, 39552, 41408)
CHUNK = 64
SCALES = 9
KEY = "8.0x8.0x8.0"

FIRST = (245, 315, 283)
"""First chunk of the shipped manifest's cube, x y z."""

SIDE = 16
"""Chunks on a side of the cube: 1000 voxels, rounded outward."""

_ARCHIVE = "Hemibrain (Google Cloud)"
_PATTERNS = 16


def twin() -> ArchiveTwin:
    """The bucket, held in memory."""
    return ArchiveTwin(
        store=MemoryStore(_objects()),
        stands_for={f"gs://{BUCKET}": BUCKET},
        buckets={BUCKET: BucketRules(kind="google")},
    )


def _objects() -> dict[str, bytes]:
    image, labels = _scale_layout(IMAGE_SIZE, 0), _scale_layout(LABELS_SIZE, 0)
    found = {
        f"{BUCKET}/{IMAGE}/info": orjson.dumps(_info("image", IMAGE_SIZE, SCALES)),
        f"{BUCKET}/{LABELS}/info": orjson.dumps(_info("segmentation", LABELS_SIZE, 1)),
    }
    for folder, layout, chunks in ((IMAGE, image, _pictures(SIDE + 1)), (LABELS, labels, _segments(SIDE + 1))):
        for name, data in layout.shards(chunks).items():
            found[f"{BUCKET}/{folder}/{KEY}/{name}"] = data
    return found


def truths() -> dict[str, Truth]:
    """What the shipped manifest must leave on disk, by dataset."""
    return {
        "hemibrain": _truth(_pictures(SIDE), "a cube of 1000 x 1000 x 1000 voxels", "a picture: JPEG, 64 x 4096"),
        "hemibrain-labels": _truth(_segments(SIDE), "the neurons of the cube", "compressed segmentation"),
    }


def _truth(chunks: dict[Cell, bytes], what: str, shows: str) -> Truth:
    files = {f"{KEY}/{_chunk_name(cell)}": data for cell, data in chunks.items()}
    return Truth(
        archive=_ARCHIVE, what=what, files=files, rewritten=("info",), look=f"{KEY}/{_chunk_name(FIRST)}", shows=shows
    )


def _chunk_name(cell: Cell) -> str:
    """File of a chunk that is not sharded (Neuroglancer, "Precomputed volume format")."""
    return "_".join(f"{index * CHUNK}-{(index + 1) * CHUNK}" for index in cell)


def _cells(side: int) -> list[Cell]:
    x, y, z = (range(first, first + side) for first in FIRST)
    return list(product(x, y, z))


def _pictures(side: int) -> dict[Cell, bytes]:
    """Encoded chunks of the image: rows of the picture run over y, then z."""
    depth, height = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    scans = []
    for phase in range(_PATTERNS):
        wave = np.sin(phase + depth[:, :, None] / 3 + height[:, :, None] / 2 + np.arange(8) / 4)
        rows = np.repeat((128 + 90 * wave).astype(np.uint8), 8, axis=0)  # eight planes of one block's depth
        scans.append(jpeg_scan(rows.reshape(-1, 8)))
    return {
        cell: jpeg_file(scans[sum(cell) % _PATTERNS], rows=CHUNK**2, columns=CHUNK, comment=_chunk_name(cell))
        for cell in _cells(side)
    }


def _segments(side: int) -> dict[Cell, bytes]:
    """Encoded chunks of the segmentation: two neurons each, other ones in each chunk."""
    found = {}
    for cell in _cells(side):
        x, y, z = cell
        neuron = (z * 1000 + y) * 1000 + x
        found[cell] = compressed_segmentation((neuron, neuron + (1 << 40)), blocks=512)
    return found


def _info(kind: str, size: Cell, scales: int) -> dict[str, Any]:
    """Any: JSON."""
    return {
        "@type": "neuroglancer_multiscale_volume",
        "data_type": "uint8" if kind == "image" else "uint64",
        "num_channels": 1,
        "scales": [_scale(kind, size, level) for level in range(scales)],
        "type": kind,
    }


def _scale(kind: str, size: Cell, level: int) -> dict[str, Any]:
    """Any: JSON."""
    resolution = 8.0 * 2**level
    more = {"compressed_segmentation_block_size": [8, 8, 8]} if kind == "segmentation" else {}
    return {
        "chunk_sizes": [[CHUNK] * 3],
        "encoding": "jpeg" if kind == "image" else "compressed_segmentation",
        "key": f"{resolution}x{resolution}x{resolution}",
        "resolution": [resolution] * 3,
        "sharding": _scale_layout(size, level).described(),
        "size": [_halved(one, level) for one in size],
        "voxel_offset": [0, 0, 0],
        **more,
    }


def _scale_layout(size: Cell, level: int) -> ShardLayout:
    x, y, z = (ceil(_halved(one, level) / CHUNK) for one in size)
    return ShardLayout(grid=(x, y, z))


def _halved(size: int, level: int) -> int:
    """Voxels of a coarser level, rounded up: what the true one does is not published."""
    return -(-size // (1 << level))
