"""Shards of Zarr v3: how inner chunks lie in them, and indexes that lie."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from crc32c import crc32c

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.formats.interface import ArrayDescription
from emasync.formats.zarr.array import parse_zarr_json_array
from emasync.formats.zarr.shard_index import ShardIndex, parse_shard_index
from emasync.formats.zarr.sharding import MAX_INDEX_BYTES, ShardLayout, shard_layout, without_shards

LITTLE: Any = {"name": "bytes", "configuration": {"endian": "little"}}
CRC: Any = {"name": "crc32c"}
NONE = (1 << 64) - 1


def described(*codecs: Any, shard: tuple[int, ...] = (4, 6), **configuration: Any) -> ArrayDescription:
    """An array of 2-D shards; `codecs` with None where the sharding codec goes."""
    stated = {"chunk_shape": [2, 2], "codecs": [LITTLE], "index_codecs": [LITTLE, CRC], **configuration}
    sharding = {"name": "sharding_indexed", "configuration": {k: v for k, v in stated.items() if v is not None}}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [40, 60],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": "default",
        "fill_value": 0,
        "codecs": [sharding if codec is None else codec for codec in codecs or (None,)],
    }
    return parse_zarr_json_array("a", {"a/zarr.json": json.dumps(document).encode()})


def index_of(*entries: tuple[int, int], crc: bool = True, order: str = "<") -> bytes:
    data = b"".join(struct.pack(f"{order}QQ", *entry) for entry in entries)
    return data + struct.pack("<I", crc32c(data)) if crc else data


def parse(data: bytes, total_bytes: int | None = 1000, layout: ShardLayout | None = None) -> ShardIndex:
    return parse_shard_index("a/c/0/0", data, layout or shard_layout(described()), total_bytes)


FULL = [(10 * number, 10) for number in range(6)]


# --- how inner chunks lie ---------------------------------------------------------------------------------------------


def test_what_the_metadata_says() -> None:
    layout = shard_layout(described())
    assert (layout.inner, layout.per_shard, layout.order) == ((2, 2), (2, 3), (0, 1))
    assert (layout.location, layout.byte_order, layout.crcs, layout.index_bytes) == ("end", "<", 1, 16 * 6 + 4)
    other = shard_layout(described(index_codecs=[LITTLE], index_location="start"))
    assert (other.location, other.crcs, other.index_bytes) == ("start", 0, 16 * 6)


def test_an_index_without_codecs_is_the_recommended_one() -> None:
    assert shard_layout(described(index_codecs=None)) == shard_layout(described())


def test_shards_that_are_turned_are_counted_in_their_own_order() -> None:
    turned = {"name": "transpose", "configuration": {"order": [1, 0]}}
    layout = shard_layout(described(turned, None, chunk_shape=[3, 2]))
    assert (layout.inner, layout.per_shard, layout.order) == ((2, 3), (2, 2), (1, 0))
    index = parse(index_of((0, 1), (1, 1), (2, 1), (3, 1)), layout=layout)
    _, starts, _ = index.find([np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])])
    assert starts.tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize(
    ("codecs", "says"),
    [
        ((None, "gzip"), r"codecs\[1\] is 'gzip', which is applied to whole shards"),
        (({"name": "numcodecs.delta"}, None), r"codecs\[0\] is .* not known to keep voxels apart"),
    ],
)
def test_what_can_only_be_taken_whole(codecs: tuple[Any, ...], says: str) -> None:
    with pytest.raises(SourceError, match=says) as failure:
        shard_layout(described(*codecs))
    assert failure.value.kind == ErrorKind.NOT_BUILT
    assert "subset: mirror" in failure.value.message


def test_absurd_counts_of_inner_chunks_are_refused_before_their_index_is_read() -> None:
    """Law 14: 2^40 inner chunks would be an index of 16 TiB."""
    array = described(shard=(1 << 20, 1 << 20), chunk_shape=[1, 1])
    with pytest.raises(SourceError, match=f"at most {MAX_INDEX_BYTES:,} are read"):
        shard_layout(array)
    assert array.inner_chunks == (1, 1), "whole shards can be taken all the same"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("index_location", "middle"),
        ("index_codecs", ["bytes"]),
        ("index_codecs", [{"name": "bytes", "configuration": {}}]),
        ("index_codecs", [LITTLE, {"name": "gzip"}]),
        ("index_codecs", [CRC, LITTLE]),
        ("index_codecs", []),
        ("codecs", []),
        ("codecs", None),
    ],
)
def test_sharding_that_breaks_a_rule(member: str, value: Any) -> None:
    with pytest.raises(FormatError, match=member):
        shard_layout(described(**{member: value}))


def test_a_transposition_that_is_none() -> None:
    with pytest.raises(FormatError, match="a permutation of the 2 axes"):
        described({"name": "transpose", "configuration": {"order": [0, 0]}}, None)


def test_metadata_without_shards_keeps_all_else() -> None:
    array = described(codecs=[LITTLE, {"name": "zstd"}, CRC])
    old = json.loads(array.documents["a/zarr.json"])
    new = without_shards(old, "a/zarr.json", (2, 2))
    assert new["codecs"] == [LITTLE, {"name": "zstd"}, CRC]
    assert new["chunk_grid"] == {"name": "regular", "configuration": {"chunk_shape": [2, 2]}}
    assert {k: v for k, v in new.items() if k not in ("codecs", "chunk_grid")} == {
        k: v for k, v in old.items() if k not in ("codecs", "chunk_grid")
    }


def test_documents_that_contradict_each_other_are_refused() -> None:
    """The consolidated metadata of a group may speak of another array than the array's own."""
    with pytest.raises(FormatError, match="here it has none"):
        without_shards({"codecs": [LITTLE]}, "zarr.json: a", (2, 2))


