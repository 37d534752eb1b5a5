"""TIFF: files of other people's writers read to what tifffile found; archives' stacks to their maps."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.formats.watched import Watched

from emasync.errors import FormatError
from emasync.formats.stored import FileDescription, StoredArray
from emasync.formats.tiff.chain import MAX_ENTRIES
from emasync.formats.tiff.format import TiffFormat
from emasync.testing.epfl import hippocampus
from emasync.testing.idr import u2os
from emasync.testing.imagej import imagej_stack
from emasync.testing.pixels import DriftingVolume
from emasync.testing.sparse import Piece
from emasync.testing.tiff import ArrayPages, itk_stack, strip_stack
from emasync.testing.tiff_directory import ASCII, LONG, SHORT, Entry, TiffForm

FIXTURES = Path(__file__).parents[3] / "shared/fixtures"
FOLDERS = ("bigtiff", "imagej_tiff", "ome_tiff", "tiff_compressed", "tiff_multipage")
FILES = sorted(path for folder in FOLDERS for path in FIXTURES.glob(f"{folder}/*.tif*"))
HOSTILE = sorted(FIXTURES.glob("hostile_tiff/*"))
needs_fixtures = pytest.mark.skipif(not FILES, reason="the folder of real files is not beside the checkout")


def described(data: bytes | Piece) -> FileDescription:
    source = Watched(data)
    assert TiffFormat().recognises(source.read(0, 32))
    return TiffFormat().describe(source)


def only(data: bytes | Piece) -> StoredArray:
    (array,) = described(data).arrays
    return array


def written(pixels: np.ndarray, **how: Any) -> bytes:
    file = BytesIO()
    tifffile.imwrite(file, pixels, **how)
    return file.getvalue()


def places(array: StoredArray) -> list[tuple[int, int]]:
    assert array.table is not None
    grid = tuple(-(-whole // part) for whole, part in zip(array.shape, array.chunks, strict=True))
    assert array.table.starts.shape == array.table.sizes.shape == grid
    return list(zip(array.table.starts.ravel().tolist(), array.table.sizes.ravel().tolist(), strict=True))


def pixels_of(array: StoredArray, data: bytes) -> np.ndarray:
    """The array, read through its table alone."""
    assert not array.codecs
    if array.whole is not None:
        return np.frombuffer(data[array.whole.start : array.whole.stop], array.dtype).reshape(array.shape)
    assert array.table is not None
    found = np.zeros(array.shape, array.dtype)
    for at in np.ndindex(array.table.starts.shape):
        start, size = int(array.table.starts[at]), int(array.table.sizes[at])
        corner = [index * length for index, length in zip(at, array.chunks, strict=True)]
        inside = tuple(
            min(length, whole - low) for length, whole, low in zip(array.chunks, array.shape, corner, strict=True)
        )
        shape = array.chunks if array.edges == "full" else inside
        if size:
            chunk = np.frombuffer(data[start : start + size], array.dtype).reshape(shape)
            box = tuple(slice(low, low + length) for low, length in zip(corner, inside, strict=True))
            found[box] = chunk[tuple(slice(0, length) for length in inside)]
    return found


def truth() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / "TRUTH.json").read_text())
    return found


def digest(pixels: np.ndarray) -> str:
    little = pixels.astype(pixels.dtype.newbyteorder("<"))
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()


def without_ones(shape: Iterable[int]) -> list[int]:
    return [length for length in shape if length != 1]


@needs_fixtures
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files_hold_the_series_that_tifffile_finds(path: Path) -> None:
    data = path.read_bytes()
    said = truth()[f"{path.parent.name}/{path.name}"]
    found = described(data)
    assert found.format == ("bigtiff" if said["bigtiff"] else "tiff")
    assert len(found.arrays) == len(said["series"])
    for array, series in zip(found.arrays, said["series"], strict=True):
        assert without_ones(array.shape) == without_ones(series["shape"])
        if not any(codec.name == "tiff_bits" for codec in array.codecs):
            assert array.dtype[1:] == series["dtype"][1:]
        if not array.codecs:
            assert digest(pixels_of(array, data)) == series["sha256"]


@needs_fixtures
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files_have_their_strips_where_tifffile_finds_them(path: Path) -> None:
    data = path.read_bytes()
    with tifffile.TiffFile(BytesIO(data)) as oracle:
        theirs = [
            (offset, count) for page in oracle.pages for offset, count in zip(*segments_of(page), strict=True) if count
        ]
        compressions = {int(page.aspage().compression) for page in oracle.pages}
        predictors = {int(page.aspage().predictor) for page in oracle.pages}
    ours = sorted(
        place
        for array in described(data).arrays
        for place in ([(array.whole.start, array.whole.size_bytes)] if array.whole else places(array))
    )
    if 1 in compressions:  # strips that follow each other are one chunk, and what pads the last is none of it
        mine, others = covered(ours), covered(theirs)
        assert [start for start, _ in mine] == [start for start, _ in others]
        assert all(0 <= other - own < 8192 for (_, own), (_, other) in zip(mine, others, strict=True))
    else:
        assert ours == sorted(theirs)
    steps = [codec for array in described(data).arrays for codec in array.codecs]
    codes = {codec.configuration["code"] for codec in steps if codec.name not in ("tiff_predictor", "tiff_bits")}
    assert codes == compressions - {1}
    assert {codec.configuration["code"] for codec in steps if codec.name == "tiff_predictor"} == predictors - {1}


def segments_of(page: Any) -> tuple[Any, Any]:
    page = page.aspage()
    return page.dataoffsets, page.databytecounts


def covered(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans with those that touch joined."""
    joined: list[tuple[int, int]] = []
    for start, size in sorted(spans):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], start + size)
        else:
            joined.append((start, start + size))
    return joined


