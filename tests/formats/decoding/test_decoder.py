"""What all decoders keep to: views and memory of the caller's, threads, processes, and the layouts they come from."""

from __future__ import annotations

import gzip
import importlib
import math
import multiprocessing
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkLayout
from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import decoder_for, layout_of, layout_of_stored
from emasync.formats.fill_values import fill_voxel
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Json, write_object
from emasync.formats.n5.block import BlockHeader
from emasync.formats.stored import Codec, StoredArray
from emasync.formats.zarr.array import parse_zarr_json_array, parse_zarray

CHUNK = (4, 6, 8)
VOXELS = (np.arange(192) % 23).astype("<u2").reshape(CHUNK)
PLAIN = VOXELS.tobytes()
RAW = ChunkLayout(chunks=CHUNK, dtype="<u2")


def packed(name: str, data: bytes = PLAIN) -> bytes:
    from numcodecs import get_codec

    return bytes(get_codec({"id": name}).encode(data))


@pytest.mark.parametrize("name", ["gzip", "zlib", "zstd", "blosc", "lz4", "hdf5.gzip", "hdf5.zstd", "shuffle"])
def test_compressors_write_into_memory_of_the_caller(name: str) -> None:
    codec = Codec(name, {"elementsize": 2})
    data = packed(name.removeprefix("hdf5.").replace("gzip", "zlib") if name.startswith("hdf5") else name)
    if name == "shuffle":
        from numcodecs import Shuffle

        data = bytes(Shuffle(2).encode(PLAIN))
    out = np.empty(CHUNK, "<u2")
    found = decoder_for(replace(RAW, codecs=(codec,))).decode("k", data, CHUNK, out=out)
    assert found is out
    assert np.array_equal(out, VOXELS)


def test_raw_voxels_are_a_view_of_the_bytes() -> None:
    data = bytearray(PLAIN)
    found = decoder_for(RAW).decode("k", data, CHUNK, out=np.empty(CHUNK, "<u2"))
    data[0] = 99
    assert found[0, 0, 0] == 99


def test_any_buffer_is_taken() -> None:
    decoder = decoder_for(replace(RAW, codecs=(Codec("zlib"),)))
    data = zlib.compress(PLAIN)
    for buffer in (
        data,
        bytearray(data),
        memoryview(data),
        memoryview(b"xx" + data)[2:],
        np.frombuffer(data, np.uint8),
    ):
        assert np.array_equal(decoder.decode("k", buffer, CHUNK), VOXELS)  # type: ignore[arg-type]  # an array is a buffer


def test_a_transposed_chunk_keeps_its_strides() -> None:
    layout = replace(RAW, codecs=(Codec("transpose", {"order": [2, 0, 1]}), Codec("zlib")))
    data = zlib.compress(VOXELS.transpose(2, 0, 1).tobytes())
    found = decoder_for(layout).decode("k", data, CHUNK)
    assert np.array_equal(found, VOXELS)
    assert not found.flags.c_contiguous


def test_filters_of_numbers_in_another_byte_order() -> None:
    """zarr-python writes this, and reads it back as other numbers."""
    codecs = (Codec("delta", {"dtype": "<u2"}), Codec("bytes", {"endian": "big"}))
    flat = VOXELS.ravel()
    data = np.diff(flat, prepend=np.uint16(0)).astype(">u2").tobytes()
    assert np.array_equal(decoder_for(replace(RAW, codecs=codecs)).decode("k", data, CHUNK), VOXELS)


def test_gzip_in_several_members_and_zlib_under_its_name() -> None:
    decoder = decoder_for(replace(RAW, codecs=(Codec("gzip"),)))
    for data in (gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:]), zlib.compress(PLAIN)):
        assert np.array_equal(decoder.decode("k", data, CHUNK), VOXELS)


def test_zstd_in_several_frames_and_without_a_length() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    decoder = decoder_for(replace(RAW, codecs=(Codec("zstd"),)))
    data = imagecodecs.zstd_encode(PLAIN[:100]) + imagecodecs.zstd_encode(PLAIN[100:])
    assert np.array_equal(decoder.decode("k", data, CHUNK), VOXELS)
    raw_block = (len(PLAIN) << 3 | 1).to_bytes(3, "little") + PLAIN
    unsized = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x58" + raw_block  # RFC 8878: no content size, a window
    assert np.array_equal(decoder.decode("k", unsized, CHUNK), VOXELS)


