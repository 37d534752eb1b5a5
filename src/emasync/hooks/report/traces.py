"""Traces of recordings: a short stretch of some neighbouring channels, from the middle of what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emasync.hooks.report import plots
from emasync.hooks.report.cutting import spans_of
from emasync.hooks.report.drawing import PERCENTILES, real
from emasync.hooks.report.pictures import SVG, Picture
from emasync.hooks.report.planes import PLANE_BYTES, Spans, cost_bytes
from emasync.model.geometry import Box
from emasync.model.units import SECONDS
from emasync.volume.absence import name_of
from emasync.volume.cache import Voxels
from emasync.volume.interface import IndexedArray
from emasync.volume.volume import Volume

MOST_SAMPLES: Final = 30_000
"""Shown at most: a second of spikes, half a minute of field potentials, some minutes of a running wheel."""

LEAST_SAMPLES: Final = 64
"""Less says nothing."""

MOST_CHANNELS: Final = 16

COLUMNS: Final = 300
"""Points of a line: the lowest and the highest of what lies behind each are drawn, so that no spike is lost."""

_TIME: Final = ("time", "t")
_NWB: Final = (".nwb", ".nwb.zarr")


class Trace(NamedTuple):
    """What lines are drawn from.

    Attributes
    ----------
    low, high : ndarray of float
        Columns by channels, around the median of each channel.
    gap : float
        Between two lines: the range of nearly all values.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    gap: float


def time_axis(axes: Sequence[str], asset: str, array: str) -> int | None:
    """Which axis of a recording is time; None for what is no recording.

    The first of a time series in NWB (core schema 2.0 and later: ``TimeSeries.data``), whose axes have no names.

    Parameters
    ----------
    axes : sequence of str
    asset, array : str
        Paths.
    """
    if len(axes) > 2:  # noqa: PLR2004 - time and channels
        return None
    if asset.lower().endswith(_NWB) and array.endswith("/data") and axes[:1] == ("d0",):
        return 0
    return next((axis for axis, name in enumerate(axes) if name.lower() in _TIME), None)


def traces_of(volume: Volume, hurry: Callable[[], bool]) -> Iterator[Picture]:
    """The one picture of a recording; none where it is too short, or a short stretch would cost too much.

    Raises
    ------
    EmasyncError
        It cannot be read, or was not downloaded.
    """
    time = time_axis(volume.axes, volume.array.asset, volume.array.array)
    if time is None or hurry():
        return
    box = window_of(spans_of(volume), time)
    if box is None:
        return
    trace = trace_of(np.moveaxis(volume.read(box.start, box.shape), time, 0).reshape(box.shape[time], -1))
    channels = next((range(low, high) for axis, (low, high) in enumerate(_sides(box)) if axis != time), range(1))
    step_s = _step_s(volume.array, time)
    seconds = None if step_s is None else (box.start[time] * step_s, box.stop[time] * step_s)
    told = _caption(volume.array, channels, seconds, box.shape[time], trace.gap)
    drawn = plots.traces(trace.low, trace.high, trace.gap, channels=channels, seconds=seconds)
    yield Picture(data=drawn, alt=f"{name_of(volume.array)}: traces, {told}", caption=told, kind=SVG)


def window_of(spans: Spans, time: int) -> Box | None:
    """The stretch that is read: in the middle of time, and around the middle channel.

    Parameters
    ----------
    spans : Spans
        Of time, and of channels where there are several.
    time : int
        Its axis.
    """
    samples = MOST_SAMPLES
    while samples >= LEAST_SAMPLES:
        most = [samples if axis == time else MOST_CHANNELS for axis in range(len(spans.axes))]
        shape = [min(size, extent) for size, extent in zip(most, spans.bounds.shape, strict=True)]
        if shape[time] < LEAST_SAMPLES:
            return None
        sides = zip(spans.bounds.start, spans.bounds.shape, shape, strict=True)
        start = [low + (extent - size) // 2 for low, extent, size in sides]
        box = Box.from_shape(start, shape)
        if _cost_bytes(spans, box, time) <= PLANE_BYTES:
            return box
        samples //= 2
    return None


def _cost_bytes(spans: Spans, box: Box, time: int) -> int:
    """Rows of all channels that lie in files as they are, one behind the other, cost no more than themselves."""
    cost = cost_bytes(spans, box)
    if spans.fastest is None or spans.fastest == time:
        return cost
    return min(cost, box.shape[time] * spans.bounds.shape[spans.fastest] * spans.itemsize_bytes)


def trace_of(values: Voxels) -> Trace:
    """Samples by channels as lines."""
    samples = real(values).astype(np.float64)
    samples[~np.isfinite(samples)] = np.nan
    there = np.isfinite(samples).any(axis=0)
    samples[:, ~there] = 0.0
    samples -= np.nanmedian(samples, axis=0)
    edges = np.linspace(0, len(samples), min(COLUMNS, len(samples)), endpoint=False).astype(np.int64)
    low, high = (extreme.reduceat(samples, edges, axis=0) for extreme in (np.fmin, np.fmax))
    bottom, top = np.nanpercentile(samples, PERCENTILES)
    return Trace(low, high, float(top - bottom) or 1.0)


def about(array: IndexedArray, time: int) -> str:
    """What stands below it."""
    step_s = _step_s(array, time)
    sizes = " \u00d7 ".join(f"{size:,}" for size in array.bounds.shape)
    rate = "rate unknown" if step_s is None else f"{1 / step_s:,.6g} Hz, {array.bounds.shape[time] * step_s:,.6g} s"
    return f"{', '.join(array.axes)} {sizes}, {rate}, {np.dtype(array.layout.dtype).name}"


def _sides(box: Box) -> Iterator[tuple[int, int]]:
    return zip(box.start, box.stop, strict=True)


def _step_s(array: IndexedArray, time: int) -> float | None:
    measure = array.measures[time]
    unit_s = None if measure is None else SECONDS.get(measure.unit.lower())
    return None if measure is None or unit_s is None or not measure.value > 0 else measure.value * unit_s


def _caption(
    array: IndexedArray, channels: range, seconds: tuple[float, float] | None, samples: int, gap: float
) -> str:
    named = f"channels {channels[0]} to {channels[-1]}" if len(channels) > 1 else "one channel"
    stretch = f"{samples:,} samples" if seconds is None else f"{seconds[1] - seconds[0]:.3g} s"
    gain_uv = array.attributes.get("gain_uv")
    size = f"{gap * gain_uv:,.3g} \u00b5V" if isinstance(gain_uv, int | float) else f"{_amount(gap)} as stored"
    return f"{named}, {stretch} from the middle; {'from line to line' if len(channels) > 1 else 'range'}: {size}"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if 1_000 <= value < 1e9 else f"{value:.4g}"  # noqa: PLR2004 - as people write them
