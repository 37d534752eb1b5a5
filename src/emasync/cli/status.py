"""``emasync status``: what is done, left and failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from emasync import api
from emasync.cli.report import status_text


def status(
    root: Annotated[Path, typer.Argument(help="The root of a run.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is done, left and failed; also while a run is going on elsewhere."""
    found = api.status(root)
    typer.echo(json.dumps(found) if as_json else status_text(found))