@pytest.fixture(scope="module")
def hippocampal() -> Piece:
    """``volumedata.tif`` in its true size; its bytes are made when they are read."""
    return itk_stack(DriftingVolume((1065, 1536, 2048), "uint8", 5))


@pytest.fixture(scope="module")
def volume(hippocampal: Piece) -> StoredArray:
    return only(hippocampal)


def test_epfl_traps_4_and_5_pages_lie_between_directories_and_each_has_its_place(volume: StoredArray) -> None:
    assert volume.whole is None
    assert volume.chunks == (1, 1536, 2048)
    assert places(volume) == [(8 + 3_148_990 * page, 3_145_728) for page in range(1065)]


def test_epfl_trap_6_the_last_page_has_one_byte_less_behind_it(hippocampal: Piece, volume: StoredArray) -> None:
    assert hippocampal.size_bytes == 3_353_674_357 == 8 + 1065 * 3_148_990 - 1
    assert places(volume)[-1] == (8 + 3_148_990 * 1064, 3_145_728)


def test_epfl_trap_7_pages_rows_and_columns_are_z_y_x(volume: StoredArray) -> None:
    assert (volume.shape, volume.axes) == ((1065, 1536, 2048), ("z", "y", "x"))


def test_epfl_trap_8_no_voxel_size_is_made_up() -> None:
    stack = ArrayPages(np.zeros((2, 4, 4), np.uint8))
    one_a_unit = written(stack.array, resolution=(1, 1), resolutionunit=2, metadata=None)
    no_unit = written(stack.array, resolution=(50, 50), resolutionunit=1, metadata=None)
    for data in (itk_stack(stack), one_a_unit, no_unit):
        assert only(data).measures == (None, None, None)


def test_epfl_trap_9_pages_of_many_are_no_thumbnails(volume: StoredArray) -> None:
    assert volume.role == "image"


def test_epfl_every_file_of_the_twin_is_read_back() -> None:
    twin = hippocampus()
    for path, volume in twin.truth.items():
        stored = twin.store.get(path)
        assert stored is not None
        data = bytes(stored.read(0, stored.size_bytes))
        assert (pixels_of(only(data), data) == volume).all()


@pytest.fixture(scope="module")
def cell() -> bytes:
    """``_xy.tif`` of IDR with fewer pixels."""
    twin = u2os()
    stored = twin.store.get(next(path for path in twin.truth if path.endswith("_xy.tif")))
    assert stored is not None
    return bytes(stored.read(0, stored.size_bytes))


def test_idr_trap_3_the_step_along_z_is_in_the_file(cell: bytes) -> None:
    measure = only(cell).measures[0]
    assert measure is not None
    assert (measure.value, measure.source) == (0.02, "ImageDescription: spacing")


