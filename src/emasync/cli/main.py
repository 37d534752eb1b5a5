"""The program: commands, exit codes, and what is printed when something is wrong."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn, Protocol, runtime_checkable

import typer

import emasync
from emasync.cli.commands import Commands
from emasync.cli.exit_codes import EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_STOPPED
from emasync.errors import EmasyncError, ErrorKind, InputError, MachineError

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
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
