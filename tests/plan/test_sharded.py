"""Which shards hold the chunks of a box, and how many are looked at side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.errors import NotFoundError, RefusedError
from emasync.formats.interface import ArrayDescription
from emasync.formats.zarr.array import parse_zarr_json_array
from emasync.formats.zarr.sharding import MAX_INDEX_BYTES
from emasync.model.digest import Span, Tail
from emasync.model.geometry import Box
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location
from emasync.plan.indexes import Indexes
from emasync.plan.select import select_array
from emasync.plan.sharded import SHARDS_AT_ONCE, Slices, entries, shards_at_once, wanted_shards
from emasync.plan.shards import shard_reader
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Document

BASE = Location.parse("s3://bucket/em.zarr/s0")


def sharded(shape: Sequence[int], shard: Sequence[int], inner: Sequence[int]) -> ArrayDescription:
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    sharding = {"chunk_shape": list(inner), "codecs": [little], "index_codecs": [little, {"name": "crc32c"}]}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": "default",
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
    return parse_zarr_json_array("", {"zarr.json": json.dumps(document).encode()})


def reader_of(array: ArrayDescription, box: Box) -> Any:
    return shard_reader(select_array(array, box=box), BASE, Indexes(MemoryFetcher(), tells_missing=True))


@st.composite
def boxes(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Box]:
    """Shape, shard, inner chunk, and a box inside."""
    inner = tuple(draw(st.integers(1, 4)) for _ in range(3))
    shard = tuple(part * draw(st.integers(1, 4)) for part in inner)
    shape = tuple(draw(st.integers(1, 30)) for _ in range(3))
    start = tuple(draw(st.integers(0, size - 1)) for size in shape)
    stop = tuple(draw(st.integers(low + 1, size)) for low, size in zip(start, shape, strict=True))
    return shape, shard, inner, Box(start, stop)


@settings(max_examples=60, deadline=None)
@given(boxes())
def test_every_chunk_is_wanted_once_of_the_shard_it_lies_in(
    case: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Box],
) -> None:
    shape, shard, inner, box = case
    reader = reader_of(sharded(shape, shard, inner), box)
    expected: dict[str, list[str]] = {}
    first = [low // part for low, part in zip(box.start, inner, strict=True)]
    last = [-(-high // part) for high, part in zip(box.stop, inner, strict=True)]
    for cell in product(*map(range, first, last)):
        home = [at * part // size for at, part, size in zip(cell, inner, shard, strict=True)]
        chunk = [at - low for at, low in zip(cell, first, strict=True)]
        expected.setdefault(f"c/{'/'.join(map(str, home))}", []).append(f"c/{'/'.join(map(str, chunk))}")
    numbers = np.arange(len(reader.grid), dtype=np.uint64)
    found = {
        wanted.name: [reader.grid.destination(number) for number in wanted.numbers.tolist()]
        for wanted in wanted_shards(reader, numbers)
    }
    assert found == expected
    assert list(found) == list(expected), "in the order of the shards"


def test_shards_with_large_indexes_are_looked_at_one_or_two_at_a_time() -> None:
    """Law 4: a million inner chunks each are an index of 16 MiB, and four times that while it is checked."""
    box = Box((0,) * 3, (1,) * 3)
    small = reader_of(sharded((64,) * 3, (32,) * 3, (8,) * 3), box)
    assert shards_at_once(small) == SHARDS_AT_ONCE
    large = reader_of(sharded((400,) * 3, (200, 200, 25), (1,) * 3), box)
    assert MAX_INDEX_BYTES // 2 < large.index_bytes <= MAX_INDEX_BYTES
    assert shards_at_once(large) == 2


def test_chunks_come_in_the_order_of_their_bytes() -> None:
    def numbers(*values: int) -> Any:
        return np.array(values, dtype=np.uint64)

    parts = [(numbers(4, 1), numbers(50, 10), numbers(5, 10)), (numbers(2), numbers(20), numbers(30))]
    found = Slices.in_order("c/0", parts, b"e1")
    grid = ChunkGrid(start=(7,), shape=(9,), prefix="s0/", encoding="default", separator="/", rebase=True)
    assert [(entry.key, entry.size_bytes, entry.path, entry.listed) for entry in entries(found, grid)] == [
        ("c/0@0000000000000010+10", 10, "s0/c/1", b"e1"),
        ("c/0@0000000000000020+30", 30, "s0/c/2", b"e1"),
        ("c/0@0000000000000050+5", 5, "s0/c/4", b"e1"),
    ]
    assert list(entries(Slices.in_order("c/0", (), None), grid)) == []


# --- indexes ----------------------------------------------------------------------------------------------------------


async def test_indexes_are_asked_for_once_as_long_as_they_are_kept() -> None:
    fetcher = MemoryFetcher({f"{BASE}/{name}": bytes(4000) for name in "ab"})
    indexes = Indexes(fetcher, tells_missing=True, kept_bytes=6000)
    for name in "aabba":
        assert await indexes.first(BASE.join(name), Tail(1000)) is not None
    assert len(fetcher.log) == 2
    answer = await indexes.first(BASE.join("a"), Tail(1000))
    assert answer is not None
    for _ in range(2):
        assert await indexes.further(BASE.join("a"), Span(0, 4000), answer.head.validator) == bytes(4000)
    assert len(fetcher.log) == 3
    assert await indexes.first(BASE.join("a"), Tail(1000)) is not None
    assert len(fetcher.log) == 4, "the oldest had to go"


async def test_a_shard_that_is_not_there_is_asked_for_once_too() -> None:
    fetcher = MemoryFetcher()
    indexes = Indexes(fetcher, tells_missing=True, kept_bytes=6000)
    for _ in range(2):
        assert await indexes.first(BASE.join("a"), Tail(1000)) is None
    assert len(fetcher.log) == 1
    with pytest.raises(NotFoundError):
        await Indexes(fetcher, tells_missing=False).first(BASE.join("a"), Tail(1000))


class NoSuffixes(MemoryFetcher):
    """As servers that ignore suffix ranges: the whole object came, which was refused."""

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
    ) -> Document:
        if isinstance(span, Tail):
            raise RefusedError(f"{location}: the server ignores byte ranges")
        return await super().read(location, span=span, limit_bytes=limit_bytes)


async def test_the_end_of_a_shard_is_found_where_servers_know_no_suffix_ranges() -> None:
    fetcher = NoSuffixes({f"{BASE}/a": bytes(range(100))})
    indexes = Indexes(fetcher, tells_missing=True, kept_bytes=6000)
    for _ in range(2):
        answer = await indexes.first(BASE.join("a"), Tail(10))
        assert answer is not None
        assert (answer.data, answer.head.total_bytes) == (bytes(range(90, 100)), 100)
    assert [seen.span for seen in fetcher.log] == [Span(0, 1), Span(90, 100)]
    assert await indexes.first(BASE.join("none"), Tail(10)) is None