def test_idr_trap_4_the_micro_sign_comes_as_six_characters(cell: bytes) -> None:
    assert b"unit=\\u00B5m\n" in cell
    measures = [measure for measure in only(cell).measures if measure is not None]
    assert [measure.unit for measure in measures] == ["µm"] * 3
    assert [measure.value for measure in measures] == pytest.approx([0.02] * 3)


def test_idr_trap_5_the_bytes_are_big_endian_and_pages_are_z(cell: bytes) -> None:
    assert cell[:2] == b"MM"
    pixels = np.arange(2 * 3 * 4, dtype=">u2").reshape(2, 3, 4)
    stack = imagej_stack(ArrayPages(pixels), pixel_um=1, spacing_um=1)
    array = only(stack)
    assert (array.dtype, array.axes) == (">u2", ("z", "y", "x"))
    assert (pixels_of(array, stack.read(0, stack.size_bytes)) == pixels).all()


def test_idr_trap_6_directories_behind_the_pixels_cost_no_pixels() -> None:
    stack = imagej_stack(DriftingVolume((184, 775, 1121), "uint8", 9), pixel_um=0.02, spacing_um=0.02)
    assert stack.size_bytes == 159_884_524
    source = Watched(stack)
    (array,) = TiffFormat().describe(source).arrays
    assert array.whole is not None
    assert (array.whole.start, array.whole.stop) == (278, 278 + 184 * 868_775)
    assert source.read_bytes < 5 * 16_384


def test_idr_trap_11_the_shape_is_what_the_tags_say(cell: bytes) -> None:
    assert only(cell).shape == (23, 97, 141)


def test_imagej_stacks_beyond_4_gib_have_one_directory_for_all_pages() -> None:
    stack = imagej_stack(DriftingVolume((5000, 1000, 1000), "uint8", 1), pixel_um=0.02, spacing_um=0.02)
    source = Watched(stack)
    (array,) = TiffFormat().describe(source).arrays
    assert array.shape == (5000, 1000, 1000)
    assert array.whole is not None
    assert array.whole.stop == stack.size_bytes
    assert source.read_bytes <= 16_384


def test_imagej_images_that_the_file_does_not_hold_are_not_believed() -> None:
    stack = imagej_stack(DriftingVolume((5000, 1000, 1000), "uint8", 1), pixel_um=0.02, spacing_um=0.02)
    found = described(stack.read(0, 3_000_000))
    assert found.arrays[0].shape == (1000, 1000)
    assert found.notes == ("ImageJ tells of 5000 images, the file holds 1",)


def test_imagej_hyperstacks_are_counted_channel_first() -> None:
    pixels = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)
    data = written(pixels, imagej=True, metadata={"axes": "TZCYX"})
    array = only(data)
    assert (array.axes, array.shape) == (("t", "z", "c", "y", "x"), pixels.shape)
    assert (pixels_of(array, data) == pixels).all()


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "how",
    [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}, {"planarconfig": "separate", "rowsperstrip": 7}],
    ids=["page", "strips", "tiles", "planes"],
)
def test_every_layout_is_read_back(how: dict[str, Any], byteorder: str, bigtiff: bool) -> None:
    shape = (3, 3, 40, 50) if "planarconfig" in how else (3, 40, 50, 3)
    pixels = np.random.default_rng(1).integers(0, 60_000, shape).astype(f"{byteorder}u2")
    data = written(pixels, photometric="rgb", byteorder=byteorder, bigtiff=bigtiff, metadata=None, **how)
    array = only(data)
    assert array.axes == (("z", "s", "y", "x") if "planarconfig" in how else ("z", "y", "x", "s"))
    assert (array.shape, array.dtype) == (shape, f"{byteorder}u2")
    assert (pixels_of(array, data) == pixels).all()


def test_strips_in_pieces_after_pages_in_one_keep_their_places() -> None:
    pixels = np.arange(3 * 8 * 4096, dtype=np.uint16).reshape(3, 8, 4096)
    data = bytearray(strip_stack(ArrayPages(pixels), lambda _: ()).read(0, 1 << 30))
    with tifffile.TiffFile(BytesIO(bytes(data))) as oracle:
        page = oracle.pages[1].aspage()
        offsets, at = page.dataoffsets, page.tags[273].valueoffset
    assert len(offsets) == 8
    data[at : at + 8] = struct.pack("<II", offsets[1], offsets[0])  # the first two strips of page 1 in turned order
    array = only(bytes(data))
    assert array.chunks == (1, 1, 4096)
    turned = pixels.copy()
    turned[1, [0, 1]] = pixels[1, [1, 0]]
    assert (pixels_of(array, bytes(data)) == turned).all()


