"""``emasync get``: a run without a manifest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from emasync import api
from emasync.cli.display import display_for
from emasync.cli.log import log_to, logged
from emasync.cli.options import (
    Adopt,
    AllowPrivate,
    Checksums,
    EventsJson,
    LogFile,
    MaxBandwidth,
    MaxTotal,
    Mirror,
    NoHooks,
    ObjectsJson,
    Quiet,
    Refresh,
    Workers,
)
from emasync.cli.run import checks_of, mirrors_of, run_with_signals, workers_of
from emasync.model.events import OnEvent


def get(
    location: Annotated[str, typer.Argument(help="A URL, a link to an archive or a viewer, a path, a name.")],
    *,
    root: Annotated[Path, typer.Option(help="Where the data goes.")] = Path("data"),
    include: Annotated[list[str] | None, typer.Option(help="Glob over paths; may be repeated.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Glob of what is left out; may be repeated.")] = None,
    arrays: Annotated[list[str] | None, typer.Option(help="Group or array below the link; may be repeated.")] = None,
    scales: Annotated[str | None, typer.Option(help="Levels such as 3 or 0,3; 0 is the finest.")] = None,
    crop: Annotated[
        str | None,
        typer.Option(help="Z0:Z1,Y0:Y1,X0:X1, center:Z,Y,X or random:Z,Y,X in voxels; @LEVEL behind it."),
    ] = None,
    path: Annotated[str | None, typer.Option(help="Where the one file of a link goes, below its folder.")] = None,
    dataset: Annotated[str | None, typer.Option("--id", help="Id of the dataset, and name of its folder.")] = None,
    mirror: Mirror = None,
    max_bandwidth: MaxBandwidth = None,
    max_total: MaxTotal = None,
    workers: Workers = None,
    checksums: Checksums = None,
    refresh: Refresh = False,
    adopt: Adopt = False,
    no_hooks: NoHooks = False,
    allow_private: AllowPrivate = False,
    as_json: EventsJson = False,
    json_objects: ObjectsJson = False,
    log_file: LogFile = None,
    quiet: Quiet = False,
) -> None:
    """Fetch what a link, a path or a name stands for; run it again to resume.

    The manifest that is made of it is kept in the root, as <id>.source-metadata/emasync-get.yaml: `emasync run` of that
    file does the same again. What links are understood: docs/links.md, or any wrong one.

    Exit codes: as for `emasync run`.
    """
    wish = api.Wish(
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        arrays=tuple(arrays or ()),
        scales=api.parse_scales(scales) if scales else (),
        crop=crop,
        path=path,
        dataset=dataset,
    )
    options = api.RunOptions(
        mirrors=mirrors_of(mirror),
        max_bandwidth=api.parse_rate(max_bandwidth) if max_bandwidth else None,
        max_total_bytes=api.parse_size(max_total) if max_total else None,
        checksums=checks_of(checksums),
        refresh=refresh,
        adopt=adopt,
        objects=json_objects,
        workers=workers_of(workers),
        allow_private=allow_private,
        hooks=not no_hooks,
    )
    with log_to(log_file), display_for(as_json=as_json, quiet=quiet) as on_event:
        manifest = _recorded(location, root, wish, options, logged(on_event))
        receipt = run_with_signals(manifest, None, logged(on_event), options)
    if not (as_json or quiet):
        typer.echo(f"the same again: emasync run {quote(str(manifest))}", err=True)
    raise typer.Exit(receipt.exit_code)


def _recorded(location: str, root: Path, wish: api.Wish, options: api.RunOptions, on_event: OnEvent) -> Path:
    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        return runner.run(api.record(location, root, wish, options=options, on_event=on_event))
