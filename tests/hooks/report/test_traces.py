"""Traces of recordings: which stretch, what is read for it, and that no spike is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.hooks.report.test_gallery import CUBE
from tests.volume.read.desk import GZIP, Stored, store, voxels

from emasync.formats.stored import Measure
from emasync.hooks.report.gallery import MOST_ARRAYS, chosen, selected
from emasync.hooks.report.pictures import SVG
from emasync.hooks.report.planes import PLANE_BYTES, Spans
from emasync.hooks.report.plots import traces
from emasync.hooks.report.portrait import pictures_of
from emasync.hooks.report.traces import (
    COLUMNS,
    LEAST_SAMPLES,
    MOST_CHANNELS,
    MOST_SAMPLES,
    time_axis,
    trace_of,
    window_of,
)
from emasync.model.geometry import Box
from emasync.volume.interface import NOT_DOWNLOADED

KILOHERTZ = (Measure(1.0, "millisecond", "header"), None)
TRACE = replace(
    CUBE,
    axes=("time", "channel"),
    shape=(9_000, 4),
    bounds=Box((0, 0), (9_000, 4)),
    measures=(None, None),
    array="traces",
)


def spans(samples: int, channels: int, chunks: tuple[int, int], *, fastest: int | None = None) -> Spans:
    return Spans(("time", "channel"), Box((0, 0), (samples, channels)), chunks, (0, 0), 2, fastest)


# --- which stretch ------------------------------------------------------------------------------------------------


def test_a_stretch_in_the_middle_of_some_channels_in_the_middle() -> None:
    found = window_of(spans(10_000_000, 384, (30_000, 384)), 0)
    assert found is not None
    assert found.shape == (MOST_SAMPLES, MOST_CHANNELS)
    assert found.start == (5_000_000 - MOST_SAMPLES // 2, 192 - MOST_CHANNELS // 2)
    assert window_of(spans(1_000, 4, (30_000, 384)), 0) == Box((0, 0), (1_000, 4))
    assert window_of(spans(LEAST_SAMPLES - 1, 4, (100, 4)), 0) is None


def test_a_stretch_costs_no_more_than_a_picture_may() -> None:
    found = window_of(spans(10_000_000, 1_000, (10_000, 1_000)), 0)  # 20 MB a chunk: three may be read, four cannot
    assert found is not None
    assert found.shape[0] == MOST_SAMPLES // 2
    assert window_of(spans(10_000_000, 1_000, (PLANE_BYTES // 1_000, 1_000)), 0) is None


def test_rows_of_an_uncompressed_file_cost_themselves_and_no_pages() -> None:
    found = window_of(spans(100_000_000, 384, (100_000_000, 384), fastest=1), 0)
    assert found is not None
    assert found.shape[0] == MOST_SAMPLES


@pytest.mark.parametrize(
    ("axes", "asset", "array", "expected"),
    [
        (("time", "channel"), "a", "x.raw", 0),
        (("c", "T"), "a.zarr", "0", 1),
        (("time",), "a", "wheel", 0),
        (("d0", "d1"), "sub-1/x.NWB", "acquisition/ElectricalSeries/data", 0),
        (("d0",), "x.nwb.zarr", "acquisition/wheel/data", 0),
        (("d0", "d1"), "x.nwb", "units/spike_times", None),
        (("d0", "d1"), "x.h5", "acquisition/data", None),
        (("d0", "d1", "d2"), "x.nwb", "acquisition/movie/data", None),
        (("t", "y", "x"), "a.zarr", "0", None),
        ((), "x.nwb", "acquisition/x/data", None),
    ],
)
def test_which_arrays_are_recordings(axes: tuple[str, ...], asset: str, array: str, expected: int | None) -> None:
    assert time_axis(axes, asset, array) == expected


def test_recordings_are_shown_behind_pictures_and_those_of_many_channels_first() -> None:
    single = replace(TRACE, array="wheel", axes=("time",), shape=(9_000,), bounds=Box((0,), (9_000,)))
    assert [entry.array for entry in chosen([single, TRACE, CUBE])] == ["em", "traces", "wheel"]
    assert len(chosen([TRACE] * 5)) == MOST_ARRAYS
    assert chosen([replace(TRACE, bounds=Box((0, 0), (0, 4)))]) == []


# --- what is drawn ------------------------------------------------------------------------------------------------


def test_no_spike_is_lost_and_channels_lie_around_their_medians() -> None:
    samples = np.full((30_000, 2), 500, "<i2")
    samples[:, 1] = -70
    samples[12_345, 0] += 90
    samples[23_456, 1] -= 80
    found = trace_of(samples)
    assert found.low.shape == found.high.shape == (COLUMNS, 2)
    assert (found.high[:, 0].max(), found.low[:, 0].min()) == (90, 0)
    assert (found.high[:, 1].max(), found.low[:, 1].min()) == (0, -80)
    assert np.flatnonzero(found.high[:, 0]) == 12_345 * COLUMNS // 30_000


def test_what_is_no_number_is_a_gap_and_nothing_stops_it() -> None:
    samples = np.array([[0.0, np.nan, np.inf]] * 100)
    samples[50:, 0] = np.nan
    found = trace_of(samples)
    assert np.isnan(found.low[60, 0])
    assert found.low[10, 0] == found.low[60, 1] == found.low[60, 2] == 0
    assert found.gap == 1.0
    assert b"nan" not in traces(found.low, found.high, found.gap, channels=range(3), seconds=None).lower()


# --- what is read -------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """100 seconds of 64 channels, in chunks of a second of 8 channels."""
    data = voxels((100_000, 64), "<i2")
    return store(tmp_path, data, (1_000, 8), axes="tc", codecs=GZIP, measures=KILOHERTZ)


def test_a_stretch_reads_the_chunks_it_shows_and_each_once(stored: Stored) -> None:
    shown = pictures_of(stored.array, stored.volume, partly=False)
    assert shown.about == "t, c 100,000 \u00d7 64, 1,000 Hz, 100 s, int16"
    (picture,) = shown.planes
    assert picture.kind == SVG
    assert picture.caption.startswith("channels 24 to 39, 30 s from the middle; from line to line: ")
    assert picture.alt.endswith(f"traces, {picture.caption}")
    assert len(stored.reads) == len(set(stored.reads)) == 30 * 2
    text = picture.data.decode()
    assert all(f">{label}<" in text for label in (24, 39, 40, 60, "channel", "seconds since the beginning"))
    assert len(picture.data) < 200_000
    assert selected(stored.array) == {}


def test_a_gain_tells_microvolts(stored: Stored) -> None:
    stored.array = replace(stored.array, attributes={"gain_uv": 0.195}, measures=(None, None))
    (picture,) = pictures_of(stored.array, stored.volume, partly=False).planes
    assert picture.caption.endswith("\u00b5V")
    assert "30,000 samples from the middle" in picture.caption


def test_what_was_not_downloaded_is_said(stored: Stored) -> None:
    chunk = 50 * 8 + 4
    stored.places.files[chunk], stored.places.sizes[chunk] = NOT_DOWNLOADED, 0
    shown = pictures_of(stored.array, stored.volume, partly=False)
    assert shown.planes == ()
    assert "not downloaded" in str(shown.note)