@pytest.mark.parametrize("skipped", range(8))
def test_codecs_that_a_chunk_went_without(skipped: int) -> None:
    from numcodecs import Fletcher32, Shuffle

    codecs = (
        Codec("hdf5.shuffle", {"parameters": [2]}),
        Codec("hdf5.gzip", {"parameters": [4]}),
        Codec("hdf5.fletcher32", {"parameters": []}),
    )
    encoders: list[Callable[[bytes], bytes]] = [
        lambda data: bytes(Shuffle(2).encode(data)),
        zlib.compress,
        lambda data: bytes(Fletcher32().encode(data)),
    ]
    data = PLAIN
    for number, encode in enumerate(encoders):
        data = data if skipped >> number & 1 else encode(data)
    decoder = decoder_for(replace(RAW, codecs=codecs))
    for out in (None, np.empty(CHUNK, "<u2")):
        assert np.array_equal(decoder.decode("k", data, CHUNK, skipped=skipped, out=out), VOXELS)


def test_shuffled_bytes_that_fill_no_item() -> None:
    """HDF5 leaves them where they are; so a filter before may have made any number of bytes."""
    layout = ChunkLayout(chunks=(11,), dtype="|u1", codecs=(Codec("hdf5.shuffle", {"parameters": [4]}),))
    found = decoder_for(layout).decode("k", bytes([0, 4, 1, 5, 2, 6, 3, 7, 8, 9, 10]), (11,))
    assert found.tolist() == list(range(11))


def block(shape: tuple[int, ...], fill: int) -> bytes:
    return BlockHeader(shape).to_bytes() + np.full(shape, fill, ">u2").tobytes()


def test_blocks_of_n5_say_themselves_how_large_they_are() -> None:
    decoder = decoder_for(ChunkLayout(chunks=CHUNK, dtype=">u2", codecs=(Codec("n5.block"),), edges="own"))
    padded = decoder.decode("k", block(CHUNK, 7), (2, 3, 4))
    assert (padded[:2, :3, :4] == 7).all()
    cut = decoder.decode("k", block((2, 3, 4), 7), (2, 3, 4))
    assert cut.shape == (2, 3, 4)
    grown = decoder.decode("k", block((2, 6, 3), 7), (3, 5, 8))  # written before the dataset grew
    assert grown.shape == (3, 5, 8)
    assert grown.sum() == 7 * 2 * 5 * 3


def test_decoders_pickle_as_their_layout() -> None:
    layout = replace(RAW, codecs=(Codec("transpose", {"order": [2, 1, 0]}), Codec("blosc")))
    decoder = decoder_for(layout, "em/s0")
    assert len(pickle.dumps(decoder)) < 1000
    again = pickle.loads(pickle.dumps(decoder))  # noqa: S301 - ours
    data = packed("blosc", VOXELS.T.tobytes())
    assert np.array_equal(again.decode("k", data, CHUNK), VOXELS)
    assert again == decoder


def decode_some(decoder: Any, data: bytes) -> bool:
    return all(np.array_equal(decoder.decode("k", data, CHUNK), VOXELS) for _ in range(20))


@pytest.mark.parametrize("name", ["gzip", "blosc", "zstd", "lz4", "bz2"])
def test_threads_share_a_decoder(name: str) -> None:
    decoder = decoder_for(replace(RAW, codecs=(Codec(name),)))
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: decode_some(decoder, packed(name)), range(16)))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("name", ["gzip", "blosc", "zstd"])
def test_forked_processes_share_a_decoder(name: str) -> None:
    decoder = decoder_for(replace(RAW, codecs=(Codec(name),)))
    data = packed(name)
    assert decode_some(decoder, data)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(pool.starmap(decode_some, [(decoder, data)] * 4))


