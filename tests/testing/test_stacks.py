"""Twins of archives that hold stacks of pictures: at true size they have the offsets of the true files, to the byte.

Trap numbers are those of the archives' descriptions (epfl.md, idr.md, empiar.md).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tifffile

from emasync.testing import dm3, empiar, epfl, idr
from emasync.testing.dm3 import FLOAT64, UINT32
from emasync.testing.imagej import imagej_stack
from emasync.testing.pixels import DriftingVolume
from emasync.testing.sbfsem import Slice, slice_file
from emasync.testing.sparse import Body, Literal
from emasync.testing.tiff import itk_stack
from emasync.testing.tiff_directory import TiffForm

EPFL_STRIDE = 3_148_990
IDR_PAGE = 868_775
FOLDER = f"{empiar.DATA_HOST}/empiar/world_availability/11759"
SLICE = FOLDER + "/data/F57-8_test1_3VBSED_slice_{:04d}.dm3"


class Ranged(io.RawIOBase):
    """A body as a seekable file, so that readers of other people read no more of it than they need."""

    def __init__(self, read: Any, size_bytes: int) -> None:
        self._read, self._size, self._at = read, size_bytes, 0
        self.bytes_read = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = bytes(self._read(self._at, min(self._at + len(buffer), self._size)))
        memoryview(buffer).cast("B")[: len(data)] = data
        self._at += len(data)
        self.bytes_read += len(data)
        return len(data)


def opened(store: Any, path: str) -> Ranged:
    found = store.get(path)
    return Ranged(found.read, found.size_bytes)


def tiff_of(file: Any) -> Any:
    """A file of tifffile, without its types: they know neither seekable objects nor which pages have tags."""
    return tifffile.TiffFile(file)


def whole(body: Body) -> io.BytesIO:
    return io.BytesIO(body.read(0, body.size_bytes))


# --- EPFL: pages and directories by turns -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hippocampus() -> Any:
    return epfl.hippocampus(epfl.TRUE_SHAPE).store


def test_epfl_true_sizes_to_the_byte(hippocampus: Any) -> None:
    """Trap 10: ground truth has the size of the images. Trap 6: one byte less than whole strides behind the header."""
    sizes = {row.key.rpartition("/")[2]: row.size_bytes for row in hippocampus.scan(epfl.HOST, "")}
    assert sizes == {
        "volumedata.tif": 3_353_674_357,
        **dict.fromkeys(
            ("training.tif", "training_groundtruth.tif", "testing.tif", "testing_groundtruth.tif"), 129_919_357
        ),
    }
    assert sizes["volumedata.tif"] == 8 + 1065 * EPFL_STRIDE - 1


@pytest.mark.parametrize("page", [0, 1, 532, 1064])
def test_epfl_trap_4_directories_lie_between_the_pages(hippocampus: Any, page: int) -> None:
    file = opened(hippocampus, f"{epfl.FOLDER}/volumedata.tif")
    pixels = 8 + page * EPFL_STRIDE
    file.seek(pixels + 3_145_728)
    count, *_ = struct.unpack("<H", file.read(2))
    entries = {tag: (kind, n, value) for tag, kind, n, value in struct.iter_unpack("<HHII", file.read(12 * count))}
    (following,) = struct.unpack("<I", file.read(4))
    assert count == 14
    assert following == (pixels + EPFL_STRIDE + 3_145_728 if page < 1064 else 0)
    assert entries[273][1] == entries[279][1] == 384
    file.seek(entries[273][2])
    assert struct.unpack("<384I", file.read(1536)) == tuple(range(pixels, pixels + 3_145_728, 8192))
    assert entries[254][2] == 2, "trap 9: no thumbnail, one page of several"
    assert entries[297][2] == page | 1065 << 16
    file.seek(entries[305][2])
    assert file.read(15) == b"InsightToolkit\0"


def test_epfl_traps_5_and_8_tifffile_finds_no_one_stretch_and_no_voxel_size(hippocampus: Any) -> None:
    file = opened(hippocampus, f"{epfl.FOLDER}/training.tif")
    volume = epfl.volumes_of(epfl.TRUE_SHAPE)["training.tif"]
    with tiff_of(file) as tiff:
        assert len(tiff.pages) == 165
        assert tiff.series[0].dataoffset is None
        assert tiff.pages[164].dataoffsets[0] == 129_131_968
        assert not {"XResolution", "ResolutionUnit", "ImageDescription"} & set(tiff.pages[164].tags)
        np.testing.assert_array_equal(tiff.pages[164].asarray(), volume.block((164, 0, 0), (1, 768, 1024))[0])
    assert file.bytes_read < 3_000_000, "of 130 MB"


@pytest.mark.parametrize("form", [TiffForm(), TiffForm(">"), TiffForm("<", big=True), TiffForm(">", big=True)])
@pytest.mark.parametrize("shape", [(5, 33, 47), (1, 1, 1), (3, 200, 90)])
def test_stacks_of_every_form_open(form: TiffForm, shape: tuple[int, int, int]) -> None:
    volume = DriftingVolume(shape, f"{form.order}u2")
    with tiff_of(whole(itk_stack(volume, form))) as tiff:
        assert (tiff.byteorder, tiff.is_bigtiff) == (form.order, form.big)
        np.testing.assert_array_equal(np.stack([page.asarray() for page in tiff.pages]), volume.whole())


def test_a_stack_of_odd_pages_keeps_directories_on_word_boundaries() -> None:
    body = itk_stack(DriftingVolume((4, 3, 5)))
    data = body.read(0, body.size_bytes)
    (at,) = struct.unpack_from("<I", data, 4)
    for _ in range(4):
        assert at % 2 == 0
        (count,) = struct.unpack_from("<H", data, at)
        (at,) = struct.unpack_from("<I", data, at + 2 + 12 * count)
    assert at == 0


# --- IDR: one directory ahead, the others behind ------------------------------------------------------------------


@pytest.fixture(scope="module")
def u2os() -> Any:
    return idr.u2os(idr.TRUE_SHAPE).store


def test_idr_true_sizes_and_trap_6_offsets(u2os: Any) -> None:
    xy, xz = (f"{idr.DATA_HOST}/{idr.TREE}/{path}" for path in idr.PAIR.values())
    assert (u2os.get(xy).size_bytes, u2os.get(xz).size_bytes) == (159_884_524, 159_980_266)
    file = opened(u2os, xy)
    head = file.read(278)
    assert head[:4] == b"MM\0*", "trap 5: big-endian"
    assert struct.unpack_from(">I", head, 4) == (8,)
    description = head[8 + 162 :][:92]
    assert description.startswith(b"ImageJ=1.52p\nimages=184\nslices=184\nunit=\\u00B5m\nspacing=0.02\n")
    assert b"\xc2\xb5" not in description, "trap 4: seven literal characters, no micro sign"
    file.seek(159_854_878)
    tail = file.read()
    assert len(tail) == 183 * 162 == 29_646
    (second,) = struct.unpack_from(">I", head, 8 + 158)
    assert second == 159_854_878
    for number in range(183):
        at = number * 162
        offsets = {tag: value for tag, _, _, value in struct.iter_unpack(">HHII", tail[at + 2 : at + 158])}
        assert offsets[273] == 278 + (number + 1) * IDR_PAGE
        (following,) = struct.unpack_from(">I", tail, at + 158)
        assert following == (0 if number == 182 else 159_854_878 + at + 162)


def test_idr_opens_as_imagej_in_one_stretch(u2os: Any) -> None:
    path = f"{idr.DATA_HOST}/{idr.TREE}/{idr.PAIR[9846137]}"
    with tiff_of(opened(u2os, path)) as tiff:
        assert tiff.is_imagej
        assert (len(tiff.pages), tiff.series[0].dataoffset) == (184, 278)
        assert tiff.imagej_metadata["spacing"] == 0.02
        assert tiff.pages[7].tags["XResolution"].value == (50_000_000, 1_000_000)
        assert tiff.pages[183].tags["ImageDescription"].value == tiff.pages[0].tags["ImageDescription"].value
        expected = DriftingVolume(idr.TRUE_SHAPE, seed=9).block((183, 0, 0), (1, 775, 1121))[0]
        np.testing.assert_array_equal(tiff.pages[183].asarray(), expected)


def test_values_behind_a_text_of_odd_length_begin_on_a_word_boundary() -> None:
    """TIFF 6.0, section 2: offsets of values are even."""
    body = imagej_stack(DriftingVolume((2, 3, 4)), pixel_um=0.5, spacing_um=0.5)
    data = body.read(0, body.size_bytes)
    entries = {tag: (count, value) for tag, _, count, value in struct.iter_unpack(">HHII", data[10 : 10 + 13 * 12])}
    assert entries[270][0] % 2 == 1
    assert [entries[tag][1] % 2 for tag in (270, 282, 283)] == [0, 0, 0]
    assert struct.unpack_from(">II", data, entries[283][1]) == (2_000_000, 1_000_000)


def test_an_imagej_stack_beyond_4_gib_has_one_directory_and_counts_its_pages() -> None:
    volume = DriftingVolume((70_000, 256, 256))
    body = imagej_stack(volume, pixel_um=0.02, spacing_um=0.02)
    page = 256 * 256
    assert body.size_bytes == body.start_of(1) + 70_000 * page > 1 << 32
    with tiff_of(Ranged(body.read, body.size_bytes)) as tiff:
        assert tiff.is_imagej
        assert tiff.imagej_metadata["images"] == 70_000
        assert tiff.series[0].shape == (70_000, 256, 256)
        assert tiff.pages.first.tags["ImageDescription"].value.count("images=70000") == 1
    head = body.read(0, 300)
    assert struct.unpack_from(">I", head, 8 + 158) == (0,), "no other directory"
    assert body.read(body.size_bytes - page, body.size_bytes) == volume.page(69_999).read(0, page)


# --- EMPIAR: DM3 --------------------------------------------------------------------------------------------------


def walked(data: bytes, at: int = 12, path: str = "") -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Path, kind and offset of every value of a DM3 tree: a walk of its own, after the description of the format."""
    end = yield from _walked(data, at, path)
    assert data[end:] == bytes(8)


