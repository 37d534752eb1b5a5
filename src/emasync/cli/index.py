"""``emasync index``: the chunk index of a root, made anew from what is on disk."""

from __future__ import annotations

from typing import Annotated

import typer

from emasync import api
from emasync.cli.volumes import Root
from emasync.model.task import escape_for_log


def index(
    root: Root,
    dataset: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Datasets; all by default.")] = None,
    *,
    stats: Annotated[bool, typer.Option("--stats", help="Read all chunks, and keep their value ranges too.")] = False,
) -> None:
    """Make the chunk index again: no request, nothing is fetched; files are read where their headers tell of arrays.

    Exit codes: 0 made; 2 no such root or dataset; 4 the root is locked by a run, the disk is full.
    """
    report = api.hook(root, "index", only=tuple(dataset or ()))
    notes = [*report.notes, *(api.index_stats(root, dataset or ()) if stats else ())]
    for note in notes:
        typer.echo(escape_for_log(note), err=True)
    arrays, datasets, chunks = (report.counts.get(name, 0) for name in ("arrays", "datasets", "chunks"))
    typer.echo(f"{arrays:,} arrays of {datasets:,} datasets, {chunks:,} chunks", err=True)