def zarray(**members: Json) -> ArrayDescription:
    plain: dict[str, Json] = {"shape": [9], "chunks": [4], "dtype": "<f4", "order": "C", "compressor": None}
    document = write_object({"zarr_format": 2, "filters": None, "fill_value": 0, **plain, **members})
    return parse_zarray("", {".zarray": document})


DELTA: Json = {"name": "numcodecs.delta", "configuration": {"dtype": "<i2"}}
BIG: Json = {"name": "bytes", "configuration": {"endian": "big"}}


def zarr_json(data_type: str, fill: Json, codecs: list[Json] | None = None) -> ArrayDescription:
    bytes_codec: Json = {"name": "bytes", "configuration": {"endian": "little"}}
    grid: Json = {"name": "regular", "configuration": {"chunk_shape": [4, 2]}}
    document = write_object(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [9, 8],
            "data_type": data_type,
            "chunk_grid": grid,
            "chunk_key_encoding": "default",
            "fill_value": fill,
            "codecs": [bytes_codec] if codecs is None else codecs,
        }
    )
    return parse_zarr_json_array("", {"zarr.json": document})


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (zarray(), np.float32(0)),
        (zarray(fill_value=None), np.float32(0)),
        (zarray(fill_value="NaN"), np.float32("nan")),
        (zarray(fill_value="-Infinity"), -np.float32("inf")),
        (zarray(dtype=">i2", fill_value=-7), np.array(-7, ">i2")),
        (zarray(dtype="|b1", fill_value=True), np.bool_(True)),
        (zarray(dtype="<c8", fill_value=[1.5, "NaN"]), np.complex64(complex(1.5, math.nan))),
        (zarray(dtype="|S3", fill_value="YWI="), np.bytes_(b"ab")),
        (zarray(dtype="|S3", fill_value=""), np.bytes_(b"")),
        (zarray(dtype="|S3", fill_value=0), np.bytes_(b"")),
        (zarray(dtype="<U3", fill_value="ab"), np.str_("ab")),
        (zarray(dtype="|V2", fill_value="AQI="), np.void(b"\x01\x02")),
        (zarr_json("float32", "0x7fc00000"), np.float32("nan")),
        (zarr_json("float64", "0xbff0000000000000"), np.float64(-1)),
        (zarr_json("float16", "Infinity"), np.float16("inf")),
        (zarr_json("complex128", ["Infinity", 2]), np.complex128(complex(math.inf, 2))),
        (zarr_json("uint64", (1 << 64) - 1), np.uint64((1 << 64) - 1)),
        (zarr_json("bool", False), np.bool_(False)),
    ],
)
def test_fill_values_as_formats_write_them(array: ArrayDescription, expected: Any) -> None:
    found = fill_voxel(layout_of(array))
    assert found.dtype == np.dtype(layout_of(array).dtype)
    assert np.array_equal(found, expected, equal_nan=found.dtype.kind in "fc")


def test_fill_values_that_were_through_json_come_back() -> None:
    for dtype, value, expected in (("<f4", "NaN", math.nan), ("<c8", ["-Infinity", 1], complex(-math.inf, 1))):
        found = fill_voxel(ChunkLayout(chunks=(1,), dtype=dtype, fill_value=value))  # type: ignore[arg-type]  # JSON
        assert np.array_equal(found, np.array(expected, dtype), equal_nan=True)
    with pytest.raises(FormatError, match="fill value 'much' is none of <f4"):
        fill_voxel(ChunkLayout(chunks=(1,), dtype="<f4", fill_value="much"))


def test_no_fill_value_is_told_apart_from_zero() -> None:
    assert layout_of(zarray(fill_value=None)).fill_value is None
    assert layout_of(zarray()).fill_value == 0


@pytest.mark.parametrize(
    "array",
    [
        zarray(fill_value="nan"),
        zarray(dtype="<u2", fill_value=-1),
        zarray(dtype="<u2", fill_value=1.5),
        zarray(dtype="<u2", fill_value="NaN"),
        zarray(dtype="<c8", fill_value=[1]),
        zarray(dtype="|S3", fill_value="%%%"),
        zarr_json("float32", "0xzz"),
        zarr_json("float32", "0x1ffffffff"),
        zarr_json("float32", [1]),
        zarr_json("uint8", 256),
    ],
)
def test_fill_values_that_are_none(array: ArrayDescription) -> None:
    with pytest.raises(FormatError, match="expected a fill value"):
        layout_of(array)