def _walked(data: bytes, at: int, path: str) -> Any:
    sizes = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 10: 1}
    _, _, count = struct.unpack_from(">BBI", data, at)
    at += 6
    for number in range(count):
        kind, length = struct.unpack_from(">BH", data, at)
        name = data[at + 3 : at + 3 + length].decode("latin-1") or str(number)
        at += 3 + length
        if kind == 20:
            at = yield from _walked(data, at, f"{path}/{name}")
            continue
        assert (kind, data[at : at + 4]) == (21, b"%%%%")
        (words,) = struct.unpack_from(">I", data, at + 4)
        info = struct.unpack_from(f">{words}I", data, at + 8)
        at += 8 + 4 * words
        yield f"{path}/{name}", info, at
        if info[0] == 15:
            at += sum(sizes[code] for code in info[4::2])
        elif info[0] == 20 and info[1] == 15:
            at += sum(sizes[code] for code in info[5:-1:2]) * info[-1]
        else:
            at += sizes[info[1]] * info[2] if info[0] == 20 else sizes[info[0]]
    return at


@pytest.mark.parametrize(
    ("thumbnail", "number", "pixels_at"), [((192, 192), 0, 152_855), ((383, 384), 10, 593_687)], ids=["0", "10"]
)
def test_empiar_traps_3_and_4_true_pixels_lie_at_the_true_offsets(
    thumbnail: tuple[int, int], number: int, pixels_at: int
) -> None:
    volume = DriftingVolume((1, *empiar.TRUE_PAGE))
    rows, columns = empiar.TRUE_PAGE
    of = Slice(number=number, rows=rows, columns=columns, thumbnail=thumbnail, pixels=volume.page(0))
    body = slice_file(of)
    assert [body.start_of(place) for place, piece in enumerate(body.pieces) if piece.size_bytes == 30_228_000] == [
        pixels_at
    ]
    data = body.read(0, body.size_bytes)
    assert struct.unpack_from(">III", data) == (3, len(data) - 20, 1)
    found = {path: (info, at) for path, info, at in walked(data)}
    assert found["/ImageList/0/ImageData/Data"] == ((20, 3, thumbnail[0] * thumbnail[1]), 4_515)
    assert found["/ImageList/1/ImageData/Data"] == ((20, 10, 30_228_000), pixels_at)
    assert found["/ImageList/1/ImageData/DataType"][1] > pixels_at + 30_228_000, "what the pixels are, is told later"
    assert found["/DocumentObjectList/0/ImageDisplayInfo/CLUT"][1] == 654


