"""Chunks of several blocks: where none is kept, those that a crop needs are unpacked, and no others."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.read.desk import Array, Stored, store, voxels

from emasync.errors import FormatError, IntegrityError
from emasync.formats.stored import Codec

pytest.importorskip("zstandard")

SHAPE, CHUNKS = (75, 70, 90), (50, 64, 80)
"""Whole chunks have 256,000 or 512,000 bytes; those at the far edges lie beyond the array in part."""

CODECS = {
    "zstd": Codec("zstd", {"level": 1, "checksum": True}),
    "blosc": Codec("blosc", {"cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 1 << 16}),
}


def narrow(shape: tuple[int, ...], dtype: str = "|u1") -> Array:
    """Voxels of six bits: they become shorter."""
    return voxels(shape, dtype) % 64


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Stored]:
    made: dict[tuple[str, str], Stored] = {}

    def get(name: str, dtype: str) -> Stored:
        if (name, dtype) not in made:
            root = tmp_path_factory.mktemp("array")
            made[name, dtype] = store(root, narrow(SHAPE, dtype), CHUNKS, codecs=(CODECS[name],), files="one")
        return made[name, dtype]

    return get


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Starts of some crops, and their shape."""
    shape = tuple(draw(st.integers(1, size)) for size in SHAPE)
    ends = [size - extent for size, extent in zip(SHAPE, shape, strict=True)]
    starts = draw(st.lists(st.tuples(*(st.integers(0, end) for end in ends)), min_size=1, max_size=3))
    return starts, shape


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000])
@pytest.mark.parametrize(("name", "dtype"), [("zstd", "|u1"), ("blosc", "|u1"), ("blosc", "<u2"), ("blosc", ">u2")])
def test_crops_are_those_of_the_whole(
    kept: Callable[[str, str], Stored], name: str, dtype: str, cache_bytes: int
) -> None:
    stored = kept(name, dtype)
    volume = stored.volume(cache_bytes=cache_bytes, threads=2)

    @settings(deadline=None, max_examples=25)
    @given(batches())
    def check(batch: tuple[list[tuple[int, ...]], tuple[int, ...]]) -> None:
        starts, shape = batch
        for start, block in zip(starts, volume.read_many(starts, shape), strict=True):
            part = tuple(slice(low, low + size) for low, size in zip(start, shape, strict=True))
            np.testing.assert_array_equal(block, stored.data[part])

    check()


@pytest.mark.parametrize("name", CODECS)
def test_damage_is_told_where_it_is_read_or_kept(name: str, tmp_path: Path) -> None:
    stored = store(tmp_path, narrow((40, 80, 80)), (40, 80, 80), codecs=(CODECS[name],), files="one")
    file = tmp_path / stored.places.path(0)
    whole = bytearray(file.read_bytes())
    last = len(whole) - 9 if name == "zstd" else 8 + struct.unpack_from("<4i", whole, 4 + 16)[-1]
    whole[last : last + 9] = bytes(9)  # of the checksum, or where the last block begins
    file.write_bytes(whole)

    np.testing.assert_array_equal(stored.volume(cache_bytes=0).read((3, 0, 0), (5, 80, 80)), stored.data[3:8])
    for volume, start in ((stored.volume(cache_bytes=0), 30), (stored.volume(cache_bytes=1_000_000), 3)):
        with pytest.raises(FormatError, match="byte 4"):
            volume.read((start, 0, 0), (10, 80, 80))


@pytest.mark.parametrize("name", CODECS)
def test_a_known_checksum_is_that_of_the_whole_chunk(name: str, tmp_path: Path) -> None:
    stored = store(tmp_path, narrow((40, 80, 80)), (40, 80, 80), codecs=(CODECS[name],), files="one", crcs=True)
    file = tmp_path / stored.places.path(0)
    file.write_bytes(file.read_bytes()[:-1] + b"x")

    with pytest.raises(IntegrityError):
        stored.volume(cache_bytes=0).read((3, 0, 0), (5, 80, 80))