def test_a_tile_that_was_never_written_is_absent() -> None:
    data = bytearray(written(np.ones((32, 32), np.uint8), tile=(16, 16), metadata=None))
    with tifffile.TiffFile(BytesIO(bytes(data))) as oracle:
        tags = oracle.pages[0].aspage().tags
        kind = "H" if tags[325].dtype == 3 else "I"
        at = tags[325].valueoffset
    data[at : at + struct.calcsize(kind)] = bytes(struct.calcsize(kind))
    pixels = pixels_of(only(bytes(data)), bytes(data))
    assert pixels[:16, :16].max() == 0
    assert pixels[16:, :].min() == 1


def test_a_strip_at_byte_0_is_absent_whatever_its_length() -> None:
    assert places(only(field(273, LONG, 0))) == [(0, 0)]


def test_levels_below_a_page_are_reduced_and_no_images() -> None:
    file = BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in range(2):
            writer.write(np.full((32, 32), page, np.uint8), subifds=1, tile=(16, 16), metadata=None)
            writer.write(np.full((16, 16), page, np.uint8), subfiletype=1, tile=(16, 16), metadata=None)
    found = described(file.getvalue()).arrays
    assert [(array.path, array.shape, array.role) for array in found] == [
        ("0", (2, 32, 32), "image"),
        ("0/1", (2, 16, 16), "reduced"),
    ]
    assert pixels_of(found[1], file.getvalue())[:, 3, 3].tolist() == [0, 1]


def test_a_page_costs_no_object_of_its_own() -> None:
    pages = 3000
    array = only(strip_stack(ArrayPages(np.zeros((pages, 4, 4), np.uint8)), lambda _: ()))
    assert array.table is not None
    assert array.table.starts.nbytes + array.table.sizes.nbytes == pages * 16


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
    '<Image ID="Image:0"><Pixels DimensionOrder="{order}" SizeX="6" SizeY="5" SizeZ="2" SizeC="3" SizeT="1" '
    'PhysicalSizeX="4" PhysicalSizeXUnit="nm" PhysicalSizeZ="0.05">{data}</Pixels></Image></OME>'
)
PIXELS = np.arange(6 * 5 * 6, dtype=np.uint8).reshape(6, 5, 6)


def ome(data: str, order: str = "XYZCT") -> bytes:
    text = OME.format(order=order, data=data).encode() + b"\0"
    more = {0: [Entry(270, ASCII, text)]}
    return strip_stack(ArrayPages(PIXELS), lambda page: more.get(page, [])).read(0, 1 << 20)


def test_ome_gives_axes_sizes_and_measures() -> None:
    data = ome("<TiffData/>")
    array = only(data)
    assert (array.axes, array.shape) == (("t", "c", "z", "y", "x"), (1, 3, 2, 5, 6))
    assert (pixels_of(array, data) == PIXELS.reshape(1, 3, 2, 5, 6)).all()
    assert [measure and (measure.value, measure.unit) for measure in array.measures] == [
        *(None, None, (0.05, "µm"), None, (4.0, "nm")),
    ]


def test_ome_counts_planes_in_its_own_order() -> None:
    data = ome("", order="XYCZT")
    array = only(data)
    assert (array.axes[:3], array.shape[:3]) == (("t", "z", "c"), (1, 2, 3))
    assert (pixels_of(array, data) == PIXELS.reshape(1, 2, 3, 5, 6)).all()


def test_ome_planes_may_lie_in_any_page_and_in_other_files() -> None:
    data = ome(
        '<TiffData FirstZ="1" FirstC="2" IFD="0"/><TiffData FirstC="1" IFD="3" PlaneCount="2"/>'
        '<TiffData FirstZ="1" IFD="1"><UUID FileName="other.ome.tif">urn:uuid:2</UUID></TiffData>'
    )
    found = described(data)
    (array,) = found.arrays
    expected = np.zeros((1, 3, 2, 5, 6), np.uint8)
    expected[0, 2, 1], expected[0, 1, 0], expected[0, 1, 1] = PIXELS[0], PIXELS[3], PIXELS[4]
    assert (pixels_of(array, data) == expected).all()
    assert array.table is not None
    assert (array.table.sizes > 0).sum() == 3
    assert found.notes == (
        "Image:0: planes lie in 1 other files: other.ome.tif",
        "Image:0: 3 of 6 planes are in no page of the file that is like the first",
    )


