"""``emasync volumes``: what can be read of a root."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emasync import api
from emasync.model.task import escape_for_log

if TYPE_CHECKING:
    from emasync.api import VolumeRow

Root = Annotated[Path, typer.Argument(help="The root of a run.")]


def volumes(
    root: Root,
    dataset: Annotated[str | None, typer.Argument(metavar="ID", help="Of this dataset only.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the arrays that can be read block by block: shape, type, axes, voxel size, and how much of each is here.

    Exit codes: 0 listed; 1 an index is out of date; 2 there is no index.
    """
    rows = api.volumes(root, dataset)
    if as_json:
        typer.echo(json.dumps({"root": str(root), "volumes": [row.to_dict() for row in rows]}))
        return
    for line in lines(rows):
        typer.echo(line)


def lines(rows: Iterable[VolumeRow]) -> Iterable[str]:
    """Two lines and more a volume: names, then one line a level."""
    for row in rows:
        names = [name for name in (row.dataset, row.asset, row.array) if name]
        yield f"{escape_for_log('  '.join(names))}  ({row.format} {row.dtype} {row.role}, {','.join(row.axes)})"
        for scale in row.scales:
            sizes = [
                f"{axis} {size:g} {unit}".strip()
                for axis, size, unit in zip(row.axes, scale.voxel_size, scale.unit, strict=True)
                if size is not None
            ]
            shape = " x ".join(map(str, scale.shape)) or "one value"
            told = ", ".join(sizes) or ("voxel size unknown" if row.has_voxels else "")
            yield "  ".join(part for part in (f"  {scale.scale}: {shape}", told, _here(scale.coverage)) if part)


def _here(coverage: api.Coverage) -> str:
    if not coverage.known:
        return "what is here is not known: the ledger is gone"
    if coverage.complete:
        return "complete"
    return f"{coverage.present + coverage.absent:,} of {coverage.chunks:,} chunks"
