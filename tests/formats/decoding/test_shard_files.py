"""Shards on disk: where their chunks lie, as their writers have it, and what damaged ones say."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import FileBytes, assemble, tensorstore_open, voxels

from emasync.errors import FormatError
from emasync.formats.decoding import decoder_for, layout_of
from emasync.formats.precomputed.info import parse_info
from emasync.formats.precomputed.placement import chunk_cells, chunk_ids
from emasync.formats.precomputed.shard_file import shard_chunks
from emasync.formats.precomputed.sharding import Sharding
from emasync.formats.precomputed.walk import describe_volume
from emasync.formats.zarr.shard_file import inner_places
from emasync.formats.zarr.sharding import ShardLayout

LAYOUT = ShardLayout(inner=(4, 4), per_shard=(2, 3), order=(0, 1))


class Bytes(FileBytes):
    """A file that is nowhere."""

    def __init__(self, data: bytes) -> None:
        self.name = "c/0/0"
        self.size_bytes = len(data)
        self._data = data


def index_of(rows: list[tuple[int, int]]) -> bytes:
    from crc32c import crc32c

    table = struct.pack(f"<{2 * len(rows)}Q", *(number for row in rows for number in row))
    return table + struct.pack("<I", crc32c(table))


GONE = ((1 << 64) - 1,) * 2


def test_inner_chunks_stand_in_the_order_of_the_array() -> None:
    rows = [(0, 5), GONE, (5, 7), GONE, (20, 4), (12, 8)]
    shard = Bytes(b"\0" * 24 + index_of(rows))
    table = inner_places(shard, LAYOUT)
    assert table.sizes.tolist() == [[5, 0, 7], [0, 4, 8]]
    assert table.starts.tolist() == [[0, 0, 5], [0, 20, 12]]
    turned = inner_places(shard, replace(LAYOUT, order=(1, 0)))  # the index counts the last axis first
    assert turned.sizes.tolist() == [[5, 7, 4], [0, 0, 8]]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "less than its index"),
        (b"\0" * 99, "less than its index"),
        (b"\0" * 24 + index_of([(0, 5)] * 6)[:-1] + b"x", "CRC32C"),
        (b"\0" * 24 + index_of([GONE, (0, 25), *[GONE] * 4]), "there is room from 0 to 24"),
        (b"\0" * 24 + index_of([(0, 9), (8, 9), *[GONE] * 4]), "over each other"),
    ],
)
def test_broken_shards_of_zarr_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        inner_places(Bytes(data), LAYOUT)


def sharded_volume(folder: Path, sharding: dict[str, Any], expected: Any) -> tuple[Any, dict[str, bytes]]:
    spec = {
        "driver": "neuroglancer_precomputed",
        "multiscale_metadata": {"data_type": "uint8", "num_channels": 1, "type": "image"},
        "scale_metadata": {
            "size": list(expected.shape[::-1]),
            "chunk_size": [8, 4, 6],
            "encoding": "raw",
            "resolution": [8, 8, 8],
            "sharding": {"@type": "neuroglancer_uint64_sharded_v1", **sharding},
        },
    }
    tensorstore_open(folder, spec)[...] = expected.T[..., None]
    documents = {"info": (folder / "info").read_bytes()}
    return describe_volume("", parse_info("info", documents["info"], ""), documents).levels[0].array, documents


@pytest.mark.parametrize("hashed", ["identity", "murmurhash3_x86_128"])
@pytest.mark.parametrize("bits", [(0, 0, 0), (1, 2, 3), (9, 0, 1)])
def test_sharded_volumes_of_tensorstore(tmp_path: Path, hashed: str, bits: tuple[int, int, int]) -> None:
    names = ("preshift_bits", "minishard_bits", "shard_bits")
    sharding = dict(zip(names, bits, strict=True)) | {
        "hash": hashed,
        "data_encoding": "gzip",
        "minishard_index_encoding": "gzip" if bits[0] else "raw",
    }
    expected = voxels((31, 23, 41), "|u1")
    expected[:12, :8] = 0  # chunks that are left out
    array, documents = sharded_volume(tmp_path, sharding, expected)
    layout = layout_of(array, documents)
    assert [codec.name for codec in layout.codecs] == ["gzip"]
    files = [FileBytes(path) for path in sorted(tmp_path.rglob("*.shard"))]
    found = [(file, shard_chunks(file, array.sharding, array.grid_shape)) for file in files]
    numbers = np.concatenate([chunks.numbers for _, chunks in found])
    assert len(np.unique(numbers)) == len(numbers) < np.prod(array.grid_shape)
    cells = [
        (np.unravel_index(number, array.grid_shape), file.read(int(start), int(size)))
        for file, chunks in found
        for number, start, size in zip(chunks.numbers, chunks.starts, chunks.sizes, strict=True)
    ]
    chunks = ((tuple(map(int, cell)), str(cell), data, 0) for cell, data in cells)
    assert np.array_equal(assemble(array.shape, layout, chunks), expected)


def test_identifiers_lead_back_to_their_cells() -> None:
    for grid in ((1, 1, 1), (5, 1, 9), (7, 8, 30), (1, 600, 2)):
        cells = [axis.ravel().astype(np.uint64) for axis in np.indices(grid)]
        for known, back in zip(cells, chunk_cells(chunk_ids(cells, grid), grid), strict=True):
            assert np.array_equal(known, back)


SHARDING = Sharding(preshift_bits=0, hash="identity", minishard_bits=1, shard_bits=0)


def shard_of(rows: list[tuple[int, int, int]], *, minishard: int = 0) -> bytes:
    """A shard of two minishards, one of which has chunks; rows are delta-coded: identifier, gap, length."""
    index = np.array(rows, "<u8").T.tobytes()
    data = bytes(sum(size for *_, size in rows))
    spans = [(0, 0), (0, 0)]
    spans[minishard] = (len(data), len(data) + len(index))
    return struct.pack("<4Q", *spans[0], *spans[1]) + data + index


def test_chunks_of_one_minishard() -> None:
    found = shard_chunks(Bytes(shard_of([(0, 0, 3), (2, 0, 4), (4, 0, 0)])), SHARDING, (1, 2, 4))
    assert found.numbers.tolist() == [0, 4]  # identifier 2 has its lowest bit in y
    assert found.starts.tolist() == [32, 35]
    assert found.sizes.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "less than its index"),
        (shard_of([(1, 0, 3)]), "minishard that its identifier does not lead to"),
        (shard_of([(8, 0, 3)]), "no chunk of the volume"),
        (shard_of([(1 << 40, 0, 3)]), "no chunk of the volume"),
        (shard_of([(0, 5000, 3)]), "a chunk lies at bytes 5032 to 5035"),
        (shard_of([(2, 0, 3), (0, 0, 3)]), "do not rise"),
        (shard_of([(0, 0, 3)])[:-1], "index beyond"),
    ],
)
def test_broken_shards_of_precomputed_volumes_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        shard_chunks(Bytes(data), SHARDING, (1, 2, 4))


def test_a_shard_without_chunks() -> None:
    assert len(shard_chunks(Bytes(bytes(32)), SHARDING, (1, 2, 4)).numbers) == 0


def test_decoders_of_sharded_arrays_are_those_of_their_inner_chunks(tmp_path: Path) -> None:
    array, documents = sharded_volume(
        tmp_path,
        {"preshift_bits": 0, "minishard_bits": 0, "shard_bits": 0, "hash": "identity"},
        voxels((8, 8, 8), "|u1"),
    )
    layout = layout_of(array, documents)
    assert layout.chunks == (6, 4, 8)
    assert decoder_for(layout).decode("k", bytes(range(192)), (6, 4, 8)).ravel().tolist() == list(range(192))
