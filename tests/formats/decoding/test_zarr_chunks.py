"""What writers of Zarr write is what comes out: every codec, type and order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.decoding.whole import of_tree, tensorstore_open, voxels

from emasync.formats.zarr.array import parse_zarr_json_array, parse_zarray

NUMBERS = ["|u1", "|i1", "<u2", ">u2", "<i4", ">i8", "<f4", ">f4", "<f8", "|b1", "<c8"]
SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
EXAMPLES = settings(max_examples=40, deadline=None)


def chunk_shapes(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(1, size) for size in shape))


def zarr2_filters(dtype: str) -> st.SearchStrategy[list[Any]]:
    from numcodecs import BitRound, Delta, FixedScaleOffset, PackBits, Quantize, Shuffle

    item_bytes = np.dtype(dtype).itemsize
    choices: list[list[Any]] = [[], [Shuffle(item_bytes)]]
    if dtype[1] in "iu":
        choices += [[Delta(dtype)], [Delta(dtype), Shuffle(item_bytes)]]
        choices += [[FixedScaleOffset(offset=3, scale=1, dtype=dtype, astype="<f8")]]
    if dtype[1] == "f" and dtype[0] == "<":  # the library rounds no others
        choices += [[BitRound(keepbits=9)], [Quantize(digits=1, dtype=dtype)]]
    if dtype[1] == "b":
        choices += [[PackBits()]]
    return st.sampled_from(choices)


def zarr2_compressors() -> st.SearchStrategy[Any]:
    from numcodecs import BZ2, CRC32, CRC32C, LZ4, LZMA, Adler32, Blosc, Fletcher32, GZip, Zlib, Zstd

    blosc = [
        Blosc(cname, shuffle=shuffle) for cname in ("lz4", "zstd", "zlib", "blosclz", "lz4hc") for shuffle in (0, 1, 2)
    ]
    plain = [None, GZip(), Zlib(), Zstd(), Zstd(checksum=True), LZ4(), BZ2(), LZMA(), CRC32(), CRC32C(), Adler32()]
    return st.sampled_from([*plain, Fletcher32(), *blosc])


@EXAMPLES
@given(st.data())
def test_zarr_2_as_its_library_writes_it(data: st.DataObject) -> None:
    import zarr

    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from(NUMBERS))
    filters, compressor = data.draw(zarr2_filters(dtype)), data.draw(zarr2_compressors())
    with tempfile.TemporaryDirectory() as name:
        array = zarr.create_array(
            zarr.storage.LocalStore(name),
            shape=shape,
            chunks=data.draw(chunk_shapes(shape)),
            dtype=dtype,
            zarr_format=2,
            filters=filters or None,
            compressors=compressor,
            order=data.draw(st.sampled_from("CF")),
            fill_value=0,
        )
        array[...] = voxels(shape, dtype)
        description = parse_zarray("", {".zarray": (Path(name) / ".zarray").read_bytes()})
        assert np.array_equal(of_tree(Path(name), description), array[...])


def zarr3_chains(shape: tuple[int, ...], dtype: str) -> st.SearchStrategy[dict[str, Any]]:
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
    from zarr.codecs.numcodecs import BZ2, LZ4, LZMA, Adler32, Delta, Shuffle, Zlib

    filters: list[list[Any]] = [[]]
    if dtype[1] in "iu":
        filters.append([Delta(dtype=dtype)])
    compressors = [[], [GzipCodec()], [ZstdCodec()], [BloscCodec(cname="zstd")], [BloscCodec(cname="lz4")]]
    compressors += [[Crc32cCodec()], [ZstdCodec(), Crc32cCodec()], [BZ2()], [LZMA()], [LZ4()], [Zlib(), Adler32()]]
    compressors += [[Shuffle(elementsize=np.dtype(dtype).itemsize), GzipCodec()]]
    endian = ("little", "big") if np.dtype(dtype).itemsize > 1 else ("little",)
    return st.builds(
        lambda order, filtered, end, packed: {
            "filters": [*([TransposeCodec(order=order)] if order else []), *filtered],
            "serializer": BytesCodec(endian="little" if filtered else end),  # the library mixes both up
            "compressors": packed,
        },
        st.one_of(st.none(), st.permutations(range(len(shape))).map(tuple)),
        st.sampled_from(filters),
        st.sampled_from(endian),
        st.sampled_from(compressors),
    )


@EXAMPLES
@given(st.data())
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
def test_zarr_3_as_its_library_writes_it(data: st.DataObject) -> None:
    import zarr

    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from([name for name in NUMBERS if name[0] != ">"]))
    inner = data.draw(chunk_shapes(shape))
    sharded = data.draw(st.booleans())
    shards = tuple(size * data.draw(st.integers(1, 3)) for size in inner) if sharded else None
    with tempfile.TemporaryDirectory() as name:
        array = zarr.create_array(
            zarr.storage.LocalStore(name),
            shape=shape,
            chunks=inner,
            shards=shards,
            dtype=dtype,
            fill_value=0,
            config={"write_empty_chunks": False},
            **data.draw(zarr3_chains(shape, dtype)),
        )
        array[...] = voxels(shape, dtype)
        description = parse_zarr_json_array("", {"zarr.json": (Path(name) / "zarr.json").read_bytes()})
        assert np.array_equal(of_tree(Path(name), description), array[...])


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_shards_of_tensorstore_with_their_index_at_either_end(tmp_path: Path, location: str, order: list[int]) -> None:
    inner: list[dict[str, Any]] = [{"name": "transpose", "configuration": {"order": [1, 2, 0]}}, {"name": "zstd"}]
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [[4, 6, 5][axis] for axis in order],
            "codecs": [inner[0], {"name": "bytes", "configuration": {"endian": "big"}}, inner[1]],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "crc32c"}],
            "index_location": location,
        },
    }
    metadata = {
        "shape": [19, 13, 22],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 12, 10]}},
        "codecs": [{"name": "transpose", "configuration": {"order": order}}, sharding],
        "fill_value": 3,
    }
    expected = voxels((19, 13, 22), "<u2")
    expected[:9] = 3  # inner chunks that are left out
    tensorstore_open(tmp_path, {"driver": "zarr3", "metadata": metadata})[...] = expected
    description = parse_zarr_json_array("", {"zarr.json": (tmp_path / "zarr.json").read_bytes()})
    assert np.array_equal(of_tree(tmp_path, description), expected)