# --- indexes ----------------------------------------------------------------------------------------------------------


def test_inner_chunks_are_found_in_any_order_and_empty_ones_are_not_there() -> None:
    index = parse(index_of((50, 7), (NONE, NONE), (0, 10), (10, 40), (NONE, NONE), (899, 1)))
    there, starts, sizes = index.find([np.array([0, 0, 1, 1]), np.array([1, 2, 0, 2])])
    assert there.tolist() == [1, 2, 3]
    assert starts.tolist() == [0, 10, 899]
    assert sizes.tolist() == [10, 40, 1]


def test_numbers_may_be_big_endian() -> None:
    big = {"name": "bytes", "configuration": {"endian": "big"}}
    layout = shard_layout(described(index_codecs=[big]))
    index = parse(index_of(*FULL, crc=False, order=">"), layout=layout)
    assert index.starts.tolist() == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([*FULL[:5], (891, 10)], "there is room from 0 to 900"),
        ([*FULL[:5], (950, 1)], "there is room from 0 to 900"),
        ([*FULL[:5], (NONE - 1, 10)], "there is room"),
        ([*FULL[:5], (60, NONE - 1)], "there is room"),
        ([*FULL[:5], (NONE - 4, 8)], "there is room"),
        ([*FULL[:5], (49, 10)], "lie over each other"),
        ([*FULL[:5], (40, 10)], "lie over each other"),
        ([*FULL[:5], (5, 600)], "lie over each other"),
        ([*FULL[:5], (NONE, 10)], "left out by half"),
        ([*FULL[:5], (60, NONE)], "left out by half"),
        ([*FULL[:5], (60, 0)], "of no bytes"),
    ],
)
def test_an_index_that_lies(entries: list[tuple[int, int]], says: str) -> None:
    """The index itself takes the last 100 of 1,000 bytes."""
    with pytest.raises(FormatError, match=says) as failure:
        parse(index_of(*entries))
    assert "a/c/0/0" in failure.value.message


def test_an_index_at_the_start_is_no_room_either() -> None:
    layout = shard_layout(described(index_location="start"))
    moved = [(start + 100, size) for start, size in FULL]
    assert parse(index_of(*moved), 160, layout).starts.tolist() == [100, 110, 120, 130, 140, 150]
    assert parse(index_of(*moved), None, layout).sizes.tolist() == [10] * 6, "the size of the shard may not be told"
    with pytest.raises(FormatError, match="there is room from 100 to 160"):
        parse(index_of(*moved[:5], (99, 1)), 160, layout)
    with pytest.raises(FormatError, match="there is room from 100 to 160"):
        parse(index_of(*moved[:5], (151, 10)), 160, layout)


def test_where_the_size_of_the_shard_is_not_told_nothing_lies_before_an_index_at_its_end() -> None:
    with pytest.raises(FormatError, match="there is room"):
        parse(index_of(*FULL), None)


@pytest.mark.parametrize("data", [b"", index_of(*FULL)[:-1], index_of(*FULL) + b"x"])
def test_an_index_that_is_cut_short_or_too_long(data: bytes) -> None:
    with pytest.raises(FormatError, match="100 were expected"):
        parse(data)


def test_a_checksum_that_does_not_agree() -> None:
    data = bytearray(index_of(*FULL))
    data[3] ^= 1
    with pytest.raises(FormatError, match="has the CRC32C"):
        parse(bytes(data))
