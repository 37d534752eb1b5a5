"""Charts, drawn by matplotlib into SVG: no script, and sharp at any size."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from emasync.model.run_record import Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = npt.NDArray[np.float64]

EXTRA: Final = "report"
"""Of pyproject.toml: what charts and pictures need."""

_INK: Final = "#010203"
"""Stands for the colour of text, which is the reader's choice."""

_BYTES, _OBJECTS = "#2f7ed8", "#d9822b"  # told apart by people who see no red or no green, on light and dark

_A_FEW: Final = 3

_STYLE: Final = "<style>svg{color:#24292f}@media (prefers-color-scheme: dark){svg{color:#d0d7de}}</style>"

_FINER: Final = re.compile(r"(\.[0-9]{2})[0-9]+")
"""Digits of coordinates that nobody sees, a hundredth of a point and less: half of a picture of traces."""

_SETTINGS: Final[dict[Any, Any]] = {  # Any: of matplotlib, which checks them
    "svg.fonttype": "none",  # letters stay letters: smaller, and in the reader's font
    "svg.hashsalt": "emasync",  # the same samples give the same bytes
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}


def drawable() -> bool:
    """Whether what charts and pictures need is installed."""
    return find_spec("matplotlib") is not None and find_spec("PIL") is not None


def throughput(samples: Sequence[Sample]) -> bytes:
    """Bytes and objects a second over the time of a run, as SVG.

    Parameters
    ----------
    samples : sequence of Sample
        Two at least, of different times.
    """
    unit, unit_s = _unit(samples[-1].after_s)
    edges = [sample.after_s / unit_s for sample in samples]
    with _figure(height=2.9) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 2)})
        upper.stairs([rate / 1e6 for rate in _rates(samples, "received_bytes")], edges, fill=True, color=_BYTES)
        upper.set_ylabel("MB/s")
        lower.stairs(list(_rates(samples, "placed_objects")), edges, fill=True, color=_OBJECTS)
        lower.set_ylabel("objects/s")
        lower.set_xlabel(f"{unit} since the run began")
        for axes in (upper, lower):
            axes.set_ylim(bottom=0)
            axes.margins(x=0)
        figure.align_ylabels()
        return _svg(figure)


def traces(low: Numbers, high: Numbers, gap: float, *, channels: range, seconds: tuple[float, float] | None) -> bytes:
    """Lines of a recording, one below the other, as SVG.

    Parameters
    ----------
    low, high : ndarray of float
        Columns by channels: what each point of a line spans.
    gap : float
        Between two lines.
    channels : range
        Their numbers.
    seconds : (float, float) or None
        Of the first and the last column; None where nobody tells the rate.
    """
    lines = len(channels)
    begin, end = seconds if seconds is not None else (0.0, 1.0)
    places = np.repeat(np.linspace(begin, end, len(low)), 2)
    levels = -gap * np.arange(lines)
    with _figure(height=0.8 + 0.22 * max(lines, 4)) as figure:
        axes = figure.subplots()
        axes.plot(places, np.stack((low, high), axis=1).reshape(-1, lines) + levels, color=_BYTES, linewidth=0.6)
        axes.set_yticks(levels, [f"{channel}" for channel in channels])
        axes.set_ylabel("channel")
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0, y=0.02)
        if seconds is None:
            axes.set_xticks([])
        axes.set_xlabel("samples" if seconds is None else "seconds since the beginning")
        return _svg(figure)


def _unit(time_s: float) -> tuple[str, float]:
    """Name and seconds of the longest unit of which there are a few."""
    units = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0), ("seconds", 1.0))
    return next(unit for unit in units if time_s >= _A_FEW * unit[1] or unit[1] == 1.0)


def _rates(samples: Sequence[Sample], name: str) -> Iterator[float]:
    for before, after in pairwise(samples):
        yield max(0, getattr(after, name) - getattr(before, name)) / (after.after_s - before.after_s)


@contextmanager
def _figure(*, height: float) -> Iterator[Figure]:
    """A figure of the page's width, `height` in inches, whatever this user's own settings of matplotlib are."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and half a second
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield Figure(figsize=(9.0, height), layout="constrained")


def _svg(figure: Figure) -> bytes:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = _FINER.sub(r"\1", text[text.index("<svg") :])  # no document type
    return text.replace("<defs>", f"<defs>{_STYLE}", 1).replace(_INK, "currentColor").encode()