def test_empiar_twin_has_both_offsets_in_one_series() -> None:
    twin = empiar.retina()
    offsets = set()
    for number in range(16):
        found = twin.store.get(SLICE.format(number))
        assert found is not None
        data = bytes(found.read(0, found.size_bytes))
        (at,) = (at for path, _, at in walked(data) if path == "/ImageList/1/ImageData/Data")
        truth = twin.truth[SLICE.format(number)]
        assert data[at : at + truth.size] == truth.tobytes()
        offsets.add(at)
    assert len(offsets) == 2


def test_empiar_traps_5_and_9_what_only_tags_say() -> None:
    """The date is day.month, and the distance of slices stands among the image's tags and nowhere else."""
    data = whole(slice_file(Slice(number=1, rows=4, columns=6, thumbnail=(2, 2), pixels=Literal(bytes(24))))).getvalue()
    found = {path: (info, at) for path, info, at in walked(data)}
    tags = "/ImageList/1/ImageTags"
    (_, _, length), at = found[f"{tags}/DataBar/Acquisition Date"]
    assert data[at : at + 2 * length].decode("utf-16-le") == "11.06.2018"
    assert struct.unpack_from("<f", data, found[f"{tags}/Meta Data/Dimension info/2/Scale"][1]) == (50.0,)
    assert struct.unpack_from("<d", data, found[f"{tags}/SBFSEM/Record/Slice thickness"][1]) == (50.0,)
    assert "/ImageList/1/ImageData/Calibrations/Dimension/2/Scale" not in found
    scale = struct.unpack_from("<f", data, found["/ImageList/1/ImageData/Calibrations/Dimension/0/Scale"][1])
    assert scale == (np.float32(0.007998250424861908),)


def test_named_tags_are_sorted_without_regard_to_case_and_others_keep_their_order() -> None:
    tree: Any = {"b": dm3.simple(UINT32, 1), "A": [dm3.simple(FLOAT64, 2), dm3.text("µ")], "C": {}}
    body = dm3.write_dm3(tree)
    data = body.read(0, body.size_bytes)
    assert [path for path, _, _ in walked(data)] == ["/A/0", "/A/1", "/b"]
    assert struct.unpack_from(">BBI", data, 12) == (1, 0, 3)