def test_ome_does_not_make_more_chunks_than_are_kept() -> None:
    pixels = np.zeros((2, 16, 4096), np.uint8)
    text = OME.format(order="XYZCT", data="<TiffData/>").replace('SizeX="6" SizeY="5"', 'SizeX="4096" SizeY="16"')
    text = text.replace('SizeT="1"', f'SizeT="{(1 << 24) // 6}"')
    more = {0: [Entry(270, ASCII, text.encode() + b"\0"), Entry(317, SHORT, (1,))]}
    data = bytearray(strip_stack(ArrayPages(pixels), lambda page: more.get(page, [])).read(0, 1 << 20))
    with tifffile.TiffFile(BytesIO(bytes(data))) as oracle:
        page = oracle.pages[0].aspage()
        at, offsets = page.tags[273].valueoffset, page.dataoffsets
    data[at : at + 8] = struct.pack("<II", offsets[1], offsets[0])  # eight chunks a page
    with pytest.raises(FormatError, match=r"byte \d+: OME-XML tells of more than 16777216 chunks"):
        described(bytes(data))


@pytest.mark.parametrize(
    "bad",
    [
        '<TiffData IFD="6"/>',
        '<TiffData FirstC="3"/>',
        '<TiffData FirstZ="2" IFD="0"/>',
        '<TiffData IFD="0" PlaneCount="7"/>',
        "<TiffData",
        "&bomb;",
        '<TiffData IFD="99999999999999999999"/>',
    ],
)
def test_ome_that_contradicts_the_file_is_told_and_pages_stay(bad: str) -> None:
    found = described(ome(bad))
    assert [array.shape for array in found.arrays] == [(6, 5, 6)]
    assert len(found.notes) == 1


def test_ome_entities_are_not_expanded() -> None:
    text = b'<!DOCTYPE x [<!ENTITY a "' + b"z" * 1000 + b'">]><OME><Image ID="&a;"/></OME>\0'
    data = strip_stack(ArrayPages(PIXELS), lambda _: [Entry(270, ASCII, text)]).read(0, 1 << 20)
    assert "DTDForbidden" in described(data).notes[0]


@needs_fixtures
@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.name)
def test_hostile_files_are_refused_with_the_byte_or_stay_inside(path: Path) -> None:
    source = Watched(path.read_bytes(), path.name)
    found = answer(source)
    if isinstance(found, FormatError):
        assert str(found).startswith(f"{path.name}: byte ")
    else:
        inside(found, source.size_bytes)


def answer(source: Watched) -> FileDescription | FormatError:
    try:
        return TiffFormat().describe(source)
    except FormatError as error:
        return error


def inside(found: FileDescription, size_bytes: int) -> None:
    for array in found.arrays:
        assert min(array.shape) > 0
        spans = [(array.whole.start, array.whole.size_bytes)] if array.whole else places(array)
        assert all(size == 0 or (start > 0 and start + size <= size_bytes) for start, size in spans)


@needs_fixtures
@pytest.mark.parametrize("name", ["multiple", "single"])
def test_a_chain_that_runs_in_a_loop_is_refused(name: str) -> None:
    data = (FIXTURES / f"hostile_tiff/pillow__multipage_{name}_frame_loop.tiff").read_bytes()
    with pytest.raises(FormatError, match=r"byte \d+: the chain of directories runs in a loop"):
        described(data)


SMALL = strip_stack(ArrayPages(np.zeros((3, 5, 6), np.uint8)), lambda _: ()).read(0, 1 << 20)


def test_a_file_of_no_directory_is_refused() -> None:
    with pytest.raises(FormatError, match="byte 0: the file has no directory"):
        described(TiffForm().header(0) + bytes(40))


