"""Run as a program where imagecodecs cannot be imported: what is decoded all the same. Fails with what is not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib

import numpy as np
import pytest
from numcodecs import LZ4, Blosc, Zstd

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkLayout
from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import decoder_for
from emasync.formats.json_document import JsonObject
from emasync.formats.stored import Codec

VOXELS = (np.arange(20 * 30) % 7).astype("<u2").reshape(20, 30)
PLAIN = VOXELS.tobytes()


def lz4_stream() -> bytes:
    packed = LZ4().encode(PLAIN)[4:]
    blocks = [(0x20, packed, len(PLAIN)), (0x10, b"", 0)]
    return b"".join(struct.pack("<8sBiiI", b"LZ4Block", kind, len(data), size, 0) + data for kind, data, size in blocks)


CASES = {
    "gzip": gzip.compress(PLAIN),
    "zlib": zlib.compress(PLAIN),
    "bz2": bz2.compress(PLAIN),
    "lzma": lzma.compress(PLAIN),
    "zstd": Zstd().encode(PLAIN),
    "blosc": Blosc().encode(PLAIN),
    "lz4": LZ4().encode(PLAIN),
    "n5.lz4": lz4_stream(),
}
MISSING = ["tiff.lzw", "tiff.jpeg", "precomputed.jpeg", "precomputed.png", "hdf5.lzf", "hdf5.szip", "hdf5.bitshuffle"]
SAMPLES: JsonObject = {"samples": 1, "bits": 16, "segment_bytes": 1200, "parameters": [0, 0, 2, 0, 2], "code": 7}


def main() -> None:
    for name, data in CASES.items():
        decoder = decoder_for(ChunkLayout(chunks=VOXELS.shape, dtype="<u2", codecs=(Codec(name),)))
        assert np.array_equal(decoder.decode("k", data, VOXELS.shape), VOXELS), name
        for broken in (data[:-3], data[: len(data) // 2], b"", data[:2] + b"\xff" * len(data)):
            with pytest.raises(FormatError):
                decoder.decode("k", broken, VOXELS.shape)
    for name in MISSING:
        with pytest.raises(NoDecoderError, match=rf"codec {name} .*emasync\[images\]"):
            decoder_for(ChunkLayout(chunks=VOXELS.shape, dtype="<u2", codecs=(Codec(name, SAMPLES),)))
    odd = ChunkLayout(chunks=(2, 3), dtype="<u2", codecs=(Codec("tiff.bits", {"bits": 12, "samples": 1}),))
    found = decoder_for(odd).decode("k", bytes.fromhex("001002003f" + "ffeffdf00f"), (2, 3))
    assert found.tolist() == [[1, 2, 3], [0xFFE, 0xFFD, 0xF00]], found


if __name__ == "__main__":
    main()
