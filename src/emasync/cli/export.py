"""``emasync export``: a dataset for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from emasync import api
from emasync.model.amounts import megabytes


def export(
    root: Annotated[Path, typer.Argument(help="The root of earlier runs.")],
    dataset: Annotated[str, typer.Argument(metavar="ID", help="A dataset of it, complete.")],
    *,
    to: Annotated[str, typer.Option(help="bagit (RFC 8493), metalink (RFC 5854) or croissant (MLCommons).")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder or file to make; ID.bag, ID.meta4 or ID.croissant here.")
    ] = None,
    data: Annotated[
        str, typer.Option(help="Payload of a bag: link (hard links), copy, or none (URLs to fetch it from).")
    ] = "link",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe a dataset for other programs, with SHA-256 of every file; asks no server.

    Exit codes: 0 done; 1 the dataset is not complete, or a file is not what was placed; 2 no such format, dataset or
    root, or the target is there; 4 a run is going on there, or the disk is full.
    """
    report = api.export(root, dataset, to=to, out=out, data=data)
    if as_json:
        typer.echo(json.dumps(report.to_dict()))
        return
    left_out = f"; {report.left_out:,} files are at no URL of their own and left out" if report.left_out else ""
    size, read = megabytes(report.size_bytes), megabytes(report.read_bytes)
    typer.echo(f"{report.path}: {report.files:,} files, {size}, {read} of them read for digests{left_out}")