@pytest.mark.parametrize("cut", [3, 9, 60, -1])
def test_a_file_that_ends_early_is_refused_with_the_byte(cut: int) -> None:
    with pytest.raises(FormatError, match=r"file: byte \d+"):
        TiffFormat().describe(Watched(SMALL[:cut]))


def field(tag: int, kind: int, value: int) -> bytes:
    """A page of 8 x 8 whose field has that value."""
    fields = {256: (LONG, 8), 257: (LONG, 8), 258: (SHORT, 8), 273: (LONG, 8), 279: (LONG, 64), tag: (kind, value)}
    entries = [Entry(tag, kind, (value,)) for tag, (kind, value) in sorted(fields.items())]
    return TiffForm().header(72) + bytes(64) + TiffForm().directory(entries, at=72, following=0)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        (256, 0, "byte 72: field 256 is 0"),
        (257, (1 << 31) + 1, "byte 72: field 257 is 2147483649; 1 to 2147483648 can be"),
        (257, 9, "byte 8: strip or tile 0 has 64 bytes, its pixels 72"),
        (273, 90, "byte 90: 64 bytes of strip or tile 0 do not fit"),
        (279, 63, "byte 8: strip or tile 0 has 63 bytes, its pixels 64"),
        (278, 0, "byte 72: strips or tiles of"),
        (278, 1, "byte 72: 8 strips or tiles"),
        (322, 16, "byte 72: the directory has no field 323"),
    ],
)
def test_fields_that_cannot_be_are_refused(tag: int, value: int, said: str) -> None:
    assert only(field(279, LONG, 64)).shape == (8, 8)
    with pytest.raises(FormatError, match=said):
        described(field(tag, LONG, value))


@pytest.mark.parametrize(
    ("tag", "value", "said"), [(258, 24, None), (339, 5, "8 bits of format 5"), (258, 0, "0 bits of format 1")]
)
def test_types_of_samples_are_known_or_told(tag: int, value: int, said: str | None) -> None:
    data = field(tag, SHORT, value)
    if said is None:
        data = field(259, SHORT, 8).replace(struct.pack("<HHII", 258, 3, 1, 8), struct.pack("<HHII", 258, 3, 1, 24))
        assert [codec.name for codec in only(data).codecs] == ["tiff_bits", "zlib"]
        assert only(data).dtype == "<u4"
        return
    found = described(data)
    assert found.arrays == ()
    assert found.notes == (f"1 pages cannot be read: samples of {said} are not known",)


def test_what_bytes_went_through_is_told_in_the_order_of_encoding() -> None:
    data = written(np.zeros((16, 16), np.uint16), compression="zlib", predictor=True, metadata=None)
    steps = [(codec.name, dict(codec.configuration)) for codec in only(data).codecs]
    assert steps == [("tiff_predictor", {"code": 2}), ("zlib", {"code": 8})]
    reversed_bits = only(field(266, SHORT, 2))
    assert [(codec.name, dict(codec.configuration)) for codec in reversed_bits.codecs] == [
        ("tiff_fill_order", {"code": 2})
    ]
    assert reversed_bits.whole is None


def test_jpeg_comes_with_its_tables_and_colours() -> None:
    fields = {256: 8, 257: 8, 258: 8, 259: 7, 262: 6, 273: 8, 279: 64}
    entries = [
        *(Entry(tag, LONG, (value,)) for tag, value in fields.items()),
        Entry(347, ASCII, (255, 216, 9, 255, 217)),
    ]
    values = TiffForm().directory(entries, at=72, following=0)
    (codec,) = only(TiffForm().header(72) + bytes(64) + values).codecs
    assert (codec.name, codec.configuration["photometric"]) == ("jpeg", 6)
    assert base64.b64decode(str(codec.configuration["tables"])) == b"\xff\xd8\x09\xff\xd9"


def test_jpeg_tables_of_any_length_are_not_taken() -> None:
    fields = {256: 8, 257: 8, 258: 8, 259: 7, 273: 8, 279: 64}
    entries = [*(Entry(tag, LONG, (value,)) for tag, value in fields.items()), Entry(347, ASCII, bytes(70_000))]
    found = described(TiffForm().header(72) + bytes(64) + TiffForm().directory(entries, at=72, following=0))
    assert found.notes == ("1 pages cannot be read: its JPEG tables have more than 65536 bytes",)


