"""What numcodecs wrote over the years, codec by codec, decoded to the arrays that it was given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import decoder_for
from emasync.formats.stored import Codec

CODECS = ["blosc", "bz2", "crc32c", "delta", "gzip", "lz4", "shuffle", "zlib", "zstd"]
CASES = {
    "blosc": 169,
    "bz2": 52,
    "crc32c": 13,
    "delta": 5,
    "gzip": 78,
    "lz4": 91,
    "shuffle": 52,
    "zlib": 78,
    "zstd": 130,
}


@pytest.mark.parametrize("name", CODECS)
def test_chunks_of_numcodecs_are_decoded(fixtures_folder: Path, name: str) -> None:
    folder = fixtures_folder / "codec_vectors" / "numcodecs_fixture" / name
    compared = 0
    for config in sorted(folder.glob("**/codec.*/config.json")):
        configuration = json.loads(config.read_bytes())
        codec = Codec(configuration.pop("id"), configuration)
        for encoded in sorted(config.parent.glob("encoded.*.dat")):
            array = np.load(config.parent.parent / encoded.name.replace("encoded", "array").replace("dat", "npy"))
            # the library flattens arrays in the order of their memory
            flat = array.reshape(-1, order="A")
            layout = ChunkLayout(chunks=flat.shape, dtype=flat.dtype.str, codecs=(codec,))
            out = np.empty(flat.shape, flat.dtype)
            found = decoder_for(layout).decode(encoded.name, encoded.read_bytes(), flat.shape, out=out)
            assert found.tobytes() == flat.tobytes(), encoded
            compared += 1
    assert compared == CASES[name]
