"""``emasync demo``: every shipped manifest against the twins of their archives on loopback, no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emasync.model.amounts import megabytes

if TYPE_CHECKING:
    from emasync.testing.demonstration import Shown

EXIT_FAILED = 1

VERIFIED = {"published": "published digest", "computed": "size, own CRC-32C", "size_only": "size"}
"""What the receipt's words mean."""

HEADER = f"{'archive':<26} {'what':<60} {'objects':>6} {'size':>8}  bytes, and how the run verified them"


def demo(
    *,
    root: Annotated[Path | None, typer.Option(help="Where the data goes; a new temporary folder by default.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a manifest; may be repeated.")] = None,
    faults: Annotated[float, typer.Option(min=0, max=50, hidden=True, help="Spoil so many requests in 100.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Errors only.")] = False,
) -> None:
    """Run every shipped manifest against built-in twins of the archives, and compare what lands on disk byte by byte.

    Everything is the real code but the servers: small twins of EPFL, EMPIAR, IDR, OpenOrganelle, hemibrain, DANDI and
    the Allen Institute on this machine. No network is used.
    """
    from tempfile import mkdtemp  # noqa: PLC0415 - random numbers and more come with it

    from emasync.testing.demonstration import chosen, demonstrate  # noqa: PLC0415 - a fifth of a second to import

    chosen(only or ())
    folder = root if root is not None else Path(mkdtemp(prefix="emasync-demo-"))
    show = typer.echo if not (as_json or quiet) else _silent
    show(
        f"data, receipts and checksums: {folder}; of each run a page to open: {folder}/*/report.html\n\n{HEADER}",
        err=True,
    )
    rows = []
    for row in demonstrate(folder, only=only or (), faults_percent=faults):
        rows.append(row)
        show(row_text(row, folder), err=True)
        for problem in row.problems:
            typer.echo(f"{row.manifest}: {row.dataset}: {problem}", err=True)
    if as_json:
        typer.echo(json.dumps({"root": str(folder), "shown": [row.to_dict() for row in rows]}))
    show(f"\n{end_text(rows)}", err=True)
    if any(row.problems for row in rows):
        raise typer.Exit(EXIT_FAILED)


def row_text(row: Shown, root: Path) -> str:
    """Two lines about one dataset: what was done, and what to look at."""
    ways = ", ".join(f"{count:,} by {VERIFIED[way]}" for way, count in row.verified.items())
    counts = f"{row.objects:>6,} {megabytes(row.size_bytes):>9}"
    verdict = "DIFFERS" if row.problems else "identical"
    look = f"{'':27}{row.look.relative_to(root)} ({row.shows})"
    return f"{row.archive:<26} {row.what:<60} {counts}  {verdict}, {ways}\n{look}"


def end_text(rows: Sequence[Shown]) -> str:
    """The sum of all."""
    wrong = sum(bool(row.problems) for row in rows)
    objects, size_bytes = sum(row.objects for row in rows), sum(row.size_bytes for row in rows)
    verdict = f"{wrong} of {len(rows)} datasets DIFFER" if wrong else f"all {len(rows)} datasets identical to the twins"
    return f"{verdict}: {objects:,} objects, {megabytes(size_bytes)}"


def _silent(message: str, *, err: bool) -> None:
    """Say nothing."""
