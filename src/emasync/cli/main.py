"""The program: commands, exit codes, and what is printed when something is wrong."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn, Protocol, runtime_checkable

import typer

import emasync
from emasync import api
from emasync.cli.bench import bench
from emasync.cli.block import block
from emasync.cli.catalog import catalog
from emasync.cli.demo import demo
from emasync.cli.export import export
from emasync.cli.get import get
from emasync.cli.index import index
from emasync.cli.init import init
from emasync.cli.ls import ls
from emasync.cli.metadata import metadata
from emasync.cli.options import AllowPrivate, Mirror, Only
from emasync.cli.prune import prune
from emasync.cli.report import plan_text, status_text
from emasync.cli.run import mirrors_of, run
from emasync.cli.selftest import selftest
from emasync.cli.verify import verify
from emasync.cli.volumes import volumes
from emasync.errors import EmasyncError, ErrorKind, InputError, MachineError

COLLECT_EVERY = 10_000
"""Objects between two searches for cycles. Python's 700 searches 200 times while the machinery is imported, a tenth of
the start; a run leaves next to no cycles behind."""

EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_STOPPED = 1, 2, 3, 4

SHELLS_SIGINT = 128 + 2
"""What newer typer makes of a KeyboardInterrupt."""


@runtime_checkable
class UsageProblem(Protocol):
    """What is raised for a wrong command line: click's exception, or that of the copy inside newer typer."""

    exit_code: int

    def show(self) -> None:
        """Print it to stderr."""
        ...


app = typer.Typer(
    name="emasync",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run)
app.command()(get)
app.command()(ls)
app.command()(init)
app.command()(catalog)
app.command()(demo)
app.command()(bench)
app.command()(verify)
app.command()(prune)
app.command()(export)
app.command()(selftest)
app.command()(block)
app.command()(index)
app.command()(metadata)
app.command()(volumes)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"emasync {emasync.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True)
    ] = False,
) -> None:
    """Download public 3D microscopy and neurophysiology data: one manifest in, verified files out.

    Begin with `emasync demo`: the whole path on made-up volumes, without network. `emasync catalog` lists datasets
    with manifests that are ready to run; `emasync run MANIFEST` fetches them. Run it again to resume. `emasync ls LINK`
    and `emasync get LINK` do without a manifest.
    """


@app.command()
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
    as_json: JsonFlag = False,
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
    _print(document, plan_text(document), as_json=as_json)
    if lock and document["lock"] is None:
        typer.echo("no lock was written: not everything could be planned", err=True)
    if document["problem"] is not None:
        raise typer.Exit(EXIT_STOPPED)
    if document["failures"]:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def status(
    root: Annotated[Path, typer.Argument(help="The root of a run.")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Show what is done, left and failed; also while a run is going on elsewhere."""
    found = api.status(root)
    _print(found, status_text(found), as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the manifest."""
    typer.echo(json.dumps(api.schema(), indent=2))


def _print(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    """One JSON object on stdout (Any: JSON), or text for people."""
    typer.echo(json.dumps(document) if as_json else text)


def exit_code_of(error: EmasyncError) -> int:
    """Exit code of an error that ended a command."""
    if isinstance(error, InputError):
        return EXIT_INPUT
    if isinstance(error, MachineError):
        return EXIT_STOPPED
    return EXIT_INTERRUPTED if error.kind is ErrorKind.INTERRUPTED else EXIT_FAILED


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the program and leave with its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Without the program's name; from the command line by default.
    """
    gc.set_threshold(COLLECT_EVERY)
    given = list(sys.argv[1:] if arguments is None else arguments)
    # click knows no option whose value may be left out
    given = [part for text in given for part in (("--json", "--json-objects") if text == "--json=objects" else (text,))]
    sys.exit(_run(given))


def _run(arguments: list[str]) -> int:
    try:
        result = app(args=arguments, prog_name="emasync", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except EmasyncError as error:
        typer.echo(f"emasync: {error.message}", err=True)
        return exit_code_of(error)
    except Exception as error:
        if isinstance(error, UsageProblem):
            error.show()
            return error.exit_code
        raise
    if result == SHELLS_SIGINT:
        return _interrupted()
    return result if isinstance(result, int) else 0


def _interrupted() -> int:
    typer.echo("interrupted; run again to resume", err=True)
    return EXIT_INTERRUPTED
