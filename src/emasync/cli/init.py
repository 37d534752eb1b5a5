"""``emasync init``: a manifest to begin with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from emasync import api
from emasync.cli.options import AllowPrivate, Mirror
from emasync.cli.run import mirrors_of
from emasync.errors import ErrorKind, InputError, MachineError

STDOUT = Path("-")


def init(
    location: Annotated[str, typer.Argument(help="A name of the catalog, or anything that `emasync get` takes.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; - for stdout. By default named as the dataset.")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--id", help="Id of the dataset, and name of its folder.")] = None,
    mirror: Mirror = None,
    allow_private: AllowPrivate = False,
) -> None:
    """Write a short commented manifest for a link or a name; a file that is there is left alone.

    Exit codes: 0 written; 1 what the link names cannot be found out; 2 it is not understood, or the file is there.
    """
    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        made = runner.run(api.ainit(location, dataset=dataset, mirrors=mirrors_of(mirror), allow_private=allow_private))
    for note in made.notes:
        typer.echo(f"warning: {note}", err=True)
    path = output if output is not None else Path(f"{made.ids[0]}.yaml")
    if path == STDOUT:
        typer.echo(made.text, nl=False)
        return
    _write(path, made.text)
    name = quote(str(path))
    typer.echo(f"{path} is written: emasync plan {name} shows what it would fetch, emasync run {name} fetches it")


def _write(path: Path, text: str) -> None:
    """Write a new file.

    Raises
    ------
    InputError
        There is one.
    MachineError
        It cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path} is there already and is left alone; name another file with -o") from None
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}; name another file with -o"
        raise MachineError(message, kind=ErrorKind.DISK, location=str(path)) from error
