"""Files that are one volume: in natural order, each from its own offset, and none moved up when another is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.hooks.index.assembling import NotHereError, assembled
from tests.hooks.index.places import all_places, indexed, run_hook

from emasync.hooks.index.series import natural_key
from emasync.hooks.interface import DatasetFacts, SeriesFacts
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.testing.sbfsem import Slice, slice_file
from emasync.testing.tiff import ArrayPages, write_pages
from emasync.volume.index import open_index
from emasync.volume.interface import NOT_DOWNLOADED, UNKNOWN

Plane = NDArray[Any]
PLANES = np.random.default_rng(4).integers(0, 255, (12, 20, 16), dtype=np.uint8)


def write_dm3(path: Path, plane: Plane, number: int) -> None:
    """A slice as a microscope writes it: the thumbnail grows from the third on, so pixels begin later."""
    pixels = ArrayPages(plane[None]).page(0)
    thumbnail = (8, 8) if number < 3 else (16, 12)
    rows, columns = plane.shape
    body = slice_file(Slice(number=number, rows=rows, columns=columns, thumbnail=thumbnail, pixels=pixels))
    path.write_bytes(b"".join(piece.read(0, piece.size_bytes) for piece in body.pieces))


def write_tiff(path: Path, plane: Plane, _number: int) -> None:
    """A slice of several compressed strips."""
    tifffile.imwrite(path, plane, compression="zlib", rowsperstrip=8)


def write_png(path: Path, plane: Plane, _number: int) -> None:
    path.write_bytes(imagecodecs.png_encode(plane))


def series(root: Path, suffix: str, planes: Plane, write: Callable[[Path, Plane, int], None] | None = None) -> Path:
    """A folder of slices; numbers have no leading zeros."""
    folder = root / "d" / "slices"
    folder.mkdir(parents=True)
    written = write or {".dm3": write_dm3, ".tif": write_tiff, ".png": write_png}[suffix]
    for number, plane in enumerate(planes):
        written(folder / f"s_{number}{suffix}", plane, number)
    (folder / "s_notes.txt").write_text("not of the series")
    return folder


def told(suffix: str) -> SeriesFacts:
    return SeriesFacts(pattern=f"slices/s_*{suffix}", spacing=50, unit="nanometer")


@given(st.lists(st.integers(0, 10**30), min_size=2, max_size=20))
def test_numbers_sort_as_numbers(numbers: list[int]) -> None:
    names = [f"slice_{number}.tif" for number in numbers]
    assert [int(name[6:-4]) for name in sorted(names, key=natural_key)] == sorted(numbers)


@pytest.mark.parametrize("suffix", [".dm3", ".tif", ".png"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_slices_are_one_volume_in_natural_order(suffix: str, dtype: str, tmp_path: Path) -> None:
    if suffix == ".dm3" and dtype != "uint8":
        pytest.skip("the twin's microscope writes bytes")
    planes = PLANES.astype(dtype) * (257 if dtype == "uint16" else 1)
    series(tmp_path, suffix, planes)
    index, report = indexed(tmp_path, series=told(suffix))
    (array,) = index.arrays()
    assert (array.asset, array.axes, array.shape) == ("slices", ("z", "y", "x"), (12, 20, 16))
    assert (assembled(array, tmp_path) == planes).all()
    assert array.measures[0] is not None
    assert (array.measures[0].value, array.measures[0].unit) == (50, "nanometer")
    assert array.measures[0].source == "manifest: series.spacing"
    assert array.chunks.kind == "pages"
    assert report.notes == ()


def test_offsets_are_those_of_each_file(tmp_path: Path) -> None:
    series(tmp_path, ".dm3", PLANES)
    (array,) = indexed(tmp_path, series=told(".dm3"))[0].arrays()
    assert len(set(all_places(array).starts.tolist())) == 2


def test_slices_of_another_shape_keep_their_place_and_are_named(tmp_path: Path) -> None:
    folder = series(tmp_path, ".dm3", PLANES)
    write_dm3(folder / "s_5.dm3", PLANES[5, :10], 5)
    (folder / "s_7.dm3").write_bytes(b"no microscope wrote this")
    index, report = indexed(tmp_path, series=told(".dm3"))
    (array,) = index.arrays()
    files = all_places(array).files
    assert np.flatnonzero(files == UNKNOWN).tolist() == [5, 7]
    assert array.shape == PLANES.shape
    assert any("s_5.dm3: a plane of (10, 16)" in note for note in report.notes)
    assert any("s_7.dm3" in note for note in report.notes)
    with pytest.raises(NotHereError):
        assembled(array, tmp_path)


def test_slices_that_are_to_be_fetched_yet_keep_their_place(tmp_path: Path) -> None:
    folder = series(tmp_path, ".dm3", PLANES)
    for number in (4, 11):
        (folder / f"s_{number}.dm3").unlink()
    ledger = SqliteLedger.open(tmp_path / ".emasync", root=tmp_path, clock=SystemClock())
    ledger.begin_plan("d", "00")
    found = ledger.add_set(TaskSetSpec(dataset="d", base="https://example.org/", destination="d"))
    ledger.add_entries(found, [ObjectEntry(f"slices/s_{number}.dm3") for number in (11, 4)])
    ledger.finish_set(found)
    ledger.finish_plan("d")
    ledger.close(clean=True)
    run_hook(tmp_path, DatasetFacts(id="d", folder="d", series=told(".dm3")))
    (array,) = open_index(tmp_path, "d").arrays()
    assert np.flatnonzero(all_places(array).files == NOT_DOWNLOADED).tolist() == [4, 11]
    assert array.shape == PLANES.shape


def test_a_series_of_nothing_is_a_note(tmp_path: Path) -> None:
    series(tmp_path, ".tif", PLANES[:2], lambda path, *_: path.write_bytes(b"II*\0") and None)
    index, report = indexed(tmp_path, series=told(".tif"))
    assert len(index) == 0
    assert any("none of its 2 files holds a plane" in note for note in report.notes)


def test_pictures_that_are_not_grey_are_no_slices(tmp_path: Path) -> None:
    series(tmp_path, ".png", np.zeros((2, 5, 4, 3), np.uint8))
    index, report = indexed(tmp_path, series=told(".png"))
    assert len(index) == 0
    assert any("colour type 2" in note for note in report.notes)


def test_files_of_several_images_are_no_slices(tmp_path: Path) -> None:
    folder = series(tmp_path, ".tif", PLANES)
    write_pages(folder / "s_3.tif", PLANES[:4], pixel_nm=4)
    index, report = indexed(tmp_path, series=told(".tif"))
    (array,) = index.arrays()
    assert all_places(array).files.reshape(12, -1)[3].tolist() == [UNKNOWN] * 3
    assert any("s_3.tif" in note for note in report.notes)


@pytest.mark.parametrize("suffix", [".dm3", ".tif"])
def test_slices_that_did_not_change_are_described_once(suffix: str, tmp_path: Path) -> None:
    """All but the first of them are unreadable afterwards, to whoever looks into them; one is new, one changed."""
    folder = series(tmp_path, suffix, PLANES[:10])
    (before,) = indexed(tmp_path, series=told(suffix))[0].arrays()
    known = all_places(before)
    write = {".dm3": write_dm3, ".tif": write_tiff}[suffix]
    write(folder / f"s_10{suffix}", PLANES[10], 10)
    write(folder / f"s_4{suffix}", PLANES[4, :10], 4)
    for number in (1, 2, 3, 5, 6, 7, 8, 9):
        path = folder / f"s_{number}{suffix}"
        facts = path.stat()
        path.write_bytes(b"\0" * facts.st_size)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    index, report = indexed(tmp_path, series=told(suffix))
    (after,) = index.arrays()
    found = all_places(after)
    each = len(known.files) // 10
    assert after.shape == (11, 20, 16)
    assert (found.files.reshape(11, each)[:, 0] == UNKNOWN).tolist() == [number == 4 for number in range(11)]
    same = np.repeat(np.arange(10) != 4, each)
    assert (found.starts[: len(same)][same] == known.starts[same]).all()
    assert (found.sizes[: len(same)][same] == known.sizes[same]).all()
    assert len(report.notes) == 1
    assert f"s_4{suffix}" in report.notes[0]
