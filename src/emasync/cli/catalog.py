"""``emasync catalog``: known datasets."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from emasync import api
from emasync.model.amounts import megabytes


def catalog(
    name: Annotated[str | None, typer.Argument(help="Show what is known of this one, and its manifest.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List known datasets; or show what is known of one, as comments, and its manifest below."""
    if name is not None:
        _show(name, as_json=as_json)
        return
    entries = api.catalog()
    if as_json:
        typer.echo(json.dumps({"catalog": [entry.to_dict() for entry in entries]}))
        return
    width = max(len(entry.name) for entry in entries)
    typer.echo(f"{'name':{width}}  {'size':>9}  {'licence':11}  what")
    for entry in entries:
        size = "" if entry.size_bytes is None else megabytes(entry.size_bytes)
        typer.echo(f"{entry.name:{width}}  {size:>9}  {entry.licence or '':11.11}  {entry.summary}")
    typer.echo("\nempty: unknown. `emasync catalog NAME` shows all that is known, and a manifest.")


def _show(name: str, *, as_json: bool) -> None:
    entry = api.catalog_entry(name)
    if as_json:
        typer.echo(json.dumps({**entry.to_dict(), "manifest": entry.text}))
    else:
        typer.echo(api.described(entry), nl=False)
