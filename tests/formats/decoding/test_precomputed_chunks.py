"""What writers of precomputed volumes write is what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import of_tree, tensorstore_open, voxels

from emasync.formats.interface import ArrayDescription
from emasync.formats.precomputed.info import parse_info
from emasync.formats.precomputed.walk import describe_volume


def precomputed(
    folder: Path, dtype: str, channels: int, scale: dict[str, Any], expected: Any
) -> tuple[ArrayDescription, dict[str, bytes], Any]:
    """A volume that TensorStore wrote, and what it reads back: some encodings are lossy."""
    kind = "segmentation" if channels == 1 else "image"
    chunk = {"chunk_size": [16, 8, 12], "resolution": [8, 8, 40], "voxel_offset": [5, -6, 7]}
    shape = {"size": list(expected.shape[:0:-1])}
    spec = {
        "driver": "neuroglancer_precomputed",
        "multiscale_metadata": {"data_type": dtype, "num_channels": channels, "type": kind},
        "scale_metadata": {**shape, **chunk, **scale},
    }
    store = tensorstore_open(folder, spec)
    store[...] = expected.transpose(3, 2, 1, 0)
    documents = {"info": (folder / "info").read_bytes()}
    image = describe_volume("", parse_info("info", documents["info"], ""), documents)
    return image.levels[0].array, documents, store.read().result().transpose(3, 2, 1, 0)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [
        ("raw", "uint8", 1),
        ("raw", "uint64", 1),
        ("raw", "float32", 3),
        ("jpeg", "uint8", 1),
        ("jpeg", "uint8", 3),
        ("png", "uint16", 1),
        ("png", "uint8", 4),
        ("compressed_segmentation", "uint32", 1),
        ("compressed_segmentation", "uint64", 1),
        ("compressed_segmentation", "uint32", 2),
    ],
)
def test_precomputed_volumes_of_tensorstore(tmp_path: Path, encoding: str, dtype: str, channels: int) -> None:
    block = {"compressed_segmentation_block_size": [8, 4, 3]} if encoding.startswith("compressed") else {}
    given = np.stack([voxels((25, 21, 35), dtype, seed) for seed in range(channels)])
    array, documents, expected = precomputed(tmp_path, dtype, channels, {"encoding": encoding, **block}, given)
    found = of_tree(tmp_path, array, documents)
    assert np.array_equal(found if channels > 1 else found[None], expected)


@pytest.mark.parametrize("labels", [1, 2, 3, 5, 17, 300])
def test_blocks_of_compressed_segmentation_with_any_count_of_labels(tmp_path: Path, labels: int) -> None:
    random = np.random.default_rng(labels)
    expected = random.integers(0, labels, (1, 12, 8, 16)).astype(np.uint64) * (1 << 33) + 5
    scale = {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [16, 8, 12]}
    array, documents, _ = precomputed(tmp_path, "uint64", 1, scale, expected)
    assert np.array_equal(of_tree(tmp_path, array, documents), expected[0])
