"""DM3 and DM4: files of other people's writers read to what independent readers found; damaged ones are refused."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.formats.watched import Watched

from emasync.errors import FormatError
from emasync.formats.dm.format import DmFormat
from emasync.formats.stored import BLOCK_BYTES, FileDescription
from emasync.testing.empiar import retina

FIXTURES = Path(__file__).parents[3] / "shared/fixtures"
FILES = sorted(FIXTURES.glob("dm?/*.dm?"))
needs_fixtures = pytest.mark.skipif(not FILES, reason="the folder of real files is not beside the checkout")


def described(data: bytes) -> FileDescription:
    assert DmFormat().recognises(data[:32])
    return DmFormat().describe(Watched(data))


def truth() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / "TRUTH.json").read_text())
    return found


def digest(data: bytes, dtype: str) -> str:
    return hashlib.sha256(np.frombuffer(data, dtype).tobytes()).hexdigest()


@needs_fixtures
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files_hold_what_other_readers_found(path: Path) -> None:
    data = path.read_bytes()
    found = described(data)
    expected = truth()[f"{path.parent.name}/{path.name}"]["ncempy_file_order"]
    images = [array for array in found.arrays if array.role == "image"]
    for array, said in zip(images, expected, strict=False):
        if "error" in said:
            continue  # ncempy does not know that type of pixel
        shape = (1, *array.shape) if len(array.shape) < len(said["shape"]) else array.shape
        assert (list(shape), array.dtype) == (said["shape"], said["dtype"])
        assert array.whole is not None
        assert digest(data[array.whole.start : array.whole.stop], array.dtype) == said["sha256"]
        scales = list(zip(said["pixelSize"], said["pixelUnit"], strict=True))
        for measure, (scale, unit) in zip(reversed(array.measures), reversed(scales), strict=False):
            assert (scale, unit) == (1.0, "") if measure is None else measure.unit == unit
            assert measure is None or measure.value == pytest.approx(scale)
    if path.name == "rosettasciio__test_fft_packed_complex8.dm4":
        assert images == []
        assert "packed" in found.notes[0]
    else:
        assert len(images) >= len(expected) or found.notes


@needs_fixtures
@pytest.mark.parametrize("path", [path for path in FILES if "3D__test-" in path.name], ids=lambda path: path.name)
def test_every_type_of_pixel_that_rosettasciio_reads_is_read(path: Path) -> None:
    said = truth()[f"{path.parent.name}/{path.name}"]["rosettasciio"][0]
    data = path.read_bytes()
    array = next(array for array in described(data).arrays if array.role == "image" and len(array.shape) >= 3)
    assert array.whole is not None
    pixels = np.frombuffer(data[array.whole.start : array.whole.stop], array.dtype)
    if array.axes[-1] == "bgra":
        pixels = np.ascontiguousarray(pixels.reshape(-1, 4)[:, [2, 1, 0, 3]])
    assert list(array.shape[:3]) == said["shape"]
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == said["sha256"]


@pytest.fixture(scope="module")
def slices() -> dict[str, bytes]:
    """The series of EMPIAR-11759 as the archive twin has it."""
    twin = retina()
    return {key: data for key, data in twin.objects().items() if key.endswith(".dm3")}


def test_empiar_trap_3_the_image_is_not_the_first_of_the_list(slices: dict[str, bytes]) -> None:
    found = described(next(iter(slices.values())))
    assert [(array.path, array.role) for array in found.arrays] == [
        ("ImageList/0", "thumbnail"),
        ("ImageList/1", "image"),
    ]


def test_empiar_trap_4_pixels_lie_elsewhere_in_each_file_of_a_series(slices: dict[str, bytes]) -> None:
    places = {described(data).arrays[1].whole for data in slices.values()}
    assert len(places) > 1


def test_calibration_comes_with_its_unit_and_its_place(slices: dict[str, bytes]) -> None:
    image = described(next(iter(slices.values()))).arrays[1]
    assert image.axes == ("y", "x")
    values = [measure for measure in image.measures if measure is not None]
    assert [measure.value for measure in values] == pytest.approx([0.00799825, 0.00799825])
    place = "ImageList/1/ImageData/Calibrations/Dimension"
    assert [(measure.unit, measure.source) for measure in values] == [("µm", f"{place}/1"), ("µm", f"{place}/0")]


def test_pixels_are_not_read_to_be_skipped(slices: dict[str, bytes]) -> None:
    data = next(iter(slices.values()))
    grown = bytearray(data)
    image = described(data).arrays[1]
    assert image.whole is not None
    source = Watched(bytes(grown))
    DmFormat().describe(source)
    assert source.read_bytes < len(data) - image.whole.size_bytes + 4 * BLOCK_BYTES


def test_other_files_are_told_apart() -> None:
    assert not DmFormat().recognises(b"")
    assert not DmFormat().recognises(b"II*\0" + bytes(40))
    assert not DmFormat().recognises(b"\x89HDF\r\n\x1a\n" + bytes(40))


def test_big_endian_values_are_refused_by_name(slices: dict[str, bytes]) -> None:
    data = bytearray(next(iter(slices.values())))
    data[8:12] = struct.pack(">I", 0)
    with pytest.raises(FormatError, match="byte 8: values are big-endian"):
        described(bytes(data))


@pytest.mark.parametrize("cut", [13, 100, 4600, -1000])
def test_a_file_that_ends_early_is_refused_with_the_byte(slices: dict[str, bytes], cut: int) -> None:
    with pytest.raises(FormatError, match=r"file: byte \d+"):
        DmFormat().describe(Watched(next(iter(slices.values()))[:cut]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_damaged_files_give_an_error_or_something_that_fits(slices: dict[str, bytes], data: st.DataObject) -> None:
    whole = bytearray(next(iter(slices.values())))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 5000))] = data.draw(st.integers(0, 255))
    source = Watched(bytes(whole))
    try:
        found = DmFormat().describe(source)
    except FormatError:
        return
    for array in found.arrays:
        assert array.whole is not None
        assert 0 <= array.whole.start < array.whole.stop <= source.size_bytes
