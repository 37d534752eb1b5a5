"""``emasync demo``: the whole path on a built-in loopback archive, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emasync import api
from emasync.cli.display import display_for


def demo(
    *,
    root: Annotated[Path | None, typer.Option(help="Where the data goes; a new temporary folder by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="NDJSON events on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Errors only.")] = False,
) -> None:
    """Make volumes, serve them on loopback, download and verify them, and show one block as a picture."""
    from tempfile import mkdtemp  # noqa: PLC0415 - random numbers and more come with it

    from emasync.testing.demonstration import serve_demo, write_picture  # noqa: PLC0415 - a fifth of a second to import

    folder = root if root is not None else Path(mkdtemp(prefix="emasync-demo-"))
    with serve_demo() as manifest, display_for(as_json=as_json, quiet=quiet) as on_event:
        receipt = api.run(manifest, root=folder, on_event=on_event)
    if receipt.ok:
        picture = write_picture(folder)
        if not (as_json or quiet):
            typer.echo(
                f"data: {folder}\nreceipt: {folder / 'receipt.json'}\none block as a picture: {picture}", err=True
            )
    raise typer.Exit(receipt.exit_code)
