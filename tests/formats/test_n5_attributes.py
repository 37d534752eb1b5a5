"""Datasets as ``attributes.json`` describes them; cases are those of the N5 reference, sections 1, 3 and 7."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.formats.interface import ArrayDescription
from emasync.formats.n5.attributes import ATTRIBUTES, is_dataset, read_attributes, read_dataset
from emasync.formats.n5.block import BlockHeader, header_bytes, read_header
from emasync.model.geometry import Box
from emasync.plan.select import select_array

DATASET: dict[str, Any] = {
    "dimensions": [100, 70, 50],
    "blockSize": [32, 16, 8],
    "dataType": "uint16",
    "compression": {"type": "gzip", "level": -1},
}


def dataset(**members: Any) -> ArrayDescription:
    """A dataset with other members; None takes one away."""
    merged = {name: value for name, value in {**DATASET, **members}.items() if value is not None}
    documents = {f"a/b/{ATTRIBUTES}": json.dumps(merged).encode()}
    attributes = read_attributes("a/b", documents)
    assert attributes is not None
    return read_dataset("a/b", attributes, documents)


def test_axes_are_turned_round_and_keys_are_not() -> None:
    array = dataset()
    assert (array.shape, array.chunks, array.grid_shape) == ((50, 70, 100), (8, 16, 32), (7, 5, 4))
    assert (array.dtype, array.itemsize_bytes, array.fill_value) == ("uint16", 2, 0)
    grid = select_array(array, box=Box((8, 17, 70), (9, 20, 99))).grid
    assert grid is not None
    assert [grid.key(number) for number in range(len(grid))] == ["a/b/2/1/1", "a/b/3/1/1"]
    assert [grid.destination(number) for number in range(len(grid))] == ["a/b/0/0/0", "a/b/1/0/0"]
    assert [grid.number_of(grid.key(number)) for number in range(len(grid))] == [0, 1]
    assert [grid.number_at(grid.destination(number)) for number in range(len(grid))] == [0, 1]
    assert grid.number_of("a/b/1/1/2") is None, "z, y, x is another block"


@pytest.mark.parametrize(
    ("dimensions", "block", "key"), [([7, 5], [5, 4], "1/1"), ([3, 24, 24, 24], [1, 32, 32, 32], "2/0/0/0")]
)
def test_two_and_four_axes(dimensions: list[int], block: list[int], key: str) -> None:
    array = dataset(dimensions=dimensions, blockSize=block)
    grid = select_array(array).grid
    assert grid is not None
    assert f"a/b/{key}" in {grid.key(number) for number in range(len(grid))}
    assert len(grid) == len({grid.key(number) for number in range(len(grid))})


@pytest.mark.parametrize(
    "members",
    [
        {"compression": {"type": "raw"}},
        {"compression": {"type": "gzip", "useZlib": True}},
        {"compression": {"type": "lz4", "blockSize": 65536}},
        {"compression": {"type": "xz", "preset": 6}},
        {"compression": {"type": "bzip2"}},
        {"compression": {"type": "blosc", "cname": "lz4"}},
        {"compression": {"type": "zstd"}},
        {"compression": None, "compressionType": "gzip"},
    ],
)
def test_every_compression_that_data_is_published_with(members: dict[str, Any]) -> None:
    assert dataset(**members).grid_shape == (7, 5, 4)


def test_types_of_voxels() -> None:
    assert dataset(dataType="float64").itemsize_bytes == 8
    assert dataset(dataType="object").itemsize_bytes is None


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"dimensions": [1 << 62] * 3, "blockSize": [1, 1, 1]}, "more objects than can be numbered"),
        ({"dimensions": [1 << 80] * 3}, "dimensions[0] is"),
        ({"dimensions": [-1, 4, 4]}, "expected an integer from 0"),
        ({"dimensions": []}, "at least one axis"),
        ({"dimensions": "150"}, "expected a list"),
        ({"dimensions": [8] * 33}, "at most 32 axes"),
        ({"blockSize": [32, 32]}, "expected one length for each of the 3 dimensions [100, 70, 50]"),
        ({"blockSize": [0, 32, 32]}, "expected an integer from 1"),
        ({"blockSize": [1024, 1024, 1024]}, "smaller than 2 GiB"),
        ({"blockSize": None}, "without blockSize, which every dataset must state"),
        ({"dataType": None, "blockSize": None}, "without blockSize and dataType"),
        ({"dataType": "complex64"}, "expected one of uint8"),
        ({"dataType": 2}, "expected a string"),
        ({"compression": {"type": "zpaq"}}, "'zpaq'; known compressions are blosc, bzip2"),
        ({"compression": {"level": 2}}, "without compression.type"),
        ({"compression": None, "compressionType": "zpaq"}, "compressionType is 'zpaq'"),
        ({"compression": "gzip"}, "compression is 'gzip'; expected an object"),
        ({"compression": None}, "without compression"),
        ({"n5": "new"}, "expected a version"),
    ],
)
def test_a_broken_rule_is_named_with_its_document(members: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError) as caught:
        dataset(**members)
    assert words in caught.value.message
    assert "a/b/attributes.json" in caught.value.message


def test_a_block_of_just_under_2_gib() -> None:
    assert dataset(blockSize=[1024, 1024, 1023]).object_bytes == 1024 * 1024 * 1023 * 2


@pytest.mark.parametrize(
    ("version", "read"), [("1.0.0", True), ("2.5.1", True), ("4.0.0", True), ("4.1.0-SNAPSHOT", True), ("5.0.0", False)]
)
def test_versions_of_the_format(version: str, *, read: bool) -> None:
    documents = {ATTRIBUTES: json.dumps({"n5": version}).encode()}
    if read:
        attributes = read_attributes("", documents)
        assert attributes is not None
        assert not is_dataset(attributes)
        return
    with pytest.raises(SourceError, match=r"versions 1 to 4 of N5.*format: raw") as caught:
        read_attributes("", documents)
    assert caught.value.kind == ErrorKind.NOT_BUILT


def test_a_group_of_bigdataviewer_is_no_dataset() -> None:
    documents = {ATTRIBUTES: b'{"dataType": "uint16", "downsamplingFactors": [[1,1,1]]}'}
    attributes = read_attributes("", documents)
    assert attributes is not None
    assert not is_dataset(attributes)
    assert read_attributes("", {}) is None


# --- blocks -------------------------------------------------------------------------------------------------------


def header(mode: int, *sizes: int) -> bytes:
    return b"".join([mode.to_bytes(2), len(sizes).to_bytes(2), *(size.to_bytes(4) for size in sizes)])


def test_a_header_tells_the_size_of_this_very_block() -> None:
    found = read_header("k", header(0, 4, 6, 18) + b"data", (32, 32, 32))
    assert found == BlockHeader((18, 6, 4))
    assert found.size_bytes == header_bytes(3) == 16
    assert found.to_bytes() == header(0, 4, 6, 18)
    assert read_header("k", header(0, 32, 32, 32), (32, 32, 32)).shape == (32, 32, 32), "padded ones are right too"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header(1, 4, 4, 4) + b"\0\0\0\x40", "mode 1 (varlength)"),
        (header(2)[:2] + (64).to_bytes(4) + bytes(20), "mode 2 (object)"),
        (header(7, 4, 4, 4), "mode 7 (unknown)"),
        (header(0, 4, 4) + bytes(8), "2 axes in a dataset of 3"),
        (header(0, 4, 33, 4), "[4, 33, 4] voxels in a dataset with blocks of [32, 32, 32]"),
        (header(0, 4, 0, 4), "[4, 0, 4] voxels"),
        (header(0, 4, 4, 4)[:-1], "15 bytes, which is less than its header"),
        (b"", "0 bytes"),
    ],
)
def test_headers_that_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_header("s0/1/2/3", data, (32, 32, 32))
    assert words in caught.value.message
    assert "s0/1/2/3" in caught.value.message


@pytest.mark.parametrize("name", ["n5_backward_2.5.1.n5", "n5_backward_3.1.3.n5"])
def test_the_java_writer_cuts_blocks_at_the_edge(fixtures_folder: Path, name: str) -> None:
    folder = fixtures_folder / "n5" / name / "raw"
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}")
    shapes = {key: read_header(key, (folder / key).read_bytes(), (4, 5)).shape for key in ("0/0", "1/0", "0/1", "1/1")}
    assert shapes == {"0/0": (4, 5), "1/0": (4, 2), "0/1": (1, 5), "1/1": (1, 2)}
