"""What tifffile writes is what comes out of strips and tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import FileBytes, of_file, voxels

from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import decoder_for
from emasync.formats.json_document import JsonObject
from emasync.formats.stored import Codec
from emasync.formats.tiff.format import TiffFormat

tifffile: Any = pytest.importorskip("tifffile")


def tiff_cases() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    for compression in (None, "zlib", "lzw", "packbits", "zstd", "lzma"):
        for dtype in ("|u1", "<u2", ">u2", ">f4", "<i4"):
            kind: list[bool | int | None] = [None]
            if compression not in (None, "packbits"):
                kind += [3] if dtype[1] == "f" else [2]
            cases += [{"compression": compression, "dtype": dtype, "predictor": number} for number in kind]
    pictures = [(name, "|u1") for name in ("jpeg", "jpeg2000", "webp", "png", "jpegxl")] + [("jpeg2000", ">u2")]
    return [*cases, *({"compression": name, "dtype": dtype, "predictor": None} for name, dtype in pictures)]


@pytest.mark.parametrize("case", tiff_cases(), ids=lambda case: "-".join(str(value) for value in case.values()))
def test_strips_and_tiles_of_grey_and_of_colours(tmp_path: Path, case: dict[str, Any]) -> None:
    grey: dict[str, Any] = {"photometric": "minisblack"}
    colours: dict[str, Any] = {"photometric": "rgb", "planarconfig": "contig"}
    for part in ({"rowsperstrip": 16}, {"tile": (16, 32)}):
        if case["compression"] != "webp":  # which has colours only
            write_and_compare(tmp_path, (2, 41, 50), case, grey | part)
        write_and_compare(tmp_path, (2, 41, 50, 3), case, colours | part)


def write_and_compare(folder: Path, shape: tuple[int, ...], case: dict[str, Any], options: dict[str, Any]) -> None:
    order, dtype = case["dtype"][0].replace("|", "<"), case["dtype"].replace(">", "<")
    packed = {"compression": case["compression"], "predictor": case["predictor"]}
    path = folder / "a.tif"
    tifffile.imwrite(path, voxels(shape, "<f4").astype(dtype), byteorder=order, metadata=None, **packed, **options)
    compare_tiff(path)


def test_jpeg_whose_tables_are_in_the_directory(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.tif"
    for shape in ((70, 50), (70, 50, 3)):
        image.fromarray(voxels(shape, "|u1")).save(path, compression="jpeg")
        (array,) = TiffFormat().describe(FileBytes(path)).arrays
        assert "tables" in array.codecs[0].configuration
        compare_tiff(path)


def test_jpeg_of_colours_that_were_not_turned() -> None:
    """As slide scanners write them: the file says RGB, and the JPEG does not say."""
    imagecodecs: Any = pytest.importorskip("imagecodecs")
    colours = np.kron(np.random.default_rng(0).integers(0, 256, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    told = imagecodecs.jpeg8_encode(colours, level=100, colorspace="RGB", outcolorspace="RGB")
    at = told.index(b"\xff\xee")  # the marker of Adobe, and names of the components, which tell
    untold = told[:at] + told[at + 2 + int.from_bytes(told[at + 2 : at + 4], "big") :]
    for name, number in zip(b"RGB", (1, 2, 3), strict=True):
        for kind in (b"\x11\x00", b"\x00"):
            untold = untold.replace(bytes([name]) + kind, bytes([number]) + kind)
    facts: JsonObject = {"samples": 3, "bits": 8, "segment_bytes": colours.size, "photometric": 2}
    layout = ChunkLayout(chunks=colours.shape, dtype="|u1", codecs=(Codec("tiff.jpeg", facts),))
    found = decoder_for(layout).decode("k", untold, colours.shape)
    assert np.abs(found.astype(int) - colours).max() < 5
    with pytest.raises(AssertionError):  # or it proves nothing
        assert np.abs(imagecodecs.jpeg8_decode(untold).astype(int) - colours).max() < 5


def test_differences_of_samples_of_odd_sizes_wrap_at_their_size() -> None:
    """No library here writes them; TIFF 6.0, section 14, has them."""
    facts: JsonObject = {"samples": 1, "bits": 12, "segment_bytes": 6}
    codecs = (Codec("tiff.predictor", {**facts, "code": 2}), Codec("tiff.bits", facts))
    layout = ChunkLayout(chunks=(1, 4), dtype="<u2", codecs=codecs)
    found = decoder_for(layout).decode("k", bytes.fromhex("fff002ffd001"), (1, 4))
    assert found.tolist() == [[0xFFF, 0x001, 0xFFE, 0xFFF]]


def test_a_last_strip_that_was_filled_up(tmp_path: Path) -> None:
    """Some writers compress as many rows as other strips have."""
    path = tmp_path / "a.tif"
    for compression in ("zlib", "lzw", "png"):
        tifffile.imwrite(path, voxels((32, 20), "|u1"), rowsperstrip=16, compression=compression, metadata=None)
        data = bytearray(path.read_bytes())
        at = data.index((257).to_bytes(2, "little"))  # ImageLength: the page ends within its last strip
        data[at + 8 : at + 10] = (21).to_bytes(2, "little")
        path.write_bytes(data)
        (array,) = TiffFormat().describe(FileBytes(path)).arrays
        assert array.shape == (21, 20)
        assert np.array_equal(of_file(path, array), voxels((32, 20), "|u1")[:21])


def compare_tiff(path: Path) -> None:
    (array,) = TiffFormat().describe(FileBytes(path)).arrays
    with tifffile.TiffFile(path) as file:
        expected = file.asarray()
    assert np.array_equal(of_file(path, array), expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 12, 14, 24, 31])
def test_samples_of_odd_sizes(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.tif"
    dtype = "u1" if bits <= 8 else "u2" if bits <= 16 else "u4"
    pages = np.random.default_rng(bits).integers(0, 1 << bits, (2, 19, 13)).astype(dtype)
    tifffile.imwrite(path, pages, bitspersample=bits, metadata=None)
    compare_tiff(path)


@pytest.mark.parametrize("dtype", ["|u1", "<u2"])
def test_planes_apart_and_bits_reversed(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.tif"
    pages = voxels((3, 41, 50), dtype)
    for compression in (None, "lzw"):
        tifffile.imwrite(
            path, pages, photometric="rgb", planarconfig="separate", compression=compression, metadata=None
        )
        compare_tiff(path)
        with tifffile.TiffFile(path) as file:
            (series,) = file.series
            stretches = list(zip(series[0].dataoffsets, series[0].databytecounts, strict=True))
        reverse_bits(path, stretches)
        compare_tiff(path)


def reverse_bits(path: Path, stretches: list[tuple[int, int]]) -> None:
    """Say ``FillOrder`` 2 in the place of a field that nobody needs, and make it so."""
    data = bytearray(path.read_bytes())
    for start, size in stretches:
        data[start : start + size] = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data[start : start + size])
    at = data.index((296).to_bytes(2, "little") + (3).to_bytes(2, "little"))  # ResolutionUnit
    data[at : at + 12] = b"".join(size.to_bytes(width, "little") for size, width in ((266, 2), (3, 2), (1, 4), (2, 4)))
    path.write_bytes(data)
