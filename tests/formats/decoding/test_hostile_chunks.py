"""Chunks that are not what they should be: one kind of error, and no more memory than a chunk takes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emasync.errors import ErrorKind, FormatError
from emasync.formats.chunks import ChunkLayout
from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import decoder_for
from emasync.formats.n5.block import BlockHeader
from emasync.formats.stored import Codec

imagecodecs: Any = pytest.importorskip("imagecodecs")

Chunks = dict[str, tuple[Codec, bytes, tuple[int, ...]]]

CHUNK = (8, 16, 32)
PLAIN = (np.arange(4096) % 61).astype("|u1").reshape(CHUNK)
GREY = PLAIN.reshape(64, 64)
SEGMENT = {"samples": 1, "bits": 8, "segment_bytes": 4096}
COLOURS = {"samples": 3, "bits": 8, "segment_bytes": 3 * 4096, "photometric": 2}


def run(module: str, *before: str) -> str:
    """A program of these tests, in a process of its own; lines of code that run before it."""
    code = "; ".join(
        ["import runpy, sys", *before, f"runpy.run_module('tests.formats.decoding.{module}', {{}}, '__main__')"]
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_chunks_that_would_be_larger_than_a_chunk_take_no_memory() -> None:
    refused = run("bombs").split("\n")
    assert len(refused) > 25


def test_without_imagecodecs_common_codecs_work_and_others_name_the_extra() -> None:
    run("without_images", "sys.modules['imagecodecs'] = sys.modules['zstandard'] = None")


def hdf5(name: str) -> tuple[Codec, bytes]:
    """One chunk as h5py writes it."""
    import h5py
    import hdf5plugin

    from emasync.formats.hdf5.filters import codecs_of

    options: dict[str, Callable[[], dict[str, Any]]] = {
        "bitshuffle-lz4": lambda: dict(hdf5plugin.Bitshuffle()),
        "bitshuffle-zstd": lambda: dict(hdf5plugin.Bitshuffle(cname="zstd")),
        "blosc2": lambda: dict(hdf5plugin.Blosc2()),
        "szip": lambda: {"compression": "szip"},
        "scaleoffset": lambda: {"scaleoffset": 0},
        "fletcher32": lambda: {"fletcher32": True},
    }
    with h5py.File("none", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("a", data=PLAIN, chunks=CHUNK, **options[name]())
        (codec,) = codecs_of(dataset.id.get_create_plist())
        file.flush()
        return Codec(f"hdf5.{codec.name}", codec.configuration), dataset.id.read_direct_chunk((0, 0, 0))[1]


def good_chunks() -> Chunks:
    from numcodecs import CRC32C, LZ4, Blosc, Zstd

    raw = PLAIN.tobytes()
    rgb = np.stack([GREY] * 3, axis=-1)
    cases = {
        "gzip": (Codec("gzip"), gzip.compress(raw)),
        "zlib": (Codec("zlib"), zlib.compress(raw)),
        "bz2": (Codec("bz2"), bz2.compress(raw)),
        "lzma": (Codec("lzma"), lzma.compress(raw)),
        "zstd": (Codec("zstd"), Zstd(checksum=True).encode(raw)),
        "lz4": (Codec("lz4"), LZ4().encode(raw)),
        "blosc-lz4": (Codec("blosc"), Blosc("lz4").encode(raw)),
        "blosc-zstd": (Codec("blosc"), Blosc("zstd", shuffle=2).encode(raw)),
        "crc32c": (Codec("crc32c"), bytes(CRC32C().encode(raw))),
        "hdf5.lzf": (Codec("hdf5.lzf"), imagecodecs.lzf_encode(raw, header=False)),
        "hdf5.lz4": (Codec("hdf5.lz4"), imagecodecs.lz4h5_encode(raw)),
        "tiff.lzw": (Codec("tiff.lzw", SEGMENT), imagecodecs.lzw_encode(raw)),
        "tiff.packbits": (Codec("tiff.packbits", SEGMENT), imagecodecs.packbits_encode(raw)),
        "precomputed.jpeg": (Codec("precomputed.jpeg"), imagecodecs.jpeg8_encode(GREY)),
        "precomputed.png": (Codec("precomputed.png"), imagecodecs.png_encode(GREY)),
        "precomputed.jxl": (Codec("precomputed.jxl"), imagecodecs.jpegxl_encode(PLAIN.reshape(128, 32))),
        "tiff.jpeg2k": (Codec("tiff.jpeg2k", SEGMENT), imagecodecs.jpeg2k_encode(PLAIN.reshape(128, 32), level=0)),
        "tiff.lerc": (Codec("tiff.lerc", SEGMENT), imagecodecs.lerc_encode(PLAIN.reshape(128, 32))),
    }
    found: Chunks = {name: (codec, data, CHUNK) for name, (codec, data) in cases.items()}
    found["tiff.jpeg"] = Codec("tiff.jpeg", COLOURS), imagecodecs.jpeg8_encode(rgb), (64, 64, 3)
    found["tiff.webp"] = Codec("tiff.webp", COLOURS), imagecodecs.webp_encode(rgb), (64, 64, 3)
    for name in ("bitshuffle-lz4", "bitshuffle-zstd", "blosc2", "szip", "scaleoffset", "fletcher32"):
        found[f"hdf5.{name}"] = (*hdf5(name), CHUNK)
    return found


@pytest.fixture(scope="module")
def chunks() -> Chunks:
    return good_chunks()


def damaged(data: bytes, seed: int) -> bytes:
    """Cut, prolonged, with other bytes in its header or anywhere, or something else altogether."""
    dice = random.Random(seed)
    found = bytearray(data)
    match seed % 5:
        case 0:
            return bytes(found[: dice.randrange(len(found))])
        case 1:
            return bytes(found + dice.randbytes(40))
        case 2:
            return dice.randbytes(dice.randrange(300))
    for _ in range(dice.randrange(1, 6)):
        end = min(64, len(found)) if seed % 5 == 3 else len(found)
        found[dice.randrange(end)] = dice.choice([0, 127, 128, 255, dice.randrange(256)])
    return bytes(found)


NAMES = [
    *("gzip", "zlib", "bz2", "lzma", "zstd", "lz4", "blosc-lz4", "blosc-zstd", "crc32c", "hdf5.lzf", "hdf5.lz4"),
    *("tiff.lzw", "tiff.packbits", "precomputed.jpeg", "precomputed.png", "precomputed.jxl", "tiff.jpeg2k"),
    *("tiff.lerc", "tiff.jpeg", "tiff.webp", "hdf5.bitshuffle-lz4", "hdf5.bitshuffle-zstd", "hdf5.blosc2"),
    *("hdf5.szip", "hdf5.scaleoffset", "hdf5.fletcher32"),
]
SAY_NOTHING = {"hdf5.scaleoffset", "hdf5.szip", "hdf5.blosc2"}
"""Whose streams may have more or less behind what is wanted."""


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_told_by_one_kind_of_error(chunks: Chunks, name: str) -> None:
    codec, data, shape = chunks[name]
    decoder = decoder_for(ChunkLayout(chunks=shape, dtype="|u1", codecs=(codec,)))
    assert decoder.decode("k", data, shape).shape == shape
    refused: list[FormatError] = []
    for seed in range(150):
        try:
            found = decoder.decode("c/0/1", damaged(data, seed), shape)
        except FormatError as error:
            refused.append(error)
        else:
            assert found.shape == shape
    assert len(refused) > 30
    assert {error.kind for error in refused} == {ErrorKind.FORMAT}
    assert all(error.message.startswith("c/0/1: the chunk cannot be decoded: ") for error in refused)


@pytest.mark.parametrize("name", sorted(set(NAMES) - SAY_NOTHING))
def test_chunks_that_end_early_are_refused(chunks: Chunks, name: str) -> None:
    codec, data, shape = chunks[name]
    decoder = decoder_for(ChunkLayout(chunks=shape, dtype="|u1", codecs=(codec,)))
    for size in {0, 1, len(data) // 3, len(data) // 2, len(data) - 20}:
        with pytest.raises(FormatError):
            decoder.decode("k", data[:size], shape)


@pytest.mark.parametrize("name", ["hdf5.bitshuffle-lz4", "hdf5.bitshuffle-zstd"])
def test_one_byte_behind_the_blocks_is_too_much(chunks: Chunks, name: str) -> None:
    codec, data, shape = chunks[name]
    decoder = decoder_for(ChunkLayout(chunks=shape, dtype="|u1", codecs=(codec,)))
    with pytest.raises(FormatError, match="has 1 bytes behind its bitshuffle blocks, 0 expected"):
        decoder.decode("k", data + b"x", shape)


@pytest.mark.parametrize("name", ["gzip", "zlib", "bz2", "lzma", "zstd", "lz4", "blosc"])
@pytest.mark.parametrize("voxels", [4095, 4097, 9000])
def test_chunks_of_another_size_are_refused(name: str, voxels: int) -> None:
    from numcodecs import get_codec

    decoder = decoder_for(ChunkLayout(chunks=CHUNK, dtype="|u1", codecs=(Codec(name),)))
    data = bytes(get_codec({"id": name}).encode(bytes(voxels)))
    for out in (None, np.empty(CHUNK, "|u1")):
        with pytest.raises(FormatError, match="4096"):
            decoder.decode("k", data, CHUNK, out=out)


def test_a_blosc_header_that_tells_another_length_is_not_followed() -> None:
    """The library would read so far."""
    from numcodecs import Blosc

    data = bytes(Blosc().encode(PLAIN.tobytes()))
    decoder = decoder_for(ChunkLayout(chunks=CHUNK, dtype="|u1", codecs=(Codec("blosc"),)))
    for stored in (data + b"more", data[:-4]):
        with pytest.raises(FormatError, match=f"is a Blosc of {len(data)} bytes, and has {len(stored)}"):
            decoder.decode("k", stored, CHUNK)


def test_raw_chunks_of_another_size_are_refused() -> None:
    decoder = decoder_for(ChunkLayout(chunks=CHUNK, dtype="<u2"))
    with pytest.raises(FormatError, match="has 8191 bytes of voxels, 8192 were expected"):
        decoder.decode("k", bytes(8191), CHUNK)


def test_a_checksum_that_is_another() -> None:
    from numcodecs import CRC32, Adler32

    for name, codec in (("crc32", CRC32()), ("adler32", Adler32()), ("crc32", CRC32("end"))):
        location = codec.location
        data = bytearray(codec.encode(PLAIN.tobytes()))
        decoder = decoder_for(ChunkLayout(chunks=CHUNK, dtype="|u1", codecs=(Codec(name, {"location": location}),)))
        assert np.array_equal(decoder.decode("k", bytes(data), CHUNK), PLAIN)
        data[2000] ^= 1
        with pytest.raises(FormatError, match="has the checksum"):
            decoder.decode("k", bytes(data), CHUNK)


@pytest.mark.parametrize(
    ("codec", "problem"),
    [
        (Codec("pickle"), "nothing here undoes codec pickle"),
        (Codec("json2"), "nothing here undoes codec json2"),
        (Codec("vlen-utf8"), "nothing here undoes codec vlen-utf8"),
        (Codec("sharding_indexed", {"chunk_shape": [1]}), "nothing here undoes codec sharding_indexed"),
        (Codec("hdf5.zfp", {"id": 32013}), "nothing here undoes codec hdf5.zfp"),
        (Codec("tiff.ojpeg"), "nothing here undoes codec tiff.ojpeg"),
        (Codec("a\x1b[31m"), r"nothing here undoes codec a%1B\[31m"),
        (Codec("delta", {"dtype": "|O"}), "codec delta speaks of items of type '|O'"),
        (Codec("delta"), "codec delta speaks of items of type None"),
        (Codec("astype", {"decode_dtype": "<f4", "encode_dtype": "<M8[lightyear]"}), "codec astype speaks of items"),
        (Codec("shuffle", {"elementsize": -1}), "codec shuffle has -1"),
        (Codec("transpose", {"order": [0, 0, 1]}), r"moves axes \[0, 0, 1\]"),
        (Codec("transpose"), "codec transpose has no order"),
        (Codec("crc32", {"location": "middle"}), "codec crc32 has its checksum at 'middle'"),
        (Codec("lzma", {"format": 3}), "codec lzma has streams of format 3"),
        (Codec("hdf5.bitshuffle", {"parameters": [0, 0, 4, 0, 9]}), "compresses its blocks with number 9"),
        (Codec("hdf5.bitshuffle", {"parameters": [0, 0]}), "of which 3 were expected"),
        (Codec("hdf5.nbit", {"parameters": [8, 0]}), "packs numbers of fewer bits"),
        (Codec("hdf5.scaleoffset", {"parameters": [1] * 20}), "has method 1"),
        (Codec("tiff.predictor", {"code": 34892, "samples": 1, "bits": 8}), "codec tiff.predictor has number 34892"),
        (Codec("tiff.predictor", {"code": 3, "samples": 1, "bits": 8}), "is for floats"),
        (Codec("precomputed.compressed_segmentation", {"block": [8, 8, 8]}), "is for labels of 32 and 64 bits"),
        (Codec("precomputed.compressed_segmentation", {"block": [1 << 20] * 3}), "has blocks of"),
    ],
    ids=lambda value: value.name.encode("ascii", "backslashreplace").decode() if isinstance(value, Codec) else "",
)
def test_what_cannot_be_decoded_is_told_before_a_chunk_is_read(codec: Codec, problem: str) -> None:
    with pytest.raises(NoDecoderError, match=problem) as refused:
        decoder_for(ChunkLayout(chunks=CHUNK, dtype="|u1", codecs=(codec,)), "em/s0")
    assert refused.value.message.startswith("em/s0: ")
    assert refused.value.kind is ErrorKind.NOT_BUILT


@pytest.mark.parametrize("dtype", ["|O", "bfloat16", "|V0", "no type", "i2,f4", "(2,3)f4", "<i2[", "string", "T"])
def test_voxels_that_are_no_numbers_are_told_too(dtype: str) -> None:
    with pytest.raises(NoDecoderError, match="voxels of type"):
        decoder_for(ChunkLayout(chunks=CHUNK, dtype=dtype))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "less than its header"),
        (BlockHeader((9, 16, 32)).to_bytes() + bytes(9 * 512), "in a dataset with blocks of"),
        (BlockHeader((2, 3)).to_bytes() + bytes(64), "2 axes in a dataset of 3"),
        (b"\0\1" + BlockHeader((2, 3, 4)).to_bytes()[2:], "mode 1"),
        (BlockHeader((2, 3, 4)).to_bytes() + bytes(23), "has 23 bytes of voxels, 24 were expected"),
    ],
)
def test_blocks_of_n5_with_broken_headers(data: bytes, problem: str) -> None:
    decoder = decoder_for(ChunkLayout(chunks=CHUNK, dtype="|u1", codecs=(Codec("n5.block"),), edges="own"))
    with pytest.raises(FormatError, match=problem):
        decoder.decode("0/0/0", data, CHUNK)


@pytest.mark.parametrize(
    "words",
    [
        [],
        [5],
        [1, 0],
        [1, 3 << 24, 0],
        [1, 0xFFFFFF, 0],
        [1, 8 << 24 | 2, 0xFFFFFFFF],
        [1, 32 << 24 | 2, 2, *[0xFFFFFFFF] * 99],
        [1, 3 << 24 | 2, 2, *[0] * 99],
        [1, 64 << 24 | 2, 2, *[0] * 99],
    ],
)
def test_segments_that_point_outside_of_their_chunk(words: list[int]) -> None:
    codec = Codec("precomputed.compressed_segmentation", {"block": [4, 4, 4]})
    decoder = decoder_for(ChunkLayout(chunks=(4, 4, 4), dtype="<u4", codecs=(codec,), edges="cut"))
    with pytest.raises(FormatError, match="it is damaged"):
        decoder.decode("k", np.array(words, "<u4").tobytes(), (4, 4, 4))
