"""MRC: maps of other people's writers read to what mrcfile found; every mode, order and odd header; damaged refused."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.watched import Watched

from emasync.errors import FormatError
from emasync.formats.mrc.format import MrcFormat
from emasync.formats.stored import BLOCK_BYTES, FileDescription, StoredArray

FIXTURES = Path(__file__).parents[3] / "shared/fixtures"
FILES = sorted(FIXTURES.glob("mrc/*"))
needs_fixtures = pytest.mark.skipif(not FILES, reason="the folder of real files is not beside the checkout")
OPEN: dict[str, Any] = {".bz2": bz2.open, ".gz": gzip.open}


def described(data: bytes) -> FileDescription:
    assert MrcFormat().recognises(data[:32])
    return MrcFormat().describe(Watched(data))


def only(data: bytes) -> StoredArray:
    (array,) = described(data).arrays
    return array


def written(pixels: np.ndarray, mode: int, **fields: Any) -> bytes:
    """A file in the byte order of `pixels`; `fields` by offset in the header, as ``at_92=4``."""
    order = ">" if pixels.dtype.byteorder == ">" else "<"
    header = bytearray(1024)
    sizes = tuple(reversed(pixels.shape))
    header[:16] = struct.pack(f"{order}4i", *sizes, mode)
    header[28:40] = struct.pack(f"{order}3i", *sizes)
    header[40:52] = struct.pack(f"{order}3f", *(2.5 * size for size in sizes))
    header[64:76] = struct.pack(f"{order}3i", 1, 2, 3)
    header[208:212] = b"MAP "
    header[212:216] = b"\x11\x11\0\0" if order == ">" else b"\x44\x44\0\0"
    for name, value in fields.items():
        at = int(name.removeprefix("at_"))
        data = value if isinstance(value, bytes) else struct.pack(f"{order}{'if'[isinstance(value, float)]}", value)
        header[at : at + len(data)] = data
    return bytes(header) + bytes(int(fields.get("at_92", 0))) + pixels.tobytes()


def pixels_of(array: StoredArray, data: bytes) -> np.ndarray:
    assert array.whole is not None
    return np.frombuffer(data[array.whole.start : array.whole.stop], array.dtype).reshape(array.shape)


@needs_fixtures
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_maps_hold_what_mrcfile_finds(path: Path) -> None:
    with OPEN.get(path.suffix, open)(path, "rb") as file:
        data: bytes = file.read()
    said = json.loads((FIXTURES / "TRUTH.json").read_text())[f"mrc/{path.name}"]
    array = only(data)
    assert (list(array.shape), array.dtype) == (said["shape"], said["dtype"])
    assert hashlib.sha256(pixels_of(array, data).tobytes()).hexdigest() == said["sha256"]
    assert array.axes == tuple("xyz"[axis - 1] for axis in reversed(said["mapc_mapr_maps"]))
    for name, measure in zip(array.axes, array.measures, strict=True):
        size = said["voxel_size_A_xyz"]["xyz".index(name)]
        assert (size <= 0) if measure is None else (measure.value == pytest.approx(size))


MODES = [(1, "i2"), (2, "f4"), (4, "c8"), (6, "u2"), (12, "f2")]
KINDS = [(0, "|i1"), *((mode, order + kind) for mode, kind in MODES for order in "<>")]


@pytest.mark.parametrize(("mode", "kind"), KINDS)
def test_every_mode_is_read_in_both_orders(mode: int, kind: str) -> None:
    pixels = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(kind)
    data = written(pixels, mode)
    array = only(data)
    assert array.dtype == kind
    assert (pixels_of(array, data) == pixels).all()
    assert [measure and (measure.value, measure.unit, measure.source) for measure in array.measures] == [
        (2.5, "angstrom", f"header: CELLA.{name} / M{name.upper()}") for name in "zyx"
    ]


def test_the_extended_header_is_stepped_over_and_not_read() -> None:
    pixels = np.arange(24, dtype="<i2").reshape(2, 3, 4)
    data = written(pixels, 1, at_92=768 << 10, at_104=b"FEI1")
    source = Watched(data)
    (array,) = MrcFormat().describe(source).arrays
    assert array.whole is not None
    assert array.whole.start == 1024 + (768 << 10)
    assert (pixels_of(array, data) == pixels).all()
    assert source.read_bytes <= BLOCK_BYTES


def test_bytes_have_a_sign_but_those_of_imod() -> None:
    pixels = np.full((1, 2, 2), 200, np.uint8)
    assert only(written(pixels, 0)).dtype == "|i1"
    assert only(written(pixels, 0, at_152=1146047817, at_156=1)).dtype == "|i1"
    found = described(written(pixels, 0, at_152=1146047817))
    assert (found.arrays[0].dtype, found.notes) == ("|u1", ("IMOD says that its bytes have no sign",))


@pytest.mark.parametrize("cell", [0.0, -5.0, float("nan"), float("inf")])
def test_voxel_sizes_that_nobody_set_are_unknown(cell: float) -> None:
    array = only(written(np.zeros((2, 3, 4), "<i2"), 1, at_40=cell))
    assert array.measures[2] is None
    assert array.measures[1] is not None
    assert only(written(np.zeros((2, 3, 4), "<i2"), 1, at_28=0)).measures[2] is None


def test_axes_are_named_by_what_columns_rows_and_sections_are() -> None:
    data = written(np.zeros((2, 3, 4), "<i2"), 1, at_64=3, at_68=1, at_72=2, at_40=1.0, at_28=4)
    array = only(data)
    assert array.axes == ("y", "x", "z")
    assert array.measures[1] is not None
    assert array.measures[1].value == 0.25  # of x, which rows go along


def test_axes_that_are_no_order_are_told() -> None:
    found = described(written(np.zeros((2, 3, 4), "<i2"), 1, at_64=1, at_68=1, at_72=3))
    assert found.arrays[0].axes == ("z", "y", "x")
    assert "(1, 1, 3)" in found.notes[0]
    assert described(written(np.zeros((2, 3, 4), "<i2"), 1, at_64=bytes(12))).notes == ()


def test_stacks_of_volumes_have_an_axis_of_their_own() -> None:
    pixels = np.arange(6 * 2 * 2, dtype="<i2").reshape(6, 2, 2)
    array = only(written(pixels, 1, at_88=401, at_36=3))
    assert (array.shape, array.axes) == ((2, 3, 2, 2), ("v", "z", "y", "x"))
    assert only(written(pixels, 1, at_88=401, at_36=4)).shape == (6, 2, 2)
    assert only(written(pixels, 1, at_88=1, at_36=3)).shape == (6, 2, 2)


@pytest.mark.parametrize(("mode", "said"), [(3, "two 16-bit integers"), (101, "4 bits")])
def test_modes_without_a_type_are_told_and_not_guessed(mode: int, said: str) -> None:
    found = described(written(np.zeros((2, 3, 4), "<i2"), mode))
    assert found.arrays == ()
    assert said in found.notes[0]


@pytest.mark.parametrize("order", ["<", ">"])
def test_without_a_stamp_the_order_is_that_in_which_sizes_make_sense(order: str) -> None:
    pixels = np.arange(24).reshape(2, 3, 4).astype(f"{order}i2")
    data = written(pixels, 1, at_208=bytes(8))
    assert (pixels_of(only(data), data) == pixels).all()


def test_labels_may_be_of_any_bytes() -> None:
    assert only(written(np.zeros((1, 1, 1), "<i2"), 1, at_220=1, at_224=b"\xff\xfe\0\xe9")).shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"at_0": 0}, "byte 0: sizes of"),
        ({"at_0": 1 << 30}, "byte 0: sizes of"),
        ({"at_92": -1}, "byte 92: an extended header of -1 bytes"),
        ({"at_0": 5}, "byte 1072: the file ends before its voxels"),
        ({"at_0": 0, "at_212": b"\0\0"}, "byte 212: no machine stamp"),
    ],
)
def test_headers_that_cannot_be_are_refused(fields: dict[str, Any], said: str) -> None:
    data = written(np.zeros((2, 3, 4), "<i2"), 1)
    changed = bytearray(data)
    for name, value in fields.items():
        new = value if isinstance(value, bytes) else struct.pack("<i", value)
        changed[int(name[3:]) : int(name[3:]) + len(new)] = new
    with pytest.raises(FormatError, match=rf"file: {said}"):
        MrcFormat().describe(Watched(bytes(changed)))


@pytest.mark.parametrize("cut", [0, 100, 1023, 1024, -1])
def test_a_file_that_ends_early_is_refused_with_the_byte(cut: int) -> None:
    with pytest.raises(FormatError, match=r"file: byte \d+"):
        MrcFormat().describe(Watched(written(np.zeros((2, 3, 4), "<i2"), 1)[:cut]))


def test_other_files_are_told_apart() -> None:
    others = (b"", b"II*\0\x08\0\0\0", b"\x89HDF\r\n\x1a\n", b"PK\3\4", b"\0\0\0\3\0\0\1\0\0\0\0\1\1\0")
    for head in others:
        assert not MrcFormat().recognises(head.ljust(64, b"\0") if head else head)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 230), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_give_an_error_or_something_that_fits(flips: list[tuple[int, int]]) -> None:
    whole = bytearray(written(np.zeros((2, 3, 4), ">f4"), 2))
    for at, value in flips:
        whole[at] = value
    found = answer(Watched(bytes(whole)))
    if isinstance(found, FormatError):
        assert str(found).startswith("file: byte ")
        return
    for array in found.arrays:
        assert array.whole is not None
        assert 1024 <= array.whole.start < array.whole.stop <= len(whole)


def answer(source: Watched) -> FileDescription | FormatError:
    try:
        return MrcFormat().describe(source)
    except FormatError as error:
        return error
