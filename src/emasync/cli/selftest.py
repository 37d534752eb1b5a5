"""``emasync selftest``: bad days, kills, power cuts and failing disks on this machine, against a built-in archive."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emasync.errors import InputError

if TYPE_CHECKING:
    from emasync.testing.selftest.program import Form, Line, Part, SelftestReport

EXIT_WRONG = 1

HEADER = f"{'what was tried':<34} {'tried':>6} {'identical':>10} {'named':>6} {'WRONG':>6}"


def selftest(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A small part of it: half a minute.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All of it: a quarter of an hour and more.")] = False,
    kills: Annotated[
        int | None, typer.Option(min=0, help="Kill at least so many processes, and cut the power so often.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one, other kills: several runs add up.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="faults, machine, power or kills; may be repeated.")] = None,
    root: Annotated[Path | None, typer.Option(help="An empty folder to work in; a temporary one by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Try on this machine what goes wrong elsewhere: faults of archives, kills, power cuts, full disks. No network.

    Each fault meets small objects, ranges, listings and an API, over our own client, over aiohttp and in worker
    processes. It has to end in identical bytes, or in a failure that is named and that the next run mends.

    Exit codes: 0 nothing was lost; 1 something was, each thing named; 2 the command line is wrong.
    """
    from tempfile import mkdtemp  # noqa: PLC0415 - random numbers and more come with it

    from emasync.testing.selftest.program import PARTS  # noqa: PLC0415 - servers and faults
    from emasync.testing.selftest.program import selftest as run  # noqa: PLC0415 - as above

    if quick and full:
        raise InputError("--quick or --full: use one of them")
    if unknown := sorted(set(only or ()) - set(PARTS)):
        raise InputError(f"--only {unknown[0]}: there are {', '.join(PARTS)}")
    parts: list[Part] = [part for part in PARTS if not only or part in only]
    if root is not None and root.exists() and any(root.iterdir()):
        raise InputError(f"--root {root}: there is something in it already; choose an empty folder")
    folder = root if root is not None else Path(mkdtemp(prefix="emasync-selftest-"))
    form: Form = "quick" if quick else "full" if full else "usual"
    if not as_json:
        typer.echo(HEADER)
    report = run(folder, form, kills=kills, seed=seed, only=parts, on_line=None if as_json else _show)
    typer.echo(json.dumps(report.to_dict()) if as_json else end_text(report))
    if root is None and report.ok:
        shutil.rmtree(folder, ignore_errors=True)
    if not report.ok:
        raise typer.Exit(EXIT_WRONG)


def _show(line: Line) -> None:
    typer.echo(line_text(line))


def line_text(line: Line) -> str:
    """A line of the table, and what it has to say below."""
    row = f"{line.part:<34} {line.tried:>6,} {line.identical:>10,} {line.named:>6,} {line.wrong:>6,}"
    figures = "; ".join(f"{name} {value:,}" for name, value in line.figures.items())
    return "\n".join((row, *(f"    {note}" for note in (*line.notes, figures) if note)))


def end_text(report: SelftestReport) -> str:
    """The sum of all."""
    tried, wrong = sum(line.tried for line in report.lines), sum(line.wrong for line in report.lines)
    verdict = f"{wrong:,} of {tried:,} went WRONG" if wrong else f"{tried:,} tried, nothing lost"
    return f"{verdict}; {report.wall_s:.0f} s"
