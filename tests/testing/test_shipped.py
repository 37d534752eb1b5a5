"""The twins behind the shipped manifests, read by libraries that are not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emasync.testing.shipped import hemibrain, openorganelle
from emasync.testing.shipped.shards import ShardLayout
from emasync.testing.shipped.truth import content, content_below


def written(store: Any, bucket: str, prefix: str, folder: Path) -> Path:
    for key, data in content_below(store, bucket, prefix).items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def brain() -> Any:
    return hemibrain.twin().store


@pytest.mark.parametrize(
    ("layer", "size"), [(hemibrain.IMAGE, hemibrain.IMAGE_SIZE), (hemibrain.LABELS, hemibrain.LABELS_SIZE)]
)
def test_tensorstore_reads_the_shards(layer: str, size: tuple[int, ...], brain: Any, tmp_path: Path) -> None:
    """Shards, Morton codes, gzip, JPEG and compressed segmentation: as another implementation understands them."""
    tensorstore = pytest.importorskip("tensorstore")
    folder = written(brain, hemibrain.BUCKET, f"{layer}/", tmp_path)
    spec = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{folder}/"}, "scale_index": 0}
    store = tensorstore.open(spec, open=True, read=True).result()
    assert store.shape[:3] == size
    x, y, z = (first * 64 for first in hemibrain.FIRST)
    last = hemibrain.SIDE * 64
    for corner in ((x, y, z), (x + last, y, z), (x, y + last, z + last), (x + last, y + last, z + last)):
        block = np.asarray(store[tuple(slice(start, start + 64) for start in corner)].read().result())
        assert len(np.unique(block)) >= 2, corner
    outside = np.asarray(store[x - 64 : x, y : y + 64, z : z + 64].read().result())
    assert not outside.any()


def test_labels_are_those_of_their_chunk(brain: Any, tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    folder = written(brain, hemibrain.BUCKET, f"{hemibrain.LABELS}/", tmp_path)
    spec = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{folder}/"}, "scale_index": 0}
    store = tensorstore.open(spec, open=True, read=True).result()
    x, y, z = hemibrain.FIRST
    block = np.asarray(store[x * 64 + 64 : x * 64 + 128, y * 64 : y * 64 + 64, z * 64 : z * 64 + 64].read().result())
    neuron = (z * 1000 + y) * 1000 + x + 1
    assert set(np.unique(block)) == {neuron, neuron + (1 << 40)}


def test_a_small_shard_layout_names_its_files() -> None:
    layout = ShardLayout(grid=(4, 4, 4), preshift_bits=1, minishard_bits=1, shard_bits=5)
    files = layout.shards({(0, 0, 0): b"a", (3, 3, 3): b"b"})
    assert set(files) == {"00.shard", "0f.shard"}
    assert layout.chunk_id((3, 3, 3)) == 63


def test_zarr_reads_the_levels(tmp_path: Path) -> None:
    store = openorganelle.twin().store
    root = f"{openorganelle.CONTAINER}/{openorganelle.GROUP}/"
    folder = written(store, openorganelle.BUCKET, root, tmp_path)
    for level, shape in ((0, openorganelle.SHAPE), (3, (70, 315, 324)), (8, (2, 9, 10))):
        array = zarr.open_array(folder / f"s{level}", mode="r")
        assert (array.shape, array.dtype) == (shape, np.dtype("int16"))
    start, size = openorganelle.BOX
    finest = zarr.open_array(folder / "s0", mode="r")
    box = np.asarray(finest[tuple(slice(first, first + length) for first, length in zip(start, size, strict=True))])
    np.testing.assert_array_equal(box, openorganelle.voxels(0, start, size))
    coarse = np.asarray(zarr.open_array(folder / "s3", mode="r")[...])
    np.testing.assert_array_equal(coarse, openorganelle.voxels(3, (0, 0, 0), (70, 315, 324)))
    with pytest.raises(KeyError):
        content(store, f"{openorganelle.BUCKET}/{root}s1/0/0/0")
