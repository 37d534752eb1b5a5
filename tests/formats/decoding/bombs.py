"""Run as a program: chunks that claim to be much larger than a chunk, where there is no room for what they claim.

Prints the names of all that were refused; fails on the first that was not.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import resource
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import LZ4, Blosc, Zstd

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import decoder_for
from emasync.formats.json_document import JsonObject
from emasync.formats.stored import Codec

imagecodecs: Any = importlib.import_module("imagecodecs")  # which publishes types, but not of what it takes

SIDE = 8_000
CLAIMED_BYTES = SIDE * SIDE
ROOM_BYTES = 32 << 20
CHUNK = (8, 16, 32)
SEGMENT: JsonObject = {"samples": 1, "bits": 8, "segment_bytes": 4096, "code": 7}
PARAMETERS: JsonObject = {"parameters": [0, 0, 1, 0, 2]}


def blosc_header(claimed: int) -> bytes:
    packed: bytes = Blosc().encode(bytes(4096))
    return packed[:4] + struct.pack("<I", claimed) + packed[8:]


def blosc_frame() -> bytes:
    """As long as it should be; the frame inside claims 64 MB."""
    frame: bytes = Zstd().encode(bytes(CLAIMED_BYTES))
    return struct.pack("<4B3I2i", 2, 1, 0x90, 1, 4096, 4096, 24 + len(frame), 20, len(frame)) + frame


def bombs() -> Iterator[tuple[str, Codec, bytes]]:
    zeros = bytes(CLAIMED_BYTES)
    yield "gzip", Codec("gzip"), gzip.compress(zeros, 1)
    yield "zlib", Codec("zlib"), zlib.compress(zeros, 1)
    yield "hdf5.gzip", Codec("hdf5.gzip"), zlib.compress(zeros, 1)
    yield "many members", Codec("gzip"), gzip.compress(bytes(4000)) * 40_000
    yield "bz2", Codec("bz2"), bz2.compress(bytes(1 << 20)) * 60
    yield "lzma", Codec("lzma"), lzma.compress(bytes(1 << 20), preset=0) * 60
    alone = lzma.compress(bytes(4096), format=lzma.FORMAT_ALONE)
    yield "lzma dictionary", Codec("lzma"), alone[:1] + struct.pack("<I", 1 << 30) + alone[5:]
    yield "zstd", Codec("zstd"), Zstd().encode(zeros)
    yield "zstd without a length", Codec("zstd"), Zstd().encode(bytes(1 << 20)) * 60
    yield "blosc", Codec("blosc"), Blosc().encode(zeros)
    yield "blosc header", Codec("blosc"), blosc_header((1 << 31) - 17)
    yield "a frame in a blosc", Codec("blosc"), blosc_frame()
    yield "lz4", Codec("lz4"), LZ4().encode(zeros)
    yield "lz4 header", Codec("lz4"), b"\xff\xff\xff\x7f" + LZ4().encode(bytes(4096))[4:]
    yield "n5.lz4", Codec("n5.lz4"), struct.pack("<8sBiiI", b"LZ4Block", 0x20, 9, 0x7FFFFFFF, 0) + bytes(9)
    yield "hdf5.lz4", Codec("hdf5.lz4"), imagecodecs.lz4h5_encode(zeros)
    yield "hdf5.lz4 header", Codec("hdf5.lz4"), struct.pack(">QI", 1 << 60, 1 << 30) + bytes(99)
    yield "hdf5.lzf", Codec("hdf5.lzf"), imagecodecs.lzf_encode(bytes(1 << 16), header=False)
    yield "hdf5.bitshuffle", Codec("hdf5.bitshuffle", PARAMETERS), struct.pack(">QI", 1 << 60, 1 << 30) + bytes(99)
    blosc2 = bytearray(b"\x9e\xa8b2frame\x00" + bytes(120))
    struct.pack_into(">11xi1xQ6xq1xq", blosc2, 0, 100, len(blosc2), 1 << 60, 20)
    blosc2[:10] = b"\x9e\xa8b2frame\x00"
    yield "hdf5.blosc2", Codec("hdf5.blosc2"), bytes(blosc2)
    yield "tiff.packbits", Codec("tiff.packbits", SEGMENT), imagecodecs.packbits_encode(bytes(1 << 16)) * 1000
    picture = np.zeros((SIDE, SIDE), np.uint8)
    jpeg = imagecodecs.jpeg8_encode(picture)
    yield "jpeg", Codec("precomputed.jpeg"), jpeg
    png = imagecodecs.png_encode(picture, level=1)
    yield "png", Codec("precomputed.png"), png
    yield "jxl", Codec("precomputed.jxl"), imagecodecs.jpegxl_encode(picture, effort=1)
    yield "tiff.jpeg", Codec("tiff.jpeg", SEGMENT), jpeg
    yield "tiff.jpeg2k", Codec("tiff.jpeg2k", SEGMENT), imagecodecs.jpeg2k_encode(picture[:3000], level=0)
    yield "tiff.png", Codec("tiff.png", SEGMENT), png
    yield "tiff.lerc", Codec("tiff.lerc", SEGMENT), imagecodecs.lerc_encode(picture)


def main() -> None:
    made = list(bombs())
    decoders = [decoder_for(ChunkLayout(chunks=CHUNK, dtype="|u1", codecs=(codec,))) for _, codec, _ in made]
    for decoder in decoders:  # what libraries set up for good
        with suppress(FormatError):
            decoder.decode("warm", b"\0" * 64, CHUNK)
    taken_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken_bytes + ROOM_BYTES,) * 2)
    for (name, _, data), decoder in zip(made, decoders, strict=True):
        for planes in (None, range(1)):
            try:
                decoder.decode(name, data, CHUNK, planes=planes)
            except FormatError:
                continue
            raise AssertionError(f"{name} was decoded")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
