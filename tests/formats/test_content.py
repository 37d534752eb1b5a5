"""Whether chunks hold data: written by other people's codecs, damaged, and claiming sizes that they do not have."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from numcodecs import LZ4, Blosc, Delta, Shuffle, Zstd

from emasync.errors import ErrorKind, FormatError
from emasync.formats.compression import decompress
from emasync.formats.content import ChunkBytes, ContentTest, NoDecoderError
from emasync.formats.interface import ArrayDescription
from emasync.formats.precomputed.format import PrecomputedFormat
from emasync.formats.zarr import ZarrFormat
from emasync.formats.zarr.array import parse_zarr_json_array, parse_zarray
from emasync.testing.precomputed import ScaleOnDisk, write_precomputed

imagecodecs = pytest.importorskip("imagecodecs")
zarr_codecs = zarr.codecs

Volume = npt.NDArray[Any]
SHAPE = (4, 6, 8)


def voxels(*, at: int | None = None, dtype: str = "<u2", fill: float = 0) -> Volume:
    """All fill, but for one voxel."""
    made = np.full(SHAPE, fill, dtype)
    if at is not None:
        made.reshape(-1)[at] = 5
    return made


# --- decompression ----------------------------------------------------------------------------------------------------

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lzma.compress,
    "zstd": Zstd().encode,
    "blosc": Blosc().encode,
    "lz4": LZ4().encode,
}
PLAIN = bytes(range(256)) * 8


@pytest.mark.parametrize("codec", PACK)
def test_what_was_packed_comes_back(codec: str) -> None:
    assert decompress(codec, bytes(PACK[codec](PLAIN)), len(PLAIN)) == PLAIN


@pytest.mark.parametrize("codec", PACK)
def test_nothing_grows_beyond_what_was_asked_for(codec: str) -> None:
    """Law 14: a megabyte of zeros in a kilobyte."""
    bomb = bytes(PACK[codec](bytes(1 << 20)))
    with pytest.raises(ValueError, match="more than 1000 bytes|longer than 1000 bytes"):  # noqa: RUF043 - a choice
        decompress(codec, bomb, 1000)


@pytest.mark.parametrize("codec", PACK)
def test_what_is_cut_off_or_something_else_is_refused(codec: str) -> None:
    packed = bytes(PACK[codec](np.random.default_rng(1).bytes(5000)))
    for data in (packed[:-20], b"something else entirely"):
        with pytest.raises(ValueError, match=codec if codec in ("zstd", "blosc", "lz4") else "is no |ends early"):
            decompress(codec, data, 5000)


def test_several_members_are_one_stream() -> None:
    assert decompress("gzip", gzip.compress(b"one") + gzip.compress(b"two"), 6) == b"onetwo"


def test_a_header_that_claims_terabytes_takes_no_memory() -> None:
    claims = bytes([0x28, 0xB5, 0x2F, 0xFD, 0xE0]) + struct.pack("<Q", 1 << 45) + b"\x01\x00\x00"
    with pytest.raises(ValueError, match="zstd, or longer than 100 bytes"):
        decompress("zstd", claims, 100)


# --- zarr -------------------------------------------------------------------------------------------------------------


def described(folder: Path) -> ArrayDescription:
    documents = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return parse_zarray("", documents) if ".zarray" in documents else parse_zarr_json_array("", documents)


def looked_into(folder: Path, chunk: str, shape: tuple[int, ...] = SHAPE) -> bool:
    array = described(folder)
    test: ContentTest = ZarrFormat().content_test(array, array.documents)
    return test(ChunkBytes(chunk, shape, (folder / chunk).read_bytes()))


CHAINS_2: dict[str, dict[str, Any]] = {
    "nothing": {"compressors": None},
    "zstd": {"compressors": Zstd()},
    "blosc": {"compressors": Blosc()},
    "lz4": {"compressors": LZ4()},
    "fortran": {"order": "F"},
    "delta": {"filters": [Delta("<u2")]},
    "delta to a wider type": {"filters": [Delta("<u2", astype="<i8")]},
    "shuffle": {"filters": [Shuffle(2)]},
    "fill 7": {"fill_value": 7},
    "big endian": {"dtype": ">u2", "fill_value": 7},
    "float, fill NaN": {"dtype": "<f4", "fill_value": "NaN"},
    "no fill value": {"fill_value": None},
}


@pytest.mark.parametrize("how", CHAINS_2.values(), ids=CHAINS_2)
def test_chunks_of_zarr_2(tmp_path: Path, how: dict[str, Any]) -> None:
    options = {"dtype": "<u2", "fill_value": 0, **how}
    fill = float("nan") if options["fill_value"] == "NaN" else options["fill_value"] or 0
    options["fill_value"] = None if options["fill_value"] is None else fill
    for name, at in (("empty", None), ("data", 100)):
        store = zarr.create_array(
            tmp_path / name, shape=SHAPE, chunks=SHAPE, zarr_format=2, config={"write_empty_chunks": True}, **options
        )
        store[...] = voxels(at=at, dtype=options["dtype"], fill=fill)
        assert looked_into(tmp_path / name, "0.0.0") is (at is not None)


CHAINS_3: dict[str, dict[str, Any]] = {
    "recommended": {},
    "gzip": {"compressors": zarr_codecs.GzipCodec()},
    "blosc": {"compressors": zarr_codecs.BloscCodec()},
    "checksum": {"compressors": [zarr_codecs.ZstdCodec(), zarr_codecs.Crc32cCodec()]},
    "transposed": {"filters": zarr_codecs.TransposeCodec(order=(2, 0, 1))},
    "big endian": {"serializer": zarr_codecs.BytesCodec(endian="big"), "fill_value": 7},
    "bool": {"dtype": "bool"},
    "float": {"dtype": "float64", "fill_value": float("nan")},
}


@pytest.mark.parametrize("how", CHAINS_3.values(), ids=CHAINS_3)
def test_chunks_of_zarr_3(tmp_path: Path, how: dict[str, Any]) -> None:
    options = {"dtype": "uint16", "fill_value": 0, **how}
    for name, at in (("empty", None), ("data", 100)):
        store = zarr.create_array(
            tmp_path / name, shape=SHAPE, chunks=SHAPE, config={"write_empty_chunks": True}, **options
        )
        store[...] = voxels(at=at, dtype=options["dtype"], fill=options["fill_value"])
        assert looked_into(tmp_path / name, "c/0/0/0") is (at is not None)


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"compressor": {"id": "zfpy"}}, "codec zfpy"),
        ({"filters": [{"id": "fixedscaleoffset"}]}, "codec fixedscaleoffset"),
        ({"filters": [{"id": "vlen-utf8"}], "dtype": "|O"}, r"voxels of type \|O"),
        ({"dtype": [["a", "<i2"]]}, "voxels of type"),
        ({"dtype": "<i3"}, "voxels of type <i3"),
    ],
)
def test_what_is_not_decoded_is_named(metadata: dict[str, Any], says: str) -> None:
    base = {"zarr_format": 2, "shape": [8], "chunks": [8], "dtype": "<u2", "compressor": None, "fill_value": 0}
    document = json.dumps({**base, "filters": None, "order": "C", **metadata}).encode()
    array = parse_zarray("", {".zarray": document})
    with pytest.raises(NoDecoderError, match=says) as failure:
        ZarrFormat().content_test(array, array.documents)
    assert failure.value.kind == ErrorKind.NOT_BUILT


@pytest.mark.parametrize("data", [b"", bytes(100), Zstd().encode(bytes(10_000)), Zstd().encode(bytes(384))[:-4]])
def test_a_chunk_that_is_damaged(data: bytes) -> None:
    document = {"zarr_format": 2, "shape": [8], "chunks": [8], "dtype": "<u2", "fill_value": 0, "order": "C"}
    array = parse_zarray("", {".zarray": json.dumps({**document, "compressor": {"id": "zstd"}}).encode()})
    test = ZarrFormat().content_test(array, array.documents)
    with pytest.raises(FormatError, match=r"a\.zarr/0: the chunk .* it is damaged"):
        test(ChunkBytes("a.zarr/0", SHAPE, bytes(data)))


# --- precomputed ------------------------------------------------------------------------------------------------------


def volume_test(folder: Path) -> tuple[ContentTest, bytes]:
    """The test of the one scale of a volume, and its one chunk."""
    walk = PrecomputedFormat().walk()
    (need,) = walk.needs()
    walk.feed(need, (folder / "info").read_bytes())
    (image,) = walk.found()
    (chunk,) = (folder / "8").iterdir()
    array = image.levels[0].array  # type: ignore[union-attr]  # an image
    return PrecomputedFormat().content_test(array, image.documents), chunk.read_bytes()


def written(folder: Path, at: int | None, encoding: str, dtype: str, channels: int = 1) -> tuple[ContentTest, bytes]:
    """One chunk with one voxel, or with one voxel that was overwritten: writers leave empty chunks out."""
    made = voxels(at=at if at is not None else 0, dtype=dtype)
    if channels > 1:
        made = np.stack([made * 0] * (channels - 1) + [made], axis=-1)
    write_precomputed(
        folder,
        [ScaleOnDisk(voxels=made, key="8", chunk=SHAPE, encoding=encoding)],
        kind="segmentation" if encoding == "compressed_segmentation" else "image",
    )
    return volume_test(folder)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [("raw", "float32", 1), ("raw", "uint8", 3), ("png", "uint16", 1), ("png", "uint8", 3), ("jpeg", "uint8", 1)],
)
def test_chunks_of_precomputed_volumes(tmp_path: Path, encoding: str, dtype: str, channels: int) -> None:
    if encoding == "jpeg":
        made = np.full(SHAPE, 90, dtype)
        write_precomputed(tmp_path, [ScaleOnDisk(voxels=made, key="8", chunk=SHAPE, encoding=encoding)])
        test, data = volume_test(tmp_path)
    else:
        test, data = written(tmp_path, 100, encoding, dtype, channels)
    shape = (channels, *SHAPE) if channels > 1 else SHAPE
    assert test(ChunkBytes("8/0", shape, data))
    rows, columns = SHAPE[0] * SHAPE[1], SHAPE[2]
    flat = np.zeros((rows, columns, channels) if channels > 1 else (rows, columns), dtype)
    pack = {"raw": np.ndarray.tobytes, "png": imagecodecs.png_encode, "jpeg": imagecodecs.jpeg8_encode}[encoding]
    nothing = pack(flat)
    assert not test(ChunkBytes("8/0", shape, nothing))


@pytest.mark.parametrize("quality", [1, 10, 30, 50, 60, 70, 75, 80, 85, 90, 95, 100])
def test_black_is_no_data_at_any_quality(tmp_path: Path, quality: int) -> None:
    """Lossy: black comes back as 0 or 1, and one grey level of an empty chunk is no specimen."""
    test, _ = written(tmp_path, 100, "jpeg", "uint8")
    black = np.zeros((24, 8), np.uint8)
    assert not test(ChunkBytes("8/0", SHAPE, imagecodecs.jpeg8_encode(black, level=quality)))
    black[8:16] = 200
    assert test(ChunkBytes("8/0", SHAPE, imagecodecs.jpeg8_encode(black, level=quality)))


def test_images_may_run_over_x_and_y_in_one_row(tmp_path: Path) -> None:
    test, _ = written(tmp_path, 100, "jpeg", "uint8")
    assert test(ChunkBytes("8/0", SHAPE, imagecodecs.jpeg8_encode(np.full((4, 48), 90, np.uint8))))


def test_jpeg_xl(tmp_path: Path) -> None:
    """TensorStore writes none: info says what the bytes of another writer are."""
    written(tmp_path, 100, "raw", "uint8")
    info = json.loads((tmp_path / "info").read_bytes())
    info["scales"][0]["encoding"] = "jxl"
    (tmp_path / "info").write_text(json.dumps(info))
    test, _ = volume_test(tmp_path)
    black = np.zeros((24, 8), np.uint8)
    for distance in (0.1, 1, 8, 25):
        assert not test(ChunkBytes("8/0", SHAPE, imagecodecs.jpegxl_encode(black, distance=distance)))
    assert test(ChunkBytes("8/0", SHAPE, imagecodecs.jpegxl_encode(black + 90)))


def test_a_decoder_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # as the import system has it where there is none
    with pytest.raises(NoDecoderError, match=r"codec precomputed.jpeg .* pip install 'emasync\[images\]'"):
        written(tmp_path, 100, "jpeg", "uint8")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", np.zeros((24, 8), np.uint8).tobytes()])
def test_an_image_that_is_none(tmp_path: Path, data: bytes) -> None:
    test, _ = written(tmp_path, 100, "jpeg", "uint8")
    with pytest.raises(FormatError, match="8/0: the chunk cannot be decoded: "):
        test(ChunkBytes("8/0", SHAPE, data))


def test_an_image_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    test, _ = written(tmp_path, 100, "jpeg", "uint8")
    large = imagecodecs.jpeg8_encode(np.zeros((4000, 4000), np.uint8))
    with pytest.raises(FormatError, match="is a picture of 4000 x 4000, 192 voxels expected"):
        test(ChunkBytes("8/0", SHAPE, large))


@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
def test_labels(tmp_path: Path, dtype: str) -> None:
    """TensorStore writes the blocks; of an empty chunk there is one label in each, which is zero."""
    test, data = written(tmp_path, 100, "compressed_segmentation", dtype)
    assert test(ChunkBytes("8/0", SHAPE, data))
    made = np.full(SHAPE, 3 << 20 if dtype == "uint32" else 3 << 40, dtype)
    write_precomputed(
        tmp_path / "one",
        [ScaleOnDisk(voxels=made, key="8", chunk=SHAPE, encoding="compressed_segmentation")],
        kind="segmentation",
    )
    test, data = volume_test(tmp_path / "one")
    assert test(ChunkBytes("8/0", SHAPE, data)), "one label, and not zero"
    words = len(data) // 4
    header = struct.unpack_from("<I", data, 4)[0] & 0xFFFFFF
    nothing = bytearray(data)
    nothing[4 * (1 + header) :] = bytes(4 * (words - 1 - header))
    assert not test(ChunkBytes("8/0", SHAPE, bytes(nothing)))


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff" * 16, struct.pack("<3I", 1, 0xFFFFFF, 0), struct.pack("<I", 1)])
def test_labels_that_are_none(tmp_path: Path, data: bytes) -> None:
    test, _ = written(tmp_path, 100, "compressed_segmentation", "uint64")
    with pytest.raises(FormatError, match="it is damaged"):
        test(ChunkBytes("8/0", SHAPE, data))


def test_encodings_that_nothing_undoes_are_named(tmp_path: Path) -> None:
    written(tmp_path, 100, "raw", "uint8")
    info = json.loads((tmp_path / "info").read_bytes())
    info["scales"][0]["encoding"] = "fpzip"
    (tmp_path / "info").write_text(json.dumps(info))
    with pytest.raises(NoDecoderError, match=r"codec precomputed\.fpzip"):
        volume_test(tmp_path)