@pytest.mark.parametrize(
    ("array", "dtype", "codecs"),
    [
        (zarray(), "<f4", []),
        (zarray(order="F"), "<f4", []),
        (zarray(shape=[9, 8], chunks=[4, 2], order="F"), "<f4", ["transpose"]),
        (zarray(filters=[{"id": "shuffle"}], compressor={"id": "zstd"}), "<f4", ["shuffle", "zstd"]),
        (zarr_json("int16", 0), "<i2", []),
        (zarr_json("int16", 0, [{"name": "bytes", "configuration": {"endian": "big"}}]), ">i2", []),
        (zarr_json("uint8", 0, ["bytes", {"name": "numcodecs.lz4"}]), "|u1", ["lz4"]),
        (zarr_json("int16", 0, [DELTA, BIG]), "<i2", ["delta", "bytes"]),
        (zarr_json("int16", 0, [{"name": "transpose", "configuration": {"order": [1, 0]}}, BIG]), ">i2", ["transpose"]),
        (zarr_json("int16", 0, [{"name": "endian", "configuration": {"endian": "big"}}, "crc32c"]), ">i2", ["crc32c"]),
    ],
)
def test_layouts_of_zarr(array: ArrayDescription, dtype: str, codecs: list[str]) -> None:
    layout = layout_of(array)
    assert layout.dtype == dtype
    assert [codec.name for codec in layout.codecs] == codecs
    assert layout.edges == "full"


@pytest.mark.parametrize(
    "array",
    [zarray(dtype="|O"), zarray(dtype=[["a", "<f4"]]), zarr_json("bfloat16", 0), zarr_json("string", "")],
)
def test_voxels_that_are_no_numbers_have_no_layout(array: ArrayDescription) -> None:
    importlib.import_module("tensorstore")  # which teaches numpy more types
    with pytest.raises(NoDecoderError, match="no numbers of a fixed size"):
        layout_of(array)


def test_formats_without_chunks_have_no_layout() -> None:
    with pytest.raises(NoDecoderError, match="chunks of format png"):
        layout_of(ArrayDescription(path="", format="png", shape=(1,), chunks=(1,), dtype="u1"))


def test_layouts_of_files_tell_codecs_of_one_name_apart() -> None:
    array = StoredArray(
        path="", shape=(9, 8), chunks=(4, 8), dtype="<u2", axes=("y", "x"), measures=(None, None), whole=None
    )
    hdf5 = replace(array, codecs=(Codec("lz4", {"id": 32004, "parameters": [], "name": ""}),))
    tiff = replace(array, codecs=(Codec("tiff_bits", {"bits": 12}), Codec("packbits", {"code": 32773})), edges="cut")
    assert [codec.name for codec in layout_of_stored(hdf5).codecs] == ["hdf5.lz4"]
    assert [codec.name for codec in layout_of_stored(tiff).codecs] == ["tiff.bits", "tiff.packbits"]
    assert layout_of_stored(tiff).codecs[1].configuration["segment_bytes"] == 4 * 12
    assert layout_of_stored(array).codecs == ()


@pytest.mark.parametrize("module", ["zarr.layout", "n5.layout", "precomputed.layout", "tiff.layout", "decoding"])
def test_modules_can_be_imported_in_any_order(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import emasync.formats.{module}"], check=True)


def test_predictors_and_orders_of_bits_are_not_for_pictures() -> None:
    steps = (Codec("tiff_predictor", {"code": 2}), Codec("jpeg", {"code": 7}), Codec("tiff_fill_order", {"code": 2}))
    array = StoredArray(
        path="", shape=(8, 8), chunks=(8, 8), dtype="|u1", axes=("y", "x"), measures=(), whole=None, codecs=steps
    )
    assert [codec.name for codec in layout_of_stored(array).codecs] == ["tiff.jpeg"]
