"""``emasync plan``: what a run would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from emasync import api
from emasync.cli.exit_codes import EXIT_FAILED, EXIT_STOPPED
from emasync.cli.options import AllowPrivate, Mirror, Only
from emasync.cli.report import plan_text
from emasync.cli.run import mirrors_of
from emasync.errors import InputError


def plan(
    manifest: Annotated[Path, typer.Argument(help="The YAML manifest.")],
    *,
    root: Annotated[Path | None, typer.Option(help="Where the data would go; wins over the manifest.")] = None,
    only: Only = None,
    mirror: Mirror = None,
    max_total: Annotated[str | None, typer.Option(help="Compare with this size, such as 2TB.")] = None,
    lock: Annotated[bool, typer.Option("--lock", help="Write manifest.lock beside the manifest.")] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Compare with manifest.lock; fail on any drift.")] = False,
    lock_file: Annotated[
        Path | None, typer.Option("--lock-file", "-o", help="The lock, in place of the one beside the manifest.")
    ] = None,
    allow_private: AllowPrivate = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a run would do: objects, bytes, requests a host, space, names. Fetches no data; writes the lock only.

    Exit codes: 0 it would fit; 1 something cannot be planned or drifted from the lock, each thing named; 2 the
    manifest, its lock or the command line is wrong; 4 it would not fit this machine or max_total.
    """
    if lock and locked:
        raise InputError("--lock writes the lock and --locked compares with it: use one of them")
    options = api.RunOptions(
        only=tuple(only or ()),
        mirrors=mirrors_of(mirror),
        max_total_bytes=api.parse_size(max_total) if max_total else None,
        locked=locked,
        lock_file=lock_file,
        allow_private=allow_private,
    )
    with api.plan(manifest, root=root, options=options, lock=lock) as preview:
        document = preview.to_dict()
    typer.echo(json.dumps(document) if as_json else plan_text(document))
    if lock and document["lock"] is None:
        typer.echo("no lock was written: not everything could be planned", err=True)
    if document["problem"] is not None:
        raise typer.Exit(EXIT_STOPPED)
    if document["failures"]:
        raise typer.Exit(EXIT_FAILED)
