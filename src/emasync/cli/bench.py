"""``emasync bench``: throughput against a source, within its policy and a budget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emasync import api
from emasync.cli.options import Mirror, Only
from emasync.model.amounts import megabytes

if TYPE_CHECKING:
    from emasync.api.bench_ladder import Measured
    from emasync.api.bench_sample import Sample

EXIT_NOTHING = 1

COLUMNS = ("connections", "part size", "MB/s", "objects/s", "first byte p50", "p95", "errors", "retries", "")


def bench(
    source: Annotated[str, typer.Argument(help="A URL of an object or a prefix, or a YAML manifest.")],
    *,
    budget: Annotated[str, typer.Option(help="Most bytes that are asked for, such as 512MiB.")] = "512MiB",
    time: Annotated[str, typer.Option(help="Longest duration, such as 60s.")] = "60s",
    only: Only = None,
    mirror: Mirror = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each step.")] = False,
) -> None:
    """Measure a source with more and more connections, and print the settings that came out best.

    All policies hold: limits of the host, Retry-After, back-off. Bytes go to memory only. Parts of large objects count
    as objects.

    Exit codes: 0 measured; 1 nothing could be measured; 2 the URL, the manifest or the command line is wrong.
    """
    report = api.bench(
        source,
        budget_bytes=api.parse_size(budget),
        time_s=api.parse_duration(time),
        on_measured=None if as_json or quiet else _told,
        options=api.RunOptions(only=tuple(only or ()), mirrors=dict(map(api.parse_mirror, mirror or ()))),
    )
    document = report.to_dict()
    typer.echo(json.dumps(document) if as_json else bench_text(document))
    if document["problem"] is not None:
        raise typer.Exit(EXIT_NOTHING)


def _told(sample: Sample, step: Measured) -> None:
    """A line on stderr as soon as a setting was measured: a minute is long."""
    part = "" if step.setting.part_bytes is None else f", parts of {_parts(step.setting.part_bytes)}"
    rate = f"{megabytes(step.goodput_bytes_per_s)}/s, {step.requests_per_s:,.1f} objects/s"
    typer.echo(f"{sample.origin}, {sample.kind}: {step.setting.connections} connections{part}: {rate}", err=True)


def bench_text(document: dict[str, Any]) -> str:
    """The report for people (Any: JSON)."""
    lines = [line for host in document["hosts"] for line in _host_lines(host)]
    lines += [f"{failure['kind']}: {failure['message']}" for failure in document["failures"]]
    if document["problem"] is not None:
        return "\n".join([*lines, f"nothing could be measured: {document['problem']}"])
    lines += [f"{megabytes(document['bytes'])} asked for in {document['seconds']:.1f} s", ""]
    return "\n".join([*lines, *_settings_lines(document["settings"])])


def _host_lines(host: dict[str, Any]) -> list[str]:
    """A table of one origin (Any: JSON)."""
    title = f"{host['origin']}: {host['kind']} objects, {host['objects']:,} in the sample, "
    rows = [COLUMNS, *(_row(step) for step in host["steps"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    table = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"{title}at most {host['max_connections']} connections", *table, *host["notes"], ""]


def _row(step: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table (Any: JSON)."""
    return (
        str(step["connections"]),
        "whole" if step["part_bytes"] is None else _parts(step["part_bytes"]),
        f"{step['goodput_bytes_per_s'] / 1e6:,.1f}",
        f"{step['requests_per_s']:,.1f}",
        _milliseconds(step["first_byte_p50_s"]),
        _milliseconds(step["first_byte_p95_s"]),
        str(step["errors"]),
        str(step["retries"]),
        "best" if step["best"] else "",
    )


def _milliseconds(time_s: float | None) -> str:
    return "-" if time_s is None else f"{time_s * 1e3:,.1f} ms"


def _parts(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):g}MiB"


def _settings_lines(settings: dict[str, Any]) -> list[str]:
    """The block to paste into a manifest (Any: JSON); keys are quoted, because they hold colons."""
    if not settings:
        return ["local files have no settings"]
    lines = ["settings:", "  hosts:"]
    for host, row in settings["hosts"].items():
        lines += [f"    {json.dumps(host)}:", *(f"      {key}: {value}" for key, value in row.items())]
    return lines
