"""``emasync schema``: what a manifest may hold, for editors."""

from __future__ import annotations

import json

import typer

from emasync import api


def schema() -> None:
    """Print the JSON Schema of the manifest."""
    typer.echo(json.dumps(api.schema(), indent=2))
