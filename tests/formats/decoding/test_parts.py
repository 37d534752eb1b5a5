"""Chunks of which only some planes are wanted: the same voxels, and nothing unpacked that nobody asked for."""

from __future__ import annotations

import multiprocessing
import random
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numcodecs import Blosc, Zstd

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkDecoder, ChunkLayout
from emasync.formats.decoding import decoder_for
from emasync.formats.stored import Codec

pytest.importorskip("zstandard")

CHUNK = (40, 90, 100)
"""360,000 bytes, or twice as many: several blocks of zstd (128 KiB), and the last one shorter."""

Array = np.ndarray[Any, np.dtype[Any]]


def voxels(dtype: str = "|u1") -> Array:
    noise = np.random.default_rng(5).normal(100, 9, CHUNK)
    return noise.astype(dtype)


def blosc(data: Array, cname: str = "zstd", shuffle: int = 1, blocksize: int = 1 << 17, clevel: int = 1) -> bytes:
    return bytes(Blosc(cname, clevel, shuffle, blocksize).encode(data))


def decoder(name: str, dtype: str = "|u1") -> ChunkDecoder:
    return decoder_for(ChunkLayout(chunks=CHUNK, dtype=dtype, codecs=(Codec(name),)))


PACKED: dict[str, tuple[str, str, Callable[[Array], bytes]]] = {
    "zstd": ("zstd", "|u1", lambda data: bytes(Zstd(1).encode(data))),
    "zstd, checksum": ("zstd", "<u2", lambda data: bytes(Zstd(1, checksum=True).encode(data))),
    "bytes": ("blosc", "|u1", blosc),
    "pairs": ("blosc", "<u2", blosc),
    "pairs as they are": ("blosc", "<u2", lambda data: blosc(data, shuffle=0)),
    "pairs by bits": ("blosc", "<u2", lambda data: blosc(data, shuffle=2)),
    "fours": ("blosc", "<f4", blosc),
    "fours as they are": ("blosc", "<f4", lambda data: blosc(data, shuffle=0)),
    "lz4": ("blosc", "|u1", lambda data: blosc(data, "lz4")),
    "one block": ("blosc", "|u1", lambda data: blosc(data, blocksize=1 << 20)),
    "small blocks": ("blosc", "<u2", lambda data: blosc(data, blocksize=3000)),
    "not packed": ("blosc", "|u1", lambda data: blosc(data, clevel=0)),
}


@pytest.mark.parametrize("kind", PACKED)
def test_planes_are_those_of_the_whole_chunk(kind: str) -> None:
    name, dtype, pack = PACKED[kind]
    data = voxels(dtype)
    packed, decode = pack(data), decoder(name, dtype).decode
    np.testing.assert_array_equal(decode("k", packed, CHUNK), data)

    for first, last in [(0, 1), (0, 14), (0, 40), (13, 15), (14, 29), (29, 40), (39, 40)]:
        out = np.full(CHUNK, 255, dtype)
        found = decode("k", packed, CHUNK, out=out, planes=range(first, last))
        np.testing.assert_array_equal(found[first:last], data[first:last])


def test_random_bytes_that_do_not_become_shorter() -> None:
    data = np.frombuffer(random.Random(3).randbytes(360_000), "|u1").reshape(CHUNK)
    for name, packed in (("blosc", blosc(data)), ("zstd", bytes(Zstd(1).encode(data)))):
        for planes in (None, range(20), range(20, 40)):
            found = decoder(name).decode("k", packed, CHUNK, planes=planes)
            part = slice(None) if planes is None else slice(planes.start, planes.stop)
            np.testing.assert_array_equal(found[part], data[part])


def right(kind: str, seed: int) -> bool:
    """Whether one chunk of many comes out as it was, again and again."""
    name, dtype, pack = PACKED[kind]
    data = np.roll(voxels(dtype), 1000 * seed)
    packed, out = pack(data), np.empty(CHUNK, dtype)
    return all(np.array_equal(decoder(name, dtype).decode("k", packed, CHUNK, out=out), data) for _ in range(5))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("kind", ["zstd", "pairs"])
def test_threads_and_forked_children_unpack_with_memory_of_their_own(kind: str) -> None:
    with ThreadPoolExecutor(4) as pool, multiprocessing.get_context("fork").Pool(2) as children:
        here = [pool.submit(right, kind, seed) for seed in range(8)]
        assert all(children.starmap(right, [(kind, seed) for seed in range(8, 12)]))
        assert all(one.result() for one in here)


def spoilt(kind: str, packed: bytes, block: int) -> bytes:
    """The same with damage in a block that no decoder overlooks."""
    at = len(packed) - 60 if kind.startswith("zstd") else struct.unpack_from("<i", packed, 16 + 4 * block)[0] + 4
    return packed[:at] + bytes(20) + packed[at + 20 :]


