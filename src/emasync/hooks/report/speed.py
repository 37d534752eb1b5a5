"""How fast the last runs went, and whom they asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final
from xml.etree.ElementTree import Element

from emasync.hooks.report import plots
from emasync.hooks.report.markup import Child, cut, data_uri, tag
from emasync.hooks.report.tables import table
from emasync.model.amounts import megabytes
from emasync.model.run_record import HostRecord, RunRecord, Sample

_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")

ROWS: Final = 12
"""Spans of time in the table beside the chart."""

WORTH_A_TABLE: Final = 5
"""Samples, two a second: less is told in a sentence."""

CHARTED_S: Final = 5.0
"""A shorter run has the table alone: a chart takes two thirds of a second, most of it the import of matplotlib."""


def speed_section(runs: Sequence[RunRecord], *, charts: bool) -> Element | None:
    """What the runs that are remembered did; None where none is.

    Parameters
    ----------
    runs : sequence of RunRecord
        The newest first.
    charts : bool
        Draw them.
    """
    if not runs:
        return None
    telling = next((run for run in runs if run.bytes_fetched), runs[0])  # the last may have found all in its place
    return tag(
        "section",
        tag("h2", "Transfer"),
        _over_time(telling, charts=charts),
        _hosts(telling),
        _runs(runs) if len(runs) > 1 else None,
        id="transfer",
    )


def _over_time(run: RunRecord, *, charts: bool) -> list[Child]:
    samples = distinct(run.samples)
    told = f"Throughput of the run of {moment(run.started)}: {_mean(run)} on average over {duration(run.wall_s)}."
    if len(samples) < WORTH_A_TABLE:
        return [tag("p", told)]
    rows = table(
        "Throughput", ("From", "To", "Received", "Bytes a second", "Objects"), _spans(samples), numbers=range(5)
    )
    if not charts or run.wall_s < CHARTED_S:
        return [tag("p", told), rows]
    picture = tag("img", src=data_uri("image/svg+xml", plots.throughput(samples)), alt=told, class_="chart")
    return [
        tag("figure", picture, tag("figcaption", told), id="throughput"),
        tag("details", tag("summary", "The same as a table"), rows),
    ]


def distinct(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Samples with time between them, beginning where the run began."""
    kept = [Sample(0.0, 0, 0)]
    for sample in samples:
        if sample.after_s > kept[-1].after_s:
            kept.append(sample)
        else:
            kept[-1] = sample
    return tuple(kept)


def _spans(samples: Sequence[Sample]) -> Iterator[tuple[Child, ...]]:
    every = -(-(len(samples) - 1) // ROWS)
    ends = [*samples[::every], samples[-1]] if (len(samples) - 1) % every else samples[::every]
    for before, after in pairwise(ends):
        received = after.received_bytes - before.received_bytes
        rate = megabytes(received / (after.after_s - before.after_s))
        objects = after.placed_objects - before.placed_objects
        yield f"{before.after_s:.1f} s", f"{after.after_s:.1f} s", megabytes(received), f"{rate}/s", objects


def _hosts(run: RunRecord) -> Child:
    if not run.hosts:
        return None
    heads = ("Origin", "Requests", "Tried again", "Gone silent", "Received", "Connections at once")
    rows = [_host(host) for host in run.hosts]
    return table(f"Whom the run of {moment(run.started)} asked", heads, rows, numbers=range(1, 6), more=run.more_hosts)


def _host(host: HostRecord) -> tuple[Child, ...]:
    most = f"{host.connections:,}" if host.connections else "not known"
    allowed = f" of {host.cap:,}" if host.connections and host.cap else ""
    received = megabytes(host.received_bytes)
    return cut(host.origin, 200), host.requests, host.retries, host.stalls, received, most + allowed


def _runs(runs: Sequence[RunRecord]) -> Element:
    heads = ("Began", "Took", "Received", "On average", "Requests", "Tried again", "Ended")
    rows = [
        (
            moment(run.started),
            duration(run.wall_s),
            megabytes(run.bytes_fetched),
            _mean(run),
            run.requests,
            run.retries,
            _end(run),
        )
        for run in runs
    ]
    return table("Runs that transferred something, the newest first", heads, rows, numbers=range(1, 6))


def _end(run: RunRecord) -> str:
    return "at its end" if run.stopped is None else run.stopped


def _mean(run: RunRecord) -> str:
    return f"{megabytes(run.bytes_fetched / run.wall_s)}/s" if run.wall_s > 0 else "at once"


def moment(text: str) -> str:
    """A moment of RFC 3339 as people read it, to the second; any other text as it is."""
    found = _MOMENT.fullmatch(text)
    return text if found is None else f"{found[1]} {found[2]} UTC"


def duration(time_s: float) -> str:
    """A time as people say it."""
    if time_s < 120:  # noqa: PLR2004 - two minutes
        return f"{time_s:.1f} s"
    minutes, hours = round(time_s / 60), time_s / 3600
    return f"{minutes} min" if minutes < 120 else f"{hours:.1f} h"  # noqa: PLR2004 - two hours
