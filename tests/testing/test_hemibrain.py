"""The hemibrain's twin has the true grid; trap numbers are those of hemibrain.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emasync.testing.precomputed import hemibrain
from emasync.testing.shipped.hemibrain import BUCKET, IMAGE, LABELS


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    twin = hemibrain(tmp_path_factory.mktemp("hemibrain"))
    return {path.removeprefix(f"{BUCKET}/"): data for path, data in twin.objects().items()}


def scales(objects: dict[str, bytes], layer: str) -> list[Any]:
    found: list[Any] = json.loads(objects[f"{layer}/info"])["scales"]
    return found


def test_traps_1_and_2_and_11_sizes_differ_and_are_x_y_z(objects: dict[str, bytes]) -> None:
    image, labels = scales(objects, IMAGE), scales(objects, LABELS)
    assert image[0]["size"] == [34427, 39725, 41394]
    assert labels[0]["size"] == [34432, 39552, 41408]
    assert (len(image), len(labels)) == (9, 1)
    assert [scale["resolution"][0] for scale in image] == [8.0 * 2**level for level in range(9)]


def test_traps_6_to_8_sharding_covers_the_grid_of_chunk_ids(objects: dict[str, bytes]) -> None:
    for level, scale in enumerate(scales(objects, IMAGE)):
        sharding = scale["sharding"]
        grid = [-(-size // 64) for size in scale["size"]]
        bits = sum((cells - 1).bit_length() for cells in grid)
        assert sharding["preshift_bits"] + sharding["minishard_bits"] + sharding["shard_bits"] >= bits
        assert (sharding["data_encoding"], scale["encoding"]) == ("gzip", "jpeg"), level
    # chunk (245, 315, 283): bits 9 to 29 of its id say minishard and shard
    code = sum((value >> bit & 1) << 3 * bit + axis for axis, value in enumerate((245, 315, 283)) for bit in range(10))
    shard = code >> 9 + 6
    assert {path for path in objects if path.endswith(".shard")} == {
        f"{layer}/8.0x8.0x8.0/{shard:04x}.shard" for layer in (IMAGE, LABELS)
    }