@pytest.mark.parametrize(
    ("kind", "block", "wanted"),
    [
        ("zstd, checksum", -1, range(12)),
        ("bytes", 2, range(29)),
        ("pairs", 5, range(36)),
        ("bytes", 0, range(15, 40)),
        ("pairs", 0, range(8, 40)),
    ],
)
def test_what_nobody_wants_is_not_unpacked(kind: str, block: int, wanted: range) -> None:
    name, dtype, pack = PACKED[kind]
    data, decode = voxels(dtype), decoder(name, dtype).decode
    packed = spoilt(kind, pack(data), block)

    found = decode("k", packed, CHUNK, planes=wanted)
    np.testing.assert_array_equal(found[wanted.start : wanted.stop], data[wanted.start : wanted.stop])
    for planes in (None, range(40)):
        with pytest.raises(FormatError):
            decode("k", packed, CHUNK, planes=planes)


@pytest.mark.parametrize("kind", ["zstd", "zstd, checksum"])
def test_a_frame_ends_with_its_chunk(kind: str) -> None:
    name, dtype, pack = PACKED[kind]
    packed, decode = pack(voxels(dtype)), decoder(name, dtype).decode
    for planes in (None, range(3)):
        for stored in (packed + b"x", packed + packed, packed[:-1], packed[:-5]):
            with pytest.raises(FormatError):
                decode("k", stored, CHUNK, planes=planes)


def test_a_checksum_is_compared() -> None:
    name, dtype, pack = PACKED["zstd, checksum"]
    packed = bytearray(pack(voxels(dtype)))
    packed[-1] ^= 1
    with pytest.raises(FormatError):
        decoder(name, dtype).decode("k", bytes(packed), CHUNK)


def broken_headers(packed: bytes) -> dict[str, bytes]:
    """Chunks of three blocks whose header, starts or lengths are other ones."""
    starts = struct.unpack_from("<3i", packed, 16)

    def with_(at: int, *values: int) -> bytes:
        return packed[:at] + struct.pack(f"<{len(values)}i", *values) + packed[at + 4 * len(values) :]

    return {
        "no blocks": with_(8, 0),
        "negative blocks": with_(8, -1),
        "blocks of a byte": with_(8, 1),
        "more blocks than room": with_(8, 4096)[:200],
        "starts behind the end": with_(16, starts[0], len(packed), 1 << 30),
        "starts before the beginning": with_(16, -4, 0, 8),
        "starts in other blocks": with_(16, starts[1], starts[1], starts[2]),
        "a length behind the end": with_(starts[2], 1 << 30),
        "no length": with_(starts[1], 0),
        "a negative length": with_(starts[1], -5),
        "a length that is short": with_(starts[1], 500),
        "starts counted from the end": with_(16, *(start - len(packed) for start in starts)),
        "a byte behind the last frame": _longer(packed, starts[2]),
        "a frame that claims more": packed[: starts[0] + 9] + b"\xff\xff\xff\x7f" + packed[starts[0] + 13 :],
    }


def _longer(packed: bytes, last: int) -> bytes:
    """One byte more, which header and last block count in."""
    size_bytes, block_bytes = struct.unpack_from("<i", packed, 12)[0], struct.unpack_from("<i", packed, last)[0]
    head = packed[:12] + struct.pack("<i", size_bytes + 1) + packed[16:last]
    return head + struct.pack("<i", block_bytes + 1) + packed[last + 4 :] + b"x"


def test_a_byte_that_is_in_no_pair_stays_where_it_is() -> None:
    data = np.random.default_rng(6).normal(100, 9, (41, 91, 101)).astype("|u1")
    flat = data.ravel()
    frame = bytes(Zstd(1).encode(np.concatenate([flat[:-1:2], flat[1::2], flat[-1:]])))
    head = struct.pack("<4B3I2i", 2, 1, 0x91, 2, data.size, data.size, 24 + len(frame), 20, len(frame))
    assert bytes(Blosc().decode(head + frame)) == data.tobytes()

    decode = decoder_for(ChunkLayout(chunks=data.shape, dtype="|u1", codecs=(Codec("blosc"),))).decode
    found = decode("k", head + frame, data.shape, out=np.full(data.shape, 255, "|u1"))
    np.testing.assert_array_equal(found, data)


@pytest.mark.parametrize("kind", ["bytes", "pairs"])
def test_broken_blosc_is_what_the_library_says_it_is(kind: str) -> None:
    name, dtype, pack = PACKED[kind]
    decode, library = decoder(name, dtype).decode, Blosc()
    refused = 0
    for what, stored in broken_headers(pack(voxels(dtype))).items():
        for planes in (None, range(10), range(30, 40)):
            try:
                found = decode("k", stored, CHUNK, planes=planes)
            except FormatError:
                refused += 1
                continue
            if planes is None:
                assert found.tobytes() == bytes(library.decode(stored)), what
    assert refused > 20