def test_the_last_strip_is_cut_and_the_last_tile_is_whole() -> None:
    pixels = np.zeros((20, 20), np.uint8)
    assert only(written(pixels, rowsperstrip=7, compression="zlib", metadata=None)).edges == "cut"
    assert only(written(pixels, tile=(16, 16), compression="zlib", metadata=None)).edges == "full"


def test_imagej_axes_that_do_not_make_its_images_are_not_believed() -> None:
    text = b"ImageJ=1.53\nimages=4\nchannels=2\nslices=3\n\0"
    array = only(strip_stack(ArrayPages(np.zeros((4, 4, 4), np.uint8)), lambda _: [Entry(270, ASCII, text)]))
    assert (array.axes, array.shape) == (("z", "y", "x"), (4, 4, 4))


def test_ome_channels_of_several_samples_are_one_plane() -> None:
    pixels = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
    text = OME.format(order="XYZCT", data='<Channel SamplesPerPixel="3"/><TiffData/>')
    data = written(pixels, photometric="rgb", description=text, metadata=None)
    array = only(data)
    assert (array.axes, array.shape) == (("t", "c", "z", "y", "x", "s"), (1, 1, 2, 5, 6, 3))
    assert (pixels_of(array, data) == pixels).all()


def test_colours_that_are_subsampled_without_jpeg_are_told() -> None:
    assert described(field(262, SHORT, 6)).notes == ("1 pages cannot be read: its colours are subsampled without JPEG",)


def test_imagej_pixels_are_no_unit() -> None:
    text = b"ImageJ=1.53\nimages=2\nslices=2\nunit=pixel\nspacing=3\n\0"
    stack = ArrayPages(np.zeros((2, 4, 4), np.uint8))
    assert only(strip_stack(stack, lambda _: [Entry(270, ASCII, text)])).measures == (None, None, None)


def test_a_directory_of_too_many_fields_is_refused() -> None:
    data = TiffForm(big=True).header(16) + struct.pack("<Q", MAX_ENTRIES + 1) + bytes(200_000)
    with pytest.raises(FormatError, match="byte 16: a directory of 4097 fields"):
        described(data)


def chained(sizes: Iterable[tuple[int, int]], rows: int) -> bytes:
    """Pages of that width and length, whose strips all have the place of the first."""
    form, data = TiffForm(), b""
    pages = list(sizes)
    for number, (width, length) in enumerate(pages):
        values = {256: width, 257: length, 258: 8, 259: 8, 273: 8, 278: rows, 279: 64}
        entries = [Entry(tag, LONG, (value,)) for tag, value in values.items()]
        at = 72 + len(data)
        following = at + form.directory_bytes(len(entries)) if number < len(pages) - 1 else 0
        data += form.directory(entries, at=at, following=following)
    return form.header(72) + bytes(64) + data


def test_more_strips_than_are_kept_are_refused_before_they_are_read() -> None:
    with pytest.raises(FormatError, match="byte 72: more than 16777216 chunks"):
        described(chained([(8, 1 << 25)], rows=1))


def test_more_layouts_than_a_file_may_have_are_refused() -> None:
    assert len(described(chained([(8, 8), (4, 4), (8, 8)], rows=8)).arrays) == 2
    with pytest.raises(FormatError, match=r"byte \d+: pages of more than 1000 layouts"):
        described(chained([(width, 8) for width in range(1, 1002)], rows=8))


def test_other_files_are_told_apart() -> None:
    for head in (b"", b"II*\0", b"\x89HDF\r\n\x1a\n" + bytes(40), b"II+\0\4\0\0\0" + bytes(40)):
        assert not TiffFormat().recognises(head)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
@given(st.data())
def test_damaged_files_give_an_error_or_something_that_fits(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(HEALTHY)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    source = Watched(bytes(whole))
    found = answer(source)
    if isinstance(found, FormatError):
        assert str(found).startswith("file: byte ")
    else:
        inside(found, source.size_bytes)


HEALTHY = [
    SMALL,
    ome("<TiffData/>"),
    imagej_stack(ArrayPages(np.zeros((3, 2, 2), np.uint8)), pixel_um=1, spacing_um=1).read(0, 1 << 20),
    written(np.zeros((2, 20, 20), np.uint16), tile=(16, 16), compression="zlib", bigtiff=True, metadata=None),
]
