"""What writers of precomputed volumes write is what comes out."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import of_tree, tensorstore_open, voxels

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import decoder_for
from emasync.formats.interface import ArrayDescription
from emasync.formats.precomputed.info import parse_info
from emasync.formats.precomputed.walk import describe_volume
from emasync.formats.stored import Codec


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
    expected = np.random.default_rng(labels).integers(0, labels, (1, 12, 8, 16)).astype(np.uint64) * (1 << 33) + 5
    scale = {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [16, 8, 12]}
    array, documents, _ = precomputed(tmp_path, "uint64", 1, scale, expected)
    assert np.array_equal(of_tree(tmp_path, array, documents), expected[0])


def compresso_decoder(shape: tuple[int, ...], dtype: str) -> Any:
    return decoder_for(ChunkLayout(chunks=shape, dtype=dtype, codecs=(Codec("precomputed.compresso"),), edges="cut"))


def segments(kind: str, shape: tuple[int, ...], dtype: str) -> Any:
    dice = np.random.default_rng(3)
    match kind:
        case "zero":
            return np.zeros(shape, dtype)
        case "noise":
            return dice.integers(0, 200, shape).astype(dtype)
        case "highest":  # labels that would be no code beside boundaries
            stripes = np.full(shape, np.iinfo(dtype).max, dtype)
            stripes[..., ::2] = 3
            return stripes
    blocks = np.kron(dice.integers(0, 9, [-(-size // 5) for size in shape]), np.ones((5, 5, 5), int))
    return blocks[tuple(map(slice, shape))].astype(dtype)


@pytest.mark.parametrize("shape", [(9, 33, 40), (1, 1, 1), (3, 17, 29), (20, 1, 9)])
@pytest.mark.parametrize("kind", ["zero", "noise", "highest", "blocks"])
def test_compresso_as_its_library_writes_it(shape: tuple[int, ...], kind: str) -> None:
    compresso = pytest.importorskip("compresso")
    for dtype in ("|u1", "<u2", "<u4", "<u8"):
        expected = segments(kind, shape, dtype)
        options: list[dict[str, Any]] = [
            {},
            {"random_access_z_index": False},
            {"connectivity": 6},
            {"steps": (8, 8, 1)},
        ]
        for option in options:
            data = compresso.compress(np.asfortranarray(expected.T), **option)
            assert np.array_equal(compresso_decoder(shape, dtype).decode("k", data, shape), expected)


@pytest.mark.parametrize("connectivity", [4, 6])
def test_damaged_compresso_is_told(connectivity: int) -> None:
    """Of which its library dies."""
    compresso = pytest.importorskip("compresso")
    shape = (6, 24, 20)
    data = compresso.compress(np.asfortranarray(segments("blocks", shape, "<u4").T), connectivity=connectivity)
    decoder = compresso_decoder(shape, "<u4")
    dice = random.Random(5)
    refused = 0
    for number in range(300):
        found = bytearray(data[: dice.randrange(len(data))] if number % 3 == 0 else data)
        for _ in range(dice.randrange(1, 5) if found else 0):
            found[dice.randrange(min(len(found), 60 if number % 3 == 1 else len(found)))] = dice.randrange(256)
        try:
            assert decoder.decode("k", bytes(found), shape).shape == shape
        except FormatError:
            refused += 1
    assert refused > 100


def test_labels_that_a_boundary_takes_from_another_boundary_are_none() -> None:
    compresso = pytest.importorskip("compresso")
    shape = (3, 9, 8)
    data = bytearray(compresso.compress(np.asfortranarray(segments("noise", shape, "<u4").T)))
    header = compresso.header(bytes(data))
    start = 36 + 4 * header["id_size"] + 2 * header["value_size"]
    data[start : start + 4 * header["location_size"]] = (1).to_bytes(4, "little") * header["location_size"]
    with pytest.raises(FormatError, match="takes the label of a boundary from where there is none"):
        compresso_decoder(shape, "<u4").decode("k", bytes(data), shape)


@pytest.mark.parametrize(
    ("at", "words"), [(15, "ends early"), (6, "voxels"), (35, "connectivity"), (5, "is no Compresso")]
)
def test_headers_of_compresso_that_are_none(at: int, words: str) -> None:
    compresso = pytest.importorskip("compresso")
    shape = (3, 9, 8)
    data = bytearray(compresso.compress(np.asfortranarray(segments("blocks", shape, "<u4").T)))
    data[at] ^= 0xFF
    with pytest.raises(FormatError, match=words):
        compresso_decoder(shape, "<u4").decode("k", bytes(data), shape)
