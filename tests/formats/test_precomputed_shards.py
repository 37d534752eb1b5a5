"""Look-up in shards that TensorStore wrote, and in shards that nobody should trust."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emasync.errors import FormatError
from emasync.formats.json_document import Field
from emasync.formats.precomputed.placement import chunk_ids, locate, murmurhash3
from emasync.formats.precomputed.shard_index import minishard_span, parse_minishard_index
from emasync.formats.precomputed.sharding import SHARDED, Sharding, interleaving, read_sharding
from emasync.model.digest import Span
from emasync.testing.precomputed import ScaleOnDisk, write_precomputed

SHAPE, CHUNK = (21, 50, 70), (4, 8, 8)
GRID = (6, 7, 9)
RAW = Sharding(preshift_bits=0, hash="identity", minishard_bits=1, shard_bits=1)


def cell_arrays(*cells: tuple[int, int, int]) -> list[Any]:
    return [np.array(axis, dtype=np.uint64) for axis in zip(*cells, strict=True)]


def one_id(cell: tuple[int, int, int], grid: tuple[int, int, int]) -> int:
    return int(chunk_ids(cell_arrays(cell), grid)[0])


def parameters(preshift: int, name: str, minishards: int, shards: int, *packing: str) -> dict[str, Any]:
    index, data = packing or ("gzip", "gzip")
    return {
        "preshift_bits": preshift,
        "hash": name,
        "minishard_bits": minishards,
        "shard_bits": shards,
        "minishard_index_encoding": index,
        "data_encoding": data,
    }


def sharding_of(members: dict[str, Any]) -> Sharding:
    return read_sharding(Field("info", "sharding", {"@type": SHARDED, **members}))


def all_cells() -> Iterator[tuple[int, int, int]]:
    for cell in np.ndindex(*GRID):
        yield cell[0], cell[1], cell[2]


# --- against another implementation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        parameters(0, "identity", 1, 2),
        parameters(3, "identity", 2, 4, "raw", "gzip"),
        parameters(3, "identity", 0, 0, "gzip", "raw"),
        parameters(9, "identity", 6, 15),
        parameters(0, "murmurhash3_x86_128", 2, 3),
        parameters(2, "murmurhash3_x86_128", 1, 5, "raw", "raw"),
        parameters(64, "identity", 1, 1),
    ],
    ids=lambda members: "-".join(map(str, members.values())),
)
def test_every_chunk_is_found_where_tensorstore_put_it(tmp_path: Path, members: dict[str, Any]) -> None:
    pytest.importorskip("tensorstore")
    voxels = np.arange(np.prod(SHAPE), dtype="uint32").reshape(SHAPE) + 1
    write_precomputed(tmp_path, [ScaleOnDisk(voxels=voxels, key="s", chunk=CHUNK, sharding=members)])
    sharding = sharding_of(members)
    cells = list(all_cells())
    ids = chunk_ids(cell_arrays(*cells), GRID)
    assert len(set(ids.tolist())) == len(cells)
    shards, minishards = locate(sharding, ids)
    for cell, chunk_id, shard, minishard in zip(cells, ids, shards, minishards, strict=True):
        data = (tmp_path / "s" / sharding.shard_name(int(shard))).read_bytes()
        span = minishard_span("s", data[: sharding.index_bytes], sharding, int(minishard))
        assert span is not None
        index = parse_minishard_index("s", data[span.start : span.stop], sharding)
        there, starts, sizes = index.find(np.array([chunk_id]))
        assert there.tolist() == [0]
        chunk = data[int(starts[0]) : int(starts[0] + sizes[0])]
        plain = gzip.decompress(chunk) if sharding.data_packing == "gzip" else chunk
        where = tuple(slice(at * size, (at + 1) * size) for at, size in zip(cell, CHUNK, strict=True))
        assert plain == voxels[where].astype("<u4").tobytes()  # x fastest, which is C order of z, y, x


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (0, 0x4772B084E028AE41),
        (1, 0xE8BD67D616D4CE9A),
        (5, 0xABDD7BC328613F9F),
        (0xFFFFFFFF, 0x7260FFC08751BE),
        (0x100000000, 0xBBB12D133B78FD64),
        (0x123456789ABCDEF, 0x708036264C109D93),
        (0xFFFFFFFFFFFFFFFF, 0x574F66BD212B5D1A),
    ],
)
def test_the_hash_agrees_with_another_implementation(key: int, expected: int) -> None:
    """Vectors: ``mmh3.hash64(key.to_bytes(8, "little"), 0, x64arch=False, signed=False)[0]`` of the package mmh3."""
    assert murmurhash3(np.array([key], dtype=np.uint64)).tolist() == [expected]


# --- identifiers and names -----------------------------------------------------------------------------------------


def test_trap_6_the_code_skips_bits_beyond_the_grid_of_the_scale() -> None:
    """A plain interleave is right for cubes whose side is a power of two only."""
    assert one_id((1, 1, 1), (2, 2, 2)) == 0b111
    # x has 3 bits, y and z have 1: x0 y0 z0 x1 x2
    assert [one_id((0, 0, x), (2, 2, 8)) for x in range(8)] == [0, 1, 8, 9, 16, 17, 24, 25]
    assert one_id((1, 1, 7), (2, 2, 8)) == 0b11111
    assert one_id((0, 0, 5), (1, 1, 6)) == 5, "one chunk on an axis has no bit"
    assert one_id((0, 0, 0), (1, 1, 1)) == 0
    # grid of the hemibrain at 8 nm
    assert len(interleaving((647, 621, 538))) == 30
    assert one_id((646, 620, 537), (647, 621, 538)) == int(
        "".join(f"{646 >> bit & 1}{620 >> bit & 1}{537 >> bit & 1}" for bit in reversed(range(10))), 2
    )


def test_trap_11_identifiers_begin_with_x() -> None:
    assert [one_id(cell, (4, 4, 4)) for cell in ((0, 0, 1), (0, 1, 0), (1, 0, 0))] == [1, 2, 4]


@pytest.mark.parametrize(
    ("bits", "shard", "name"),
    [
        (15, 0, "0000.shard"),
        (15, 0x7ABC, "7abc.shard"),
        (16, 1, "0001.shard"),
        (17, 1, "00001.shard"),
        (0, 0, "0.shard"),
    ],
)
def test_trap_7_names_of_shards_are_padded_hexadecimal(bits: int, shard: int, name: str) -> None:
    assert Sharding(preshift_bits=0, hash="identity", minishard_bits=0, shard_bits=bits).shard_name(shard) == name


def test_encodings_that_are_not_told_are_raw() -> None:
    members = parameters(9, "identity", 6, 15)
    del members["data_encoding"], members["minishard_index_encoding"]
    sharding = sharding_of(members)
    assert (sharding.index_packing, sharding.data_packing) == ("raw", "raw")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("@type", "neuroglancer_uint64_sharded_v2"),
        ("hash", "md5"),
        ("hash", None),
        ("preshift_bits", 65),
        ("preshift_bits", -1),
        ("minishard_bits", 21),
        ("shard_bits", 60),
        ("shard_bits", "15"),
        ("data_encoding", "zstd"),
    ],
)
def test_parameters_that_are_none(name: str, value: object) -> None:
    with pytest.raises(FormatError, match=name):
        sharding_of({**parameters(9, "identity", 6, 15), name: value})


# --- the two indexes -------------------------------------------------------------------------------------------------


def table(*rows: list[int]) -> bytes:
    return np.array(rows, dtype="<u8").tobytes()


def test_trap_4_places_count_from_the_end_of_the_shard_index() -> None:
    data = struct.pack("<4Q", 100, 148, 7, 7)
    assert RAW.index_bytes == 32
    assert minishard_span("k", data, RAW, 0) == Span(132, 180)
    assert minishard_span("k", data, RAW, 1) is None, "start and end are the same: no chunks"


def test_trap_5_starts_are_relative_to_the_end_of_the_chunk_before() -> None:
    index = parse_minishard_index("k", table([3, 1, 4], [10, 0, 5], [100, 50, 7]), RAW)
    assert index.ids.tolist() == [3, 4, 8]
    assert index.starts.tolist() == [42, 142, 197]
    assert index.sizes.tolist() == [100, 50, 7]


def test_chunks_may_lie_in_any_order() -> None:
    """Differences wrap around 2^64: some writers put chunks as they come."""
    index = parse_minishard_index("k", table([3, 1], [100, (1 << 64) - 130], [30, 20]), RAW)
    assert index.starts.tolist() == [132, 32]


def test_a_chunk_of_no_bytes_is_not_there() -> None:
    index = parse_minishard_index("k", table([3, 1], [0, 0], [0, 20]), RAW)
    there, starts, _ = index.find(np.array([1, 3, 4, 9], dtype=np.uint64))
    assert (there.tolist(), starts.tolist()) == ([2], [32])


def test_an_empty_minishard_index_finds_nothing() -> None:
    there, _, _ = parse_minishard_index("k", b"", RAW).find(np.array([1], dtype=np.uint64))
    assert there.tolist() == []


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<4Q", 8, 7, 0, 0),
        struct.pack("<4Q", 0, 1 << 60, 0, 0),
        struct.pack("<4Q", (1 << 64) - 1, 0, 0, 0),
        struct.pack("<4Q", 0, (64 << 20) + 1, 0, 0),
        b"",
        bytes(31),
        bytes(33),
    ],
)
def test_a_shard_index_that_cannot_be(data: bytes) -> None:
    with pytest.raises(FormatError, match="shard is damaged"):
        minishard_span("k", data, RAW, 0)


@pytest.mark.parametrize(
    "data",
    [
        bytes(23),
        table([3, 0], [0, 0], [1, 1]),
        table([3, (1 << 64) - 2], [0, 0], [1, 1]),
        table([3], [0], [1 << 60]),
        table([3], [1 << 60], [1]),
        table([3], [(1 << 64) - 1], [1]),
        table([3], [(1 << 64) - 32], [1]),
        table([3, 1], [0, 0], [(1 << 64) - 5, 5]),
    ],
)
def test_a_minishard_index_that_cannot_be(data: bytes) -> None:
    with pytest.raises(FormatError, match="shard is damaged"):
        parse_minishard_index("k", data, RAW)


@pytest.mark.parametrize(
    "data", [b"not gzip", gzip.compress(table([1], [0], [1]), mtime=0)[:-9], zlib.compress(bytes(24))]
)
def test_a_minishard_index_that_does_not_unpack(data: bytes) -> None:
    packed = Sharding(preshift_bits=0, hash="identity", minishard_bits=1, shard_bits=1, index_packing="gzip")
    with pytest.raises(FormatError, match="shard is damaged"):
        parse_minishard_index("k", data, packed)


def test_a_minishard_index_that_grows_without_end_is_refused() -> None:
    packed = Sharding(preshift_bits=0, hash="identity", minishard_bits=1, shard_bits=1, index_packing="gzip")
    with pytest.raises(FormatError, match="has more than"):
        parse_minishard_index("k", gzip.compress(bytes(65 << 20), mtime=0), packed)
