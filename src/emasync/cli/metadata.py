"""``emasync metadata``: the table over all assets of a root, made anew from what is on disk."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from emasync import api
from emasync.cli.volumes import Root
from emasync.model.task import escape_for_log


def metadata(
    root: Root,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe all assets again: metadata.json, metadata.csv, METADATA_SUMMARY.md; no request, nothing is fetched.

    Exit codes: 0 written; 2 no such root; 4 the root is locked by a run, the disk is full.
    """
    report = api.hook(root, "metadata")
    if as_json:
        typer.echo(json.dumps({"counts": dict(report.counts), "notes": list(report.notes)}))
        return
    for note in report.notes:
        typer.echo(escape_for_log(note), err=True)
    datasets, assets, rows, conflicts = (
        report.counts.get(name, 0) for name in ("datasets", "assets", "rows", "conflicts")
    )
    typer.echo(f"{assets:,} assets of {datasets:,} datasets, {rows:,} rows, {conflicts:,} conflicts", err=True)
