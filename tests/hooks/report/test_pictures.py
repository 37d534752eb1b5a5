"""Pictures of arrays: which planes, what is read for them, and that they show what is there."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.volume.read.desk import GZIP, Stored, store, voxels

from emasync.formats.stored import Codec, Measure
from emasync.hooks.report.cutting import Cut, cut, spans_of
from emasync.hooks.report.drawing import (
    LEAST,
    SIDE,
    Bar,
    Contrast,
    Side,
    bar_of,
    coloured,
    contrast_of,
    grey,
    length,
    pixels_for,
    png,
)
from emasync.hooks.report.extent import LEAST as LEAST_COVERAGE
from emasync.hooks.report.extent import MISSING, MOST_CHUNKS, PRESENT, coverage_png, extent_of
from emasync.hooks.report.gallery import selected
from emasync.hooks.report.planes import LEAST_SIDE, MOST_SIDE, PLANE_BYTES, Spans, cost_bytes, planes_of
from emasync.hooks.report.portrait import pictures_of
from emasync.model.geometry import Box
from emasync.volume.interface import ABSENT, NOT_DOWNLOADED, IndexedArray
from emasync.volume.volume import Volume

NM = (Measure(50.0, "nanometer", "header"), Measure(8.0, "nanometer", "header"), Measure(8.0, "nanometer", "header"))


def spans(axes: str, shape: tuple[int, ...], chunks: tuple[int, ...], *, plain: bool = False) -> Spans:
    zero = (0,) * len(shape)
    return Spans(tuple(axes), Box.from_shape(zero, shape), chunks, zero, 1, len(shape) - 1 if plain else None)


def opened(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)))


# --- which planes -------------------------------------------------------------------------------------------------


def test_a_volume_has_three_planes_through_its_centre() -> None:
    found = planes_of(spans("zyx", (10, 20, 30), (4, 4, 4)))
    assert [(plane.rows, plane.columns) for plane in found] == [(1, 2), (0, 2), (0, 1)]
    assert [plane.box.start for plane in found] == [(5, 0, 0), (0, 10, 0), (0, 0, 15)]
    assert [plane.box.shape for plane in found] == [(1, 20, 30), (10, 1, 30), (10, 20, 1)]
    assert all(plane.whole for plane in found)


@pytest.mark.parametrize(("axes", "shape"), [("yx", (20, 30)), ("zyx", (1, 20, 30)), ("yxc", (20, 30, 3))])
def test_an_image_has_one(axes: str, shape: tuple[int, ...]) -> None:
    (plane,) = planes_of(spans(axes, shape, shape))
    assert [plane.box.shape[axis] for axis in (plane.rows, plane.columns)] == [20, 30]
    assert plane.box.shape[-1] == (3 if axes == "yxc" else 30)


def test_of_many_channels_the_first_is_shown() -> None:
    (plane,) = planes_of(spans("yxc", (20, 30, 16), (20, 30, 16)))
    assert plane.box.shape == (20, 30, 1)


def test_recordings_have_none() -> None:
    assert planes_of(spans("tc", (10_000, 384), (1000, 384))) == ()
    assert planes_of(spans("x", (10_000,), (1000,))) == ()


def test_a_large_array_is_shown_in_part_and_costs_no_more_than_its_planes_may() -> None:
    large = spans("zyx", (40_000, 30_000, 30_000), (64, 64, 64))
    for plane in planes_of(large):
        assert not plane.whole
        assert plane.box.shape[plane.rows] <= MOST_SIDE
        assert cost_bytes(large, plane.box) <= PLANE_BYTES
        middle = [(low + high) // 2 for low, high in zip(plane.box.start, plane.box.stop, strict=True)]
        assert middle == [20_000, 15_000, 15_000]


def test_a_plane_that_would_cost_every_slice_is_not_shown() -> None:
    slices = spans("zyx", (184, 4_000, 5_000), (1, 4_000, 5_000))  # each decoded whole, 20 MB
    (plane,) = planes_of(slices)
    assert (plane.rows, plane.columns) == (1, 2)
    uncompressed = spans("zyx", (184, 4_000, 5_000), (1, 4_000, 5_000), plain=True)
    sides = [(plane.box.shape[plane.rows], plane.box.shape[plane.columns]) for plane in planes_of(uncompressed)]
    assert sides[0] == (MOST_SIDE, MOST_SIDE)
    assert sides[1] == (184, MOST_SIDE)
    assert LEAST_SIDE <= min(sides[2]) <= max(sides[2]) <= 128


# --- what is read -------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """4 x 4 x 4 compressed chunks, a file each."""
    return store(tmp_path, voxels((64, 64, 64)), (16, 16, 16), measures=NM)


def cached(stored: Stored) -> Any:
    return lambda: stored.volume(cache_bytes=1 << 24)


def test_pictures_read_the_chunks_they_show_and_each_once(stored: Stored) -> None:
    pictures_of(stored.array, cached(stored), partly=False)
    assert len(stored.reads) == len(set(stored.reads)) == 3 * 16 - 3 * 4 + 1


def test_a_plane_shows_what_is_there(stored: Stored) -> None:
    volume = stored.volume()
    planes = planes_of(spans_of(volume))
    data = stored.data
    for plane, expected in zip(planes, (data[32], data[:, 32], data[:, :, 32]), strict=True):
        seen = cut(volume, plane)
        assert np.array_equal(seen.voxels, expected)
        assert seen.there.all()


@pytest.mark.parametrize("codecs", [GZIP, ()])
@pytest.mark.parametrize("axes", ["xyz", "yzx", "cxyz", "zyxc"])
def test_axes_are_those_of_space_whatever_the_order_on_disk(
    axes: str, codecs: tuple[Codec, ...], tmp_path: Path
) -> None:
    sizes = {"c": 3, "z": 10, "y": 20, "x": 30}
    stored = store(
        tmp_path, voxels([sizes[axis] for axis in axes]), (3, 8, 8, 8)[-len(axes) :], axes=axes, codecs=codecs
    )
    data = np.transpose(stored.data, [axes.index(axis) for axis in "zyxc" if axis in axes])
    volume = stored.volume()
    shown = [cut(volume, plane).voxels for plane in planes_of(spans_of(volume))]
    for found, expected in zip(shown, (data[5], data[:, 10], data[:, :, 15]), strict=True):
        assert np.array_equal(found, expected)


def test_of_uncompressed_voxels_rows_are_read_and_no_more(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((16, 512, 512), "|u1"), (16, 512, 512), codecs=(), files="one")
    volume = stored.volume()
    (plane, *_) = planes_of(spans_of(volume))
    cut(volume, plane)
    assert [size for _, _, size in stored.looks] == [512 * 512]
    assert stored.reads == []
    assert spans_of(volume).fastest == 2


def test_only_what_was_asked_for_is_shown(stored: Stored) -> None:
    stored.array = replace(stored.array, bounds=Box((10, 20, 30), (20, 30, 40)))
    (plane, *_) = planes_of(spans_of(stored.volume()))
    assert plane.box == Box((15, 20, 30), (16, 30, 40))


def test_chunks_that_are_not_here_are_holes(stored: Stored) -> None:
    gone = np.ravel_multi_index((2, 1, 3), (4, 4, 4))
    stored.places.files[gone] = NOT_DOWNLOADED
    stored.places.files[np.ravel_multi_index((2, 0, 0), (4, 4, 4))] = ABSENT
    volume = stored.volume()
    seen = cut(volume, planes_of(spans_of(volume))[0])
    assert not seen.there[16:32, 48:64].any()
    assert seen.there.sum() == 64 * 64 - 16 * 16
    assert np.array_equal(seen.voxels[seen.there][64 * 20 :], stored.data[32][seen.there][64 * 20 :])
    assert (seen.voxels[:16, :16] == 0).all()

    shown = pictures_of(stored.array, cached(stored), partly=True)
    assert shown.planes[0].caption.endswith("not all of it is here")
    picture = opened(shown.planes[0].data)
    assert (picture[picture.shape[0] * 3 // 8, picture.shape[1] * 7 // 8, -1], picture[0, 0, -1]) == (0, 255)
    assert shown.coverage is not None
    assert "96.9 % of the chunks are here, 1.56 % were left out by the publisher" in shown.coverage.caption


def test_what_cannot_be_read_is_said(stored: Stored) -> None:
    (stored.root / stored.places.names[42]).write_bytes(b"\x1f\x8bnothing")
    shown = pictures_of(stored.array, cached(stored), partly=False)
    assert shown.planes == ()
    assert shown.note is not None
    assert stored.places.names[42] in shown.note


def test_whoever_is_in_a_hurry_gets_what_is_drawn(stored: Stored) -> None:
    asked = iter((False, True, True))
    shown = pictures_of(stored.array, cached(stored), partly=False, hurry=lambda: next(asked))
    assert len(shown.planes) == 1
    assert len(stored.reads) == 16


def test_what_a_library_makes_of_odd_voxels_costs_one_picture(stored: Stored, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Volume:
        raise ZeroDivisionError("nobody foresaw this")

    shown = pictures_of(stored.array, broken, partly=True)
    assert shown.note == "ZeroDivisionError: nobody foresaw this"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("size", [0.0, -8.0, float("nan"), float("inf"), 1e300, 1e-300])
def test_voxels_that_cannot_be_so_large_are_drawn_square(size: float, tmp_path: Path) -> None:
    measures = (Measure(size, "nanometer", "hostile"), *NM[1:])
    stored = store(tmp_path, voxels((16, 32, 32)), (16, 32, 32), measures=measures)
    shown = pictures_of(stored.array, stored.volume, partly=False)
    assert [plane.caption for plane in shown.planes] == ["y, x at z = 8", "z, x at y = 16", "z, y at x = 16"]
    assert [opened(plane.data).shape[:2] for plane in shown.planes] == [(200, 200), (100, 200), (100, 200)]


def test_segments_in_colours_already_stay_as_they_are(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((20, 30, 3), "|u1"), (20, 30, 3), axes="yxc")
    stored.array = replace(stored.array, role="labels")
    shown = pictures_of(stored.array, stored.volume, partly=False)
    assert opened(shown.planes[0].data).shape[-1] == 3


def test_axes_that_are_neither_space_nor_colour_are_cut_at_their_beginning(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((3, 2, 20, 30)), (1, 1, 20, 30), axes="tcyx", origin=(5, 0, 0, 0))
    assert selected(stored.array) == {"t": 5}
    shown = pictures_of(stored.array, lambda: stored.volume(select=selected(stored.array)), partly=False)
    assert len(shown.planes) == 1
    assert len(stored.reads) == 1


def test_what_stands_below_a_picture(stored: Stored) -> None:
    shown = pictures_of(stored.array, cached(stored), partly=False)
    assert shown.about == "zyx 64 \u00d7 64 \u00d7 64, voxels of 50 \u00d7 8 \u00d7 8 nm, uint16"
    assert [plane.caption for plane in shown.planes] == [
        "y, x at z = 32; bar 200 nm",
        "z, x at y = 32; bar 200 nm",
        "z, y at x = 32; bar 200 nm",
    ]
    assert shown.planes[0].alt == "set/a: plane y, x at z = 32; bar 200 nm"


# --- what is drawn ------------------------------------------------------------------------------------------------


def flat(voxels: Any) -> Cut:
    voxels = np.asarray(voxels)
    return Cut(voxels, np.ones(voxels.shape[:2], bool))


def test_contrast_leaves_out_the_outermost_values_and_what_is_no_number() -> None:
    values = np.linspace(100, 200, 10_000, dtype=np.float32)
    values[:3] = np.nan, np.inf, -np.inf
    values[-1] = 1e30
    found = contrast_of([flat(values.reshape(100, 100))])
    assert found.black == pytest.approx(100.5, abs=0.1)
    assert found.white == pytest.approx(199.5, abs=0.1)


def test_contrast_of_nothing_and_of_one_value() -> None:
    assert contrast_of([]) == Contrast(0.0, 1.0)
    assert contrast_of([flat(np.full((4, 4), np.nan))]) == Contrast(0.0, 1.0)
    assert contrast_of([flat(np.full((4, 4), 7, np.int16))]) == Contrast(7.0, 8.0)
    hidden = Cut(np.array([[1, 1], [9_999, 1]]), np.array([[True, True], [False, True]]))
    assert contrast_of([hidden]).white < 3


def test_black_is_0_and_white_is_255() -> None:
    drawn = grey(np.array([[-5, 0, 50, 100, 200]], np.int16), Contrast(0, 100))
    assert drawn.tolist() == [[0, 0, 127, 255, 255]]
    assert grey(np.array([np.nan, np.inf], np.float32), Contrast(0, 1)).tolist() == [0, 255]
    assert grey(np.array([True, False]), Contrast(0, 1)).tolist() == [255, 0]


def test_segments_have_colours_of_their_own() -> None:
    names = np.array([[0, 1, 2, 1], [2**63, 0, 3, 4]], np.uint64)
    drawn = coloured(names)
    colours = {name: {tuple(colour) for colour in drawn[names == name]} for name in np.unique(names).tolist()}
    assert all(len(found) == 1 for found in colours.values())
    assert len({*map(frozenset, colours.values())}) == 6
    assert colours[0] == {(0, 0, 0)}
    assert coloured(np.array([[-1, 3]], np.int32)).shape == (1, 2, 3)


def test_planes_of_an_array_are_drawn_at_one_scale() -> None:
    assert pixels_for([Side(100, 1.0), Side(50, 1.0)]) == LEAST / 100
    assert pixels_for([Side(250, 1.0)]) == 1.0
    assert pixels_for([Side(184, 50.0), Side(4000, 8.0)]) == SIDE / 32_000
    assert pixels_for([Side(250, 200.0), Side(300, 8.0)]) == 250 / 50_000  # the longest in the specimen


@pytest.mark.parametrize(
    ("whole_nm", "label", "pixels"),
    [(2_400, "500 nm", 50), (4_000, "1 \u00b5m", 100), (1e7, "2 mm", 200_000), (0.7, "0.2 nm", 1)],
)
def test_a_bar_has_a_round_length_and_is_as_long_as_it_says(whole_nm: float, label: str, pixels: int) -> None:
    assert bar_of(whole_nm, 0.1) == (label, pixels)


def test_lengths() -> None:
    assert [length(value) for value in (0.5, 999, 1000, 2.5e6)] == ["0.5 nm", "999 nm", "1 \u00b5m", "2.5 mm"]


def test_the_bar_is_in_the_picture() -> None:
    black = flat(np.zeros((200, 300), np.uint8))
    picture = opened(png(black, (300, 200), contrast=Contrast(0, 1), bar=Bar("1 nm", 75)))
    assert picture.shape == (200, 300)
    assert (picture == 255).any(axis=0).sum() == 75 - 1  # and a black edge around it
    assert not opened(png(black, (300, 200), contrast=Contrast(0, 1), bar=None)).any()


def test_the_specimen_keeps_its_proportions(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((10, 64, 32)), (10, 64, 32), measures=NM)
    sizes = [opened(plane.data).shape[:2] for plane in pictures_of(stored.array, stored.volume, partly=False).planes]
    scale = LEAST / 512  # 64 voxels of 8 nm are the longest side
    assert sizes == [(LEAST, LEAST // 2), (round(500 * scale), LEAST // 2), (round(500 * scale), LEAST)]


def test_colours_stay_colours_and_numbers_of_any_kind_are_drawn() -> None:
    colours = np.zeros((40, 50, 3), np.uint8)
    colours[..., 0] = 255
    drawn = opened(png(flat(colours), (50, 40), contrast=Contrast(0, 255), bar=None))
    assert drawn[0, 0].tolist() == [255, 0, 0]
    for dtype in ("bool", "int8", "uint16", "int64", "uint64", "float16", "float64", "complex64"):
        drawn = opened(png(flat(np.ones((40, 50), dtype)), (50, 40), contrast=Contrast(0, 1), bar=None))
        assert drawn.min() == 255


# --- coverage -----------------------------------------------------------------------------------------------------


def test_coverage_is_shown_along_the_axis_of_depth(stored: Stored) -> None:
    files = np.array(stored.places.files).reshape(4, 4, 4)
    files[:, 0, 0] = NOT_DOWNLOADED
    files[0, 3, 3] = ABSENT
    stored.places.files = files.reshape(-1).tolist()
    extent = extent_of(stored.array)
    assert (extent.rows, extent.columns) == ("y", "x")
    assert extent.missing[0, 0] == 1.0
    assert (extent.left_out[3, 3], extent.present[3, 3]) == (0.25, 0.75)
    assert extent.present.sum() == 14.75
    picture = opened(coverage_png(extent))
    assert picture.shape == (LEAST_COVERAGE, LEAST_COVERAGE, 3)
    assert (tuple(picture[0, 0]), tuple(picture[0, -1])) == (MISSING, PRESENT)


class Everywhere:
    """A chunk map of any size; every second layer of it is here."""

    def __init__(self, layer: int) -> None:
        self.layer = layer
        self.asked = 0

    def find(self, numbers: Any) -> Any:
        self.asked += len(numbers)
        places = np.zeros(len(numbers), np.int64)
        places[numbers // self.layer % 2 == 1] = NOT_DOWNLOADED
        return type("Places", (), {"files": places})


@pytest.mark.parametrize("grid", [(3000, 300, 300), (1, 5000, 4000), (2_000_000, 1, 1), (40, 600, 300)])
def test_a_large_grid_is_looked_at_in_part(grid: tuple[int, int, int], stored: Stored) -> None:
    places = Everywhere(grid[1] * grid[2])
    array: IndexedArray = replace(
        stored.array,
        shape=tuple(16 * count for count in grid),
        chunks=places,  # type: ignore[arg-type]  # the one method that is asked
    )
    extent = extent_of(array)
    assert MOST_CHUNKS / 8 < places.asked <= MOST_CHUNKS
    assert np.allclose(extent.present + extent.left_out + extent.missing, 1)
    assert len(coverage_png(extent)) < 200_000
