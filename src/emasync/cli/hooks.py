"""``emasync hooks``: what is made of the data after a run, made anew from what is on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from emasync import api
from emasync.cli.options import Only
from emasync.cli.volumes import Root
from emasync.model.task import escape_for_log


def hooks(
    root: Root,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="HOOK", help="index, metadata, flexiznam, report, or of plug-ins; all by default."),
    ] = None,
    *,
    only: Only = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make what follows a run again: chunk index, metadata, acquisition files, report; no request, nothing is fetched.

    Exit codes: 0 made; 1 one of them failed; 2 no such root, hook or dataset; 4 the root is locked by a run, the disk
    is full.
    """
    reports = api.hooks(root, tuple(names or ()), only=tuple(only or ()))
    if as_json:
        told = {name: {"counts": dict(one.counts), "notes": list(one.notes)} for name, one in reports.items()}
        typer.echo(json.dumps(told))
        return
    for name, report in reports.items():
        for note in report.notes:
            typer.echo(f"{name}: {escape_for_log(note)}", err=True)
        typer.echo(f"{name}: {_counted(report.counts)}", err=True)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "done"
