"""``emasync ls``: what a link stands for, as it is found."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import typer

from emasync import api
from emasync.cli.display import told
from emasync.cli.options import AllowPrivate, Mirror
from emasync.cli.run import mirrors_of
from emasync.model.amounts import megabytes
from emasync.model.events import Event
from emasync.model.task import escape_for_log

EXIT_FAILED = 1


def ls(
    location: Annotated[str, typer.Argument(help="Anything that `emasync get` takes.")],
    *,
    include: Annotated[list[str] | None, typer.Option(help="Glob over paths; may be repeated.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Glob of what is left out; may be repeated.")] = None,
    arrays: Annotated[list[str] | None, typer.Option(help="Group or array below the link; may be repeated.")] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="All objects, at any depth.")] = False,
    mirror: Mirror = None,
    allow_private: AllowPrivate = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is there: assets and files with sizes, folders, arrays with levels, shapes, chunks and voxel sizes.

    Documents and listings are fetched, data are not. Of a folder one level is listed, of an array no chunk.

    Exit codes: 0 listed; 1 something could not be looked at, or nothing is there; 2 the link is not understood.
    """
    look = api.Look(
        include=tuple(include or ()), exclude=tuple(exclude or ()), arrays=tuple(arrays or ()), recursive=recursive
    )
    options = api.RunOptions(mirrors=mirrors_of(mirror), allow_private=allow_private)
    shown: _Shown = _Document(location) if as_json else _Lines()
    try:
        with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
            runner.run(_listed(location, look, options, shown))
        shown.end()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if shown.tally.kinds["failed"]:
        raise typer.Exit(EXIT_FAILED)


async def _listed(location: str, look: api.Look, options: api.RunOptions, shown: _Shown) -> None:
    async with aclosing(api.als(location, look=look, options=options, on_event=_tell)) as rows:
        async for row in rows:
            shown.take(row)


def _tell(event: Event) -> None:
    """Warnings and retries, for people."""
    if (line := told(event)) is not None:
        typer.echo(escape_for_log(line), err=True)


@dataclass(slots=True)
class _Tally:
    """Sums of what was shown (mutable)."""

    kinds: Counter[str] = field(default_factory=Counter)
    file_bytes: int = 0

    def add(self, row: api.ListedRow) -> None:
        self.kinds[row.kind] += 1
        self.file_bytes += row.size_bytes or 0


class _Shown(Protocol):
    """Where rows go, as they come."""

    tally: _Tally

    def take(self, row: api.ListedRow) -> None: ...

    def end(self) -> None: ...


class _Document:
    """One JSON object, written row by row: it may have millions of them."""

    def __init__(self, location: str) -> None:
        self.tally = _Tally()
        self._lead = f'{{"location": {json.dumps(location)}, "rows": ['

    def take(self, row: api.ListedRow) -> None:
        """Write one row."""
        self.tally.add(row)
        sys.stdout.write(self._lead + json.dumps(row.to_dict()))
        self._lead = ",\n"

    def end(self) -> None:
        """Close the object, with the sums."""
        sums = {"counts": dict(self.tally.kinds), "file_bytes": self.tally.file_bytes}
        opened = "" if self.tally.kinds else self._lead
        sys.stdout.write(f"{opened}], {json.dumps(sums)[1:]}\n")


class _Lines:
    """A line a row, for people; what failed goes to stderr."""

    def __init__(self) -> None:
        self.tally = _Tally()
        self._dataset = ""

    def take(self, row: api.ListedRow) -> None:
        """Print one row, below the name of its dataset."""
        self.tally.add(row)
        if row.kind in ("failed", "note"):
            typer.echo(f"{row.kind}: {escape_for_log(row.message or '')}", err=True)
            return
        if row.dataset != self._dataset:
            self._dataset = row.dataset
            sys.stdout.write(f"{row.dataset}:\n")
        sys.stdout.write(f"  {ls_line(row)}\n")

    def end(self) -> None:
        """Print the sums."""
        words = ", ".join(
            f"{count:,} {kind}{'s' if count > 1 else ''}"
            for kind, count in self.tally.kinds.items()
            if kind not in ("failed", "note")
        )
        size = f", {megabytes(self.tally.file_bytes)} in files" if self.tally.kinds["file"] else ""
        typer.echo(f"{words or 'nothing'}{size}", err=True)


def ls_line(row: api.ListedRow) -> str:
    """One row for people: names come from strangers, and are made safe to print."""
    name = escape_for_log(row.path or row.location)
    if row.kind == "array":
        return "  ".join((name, *_array_words(row)))
    if row.kind == "file":
        return f"{name}  {'size unknown' if row.size_bytes is None else megabytes(row.size_bytes)}"
    return f"{name.rstrip('/')}/" if row.kind == "folder" else f"{name}  (look inside: --recursive, or --include it)"


def _array_words(row: api.ListedRow) -> Iterator[str]:
    if row.level is not None:
        yield f"level {row.level}"
    yield f"{_by(row.shape)} {row.dtype}"
    if row.axes:
        yield "".join(row.axes) if all(len(axis) == 1 for axis in row.axes) else ",".join(row.axes)
    yield f"chunks {_by(row.chunks)}" + (f" of {_by(row.inner_chunks)}" if row.inner_chunks else "")
    if row.voxel_size:
        yield f"voxels {_by(row.voxel_size)} {row.unit or ''}".rstrip()
    if row.objects is not None:
        yield f"{row.objects:,} objects"
    if row.raw_bytes is not None:
        yield f"{megabytes(row.raw_bytes)} raw"


def _by(sizes: Sequence[float] | None) -> str:
    return " x ".join(f"{size:.10g}" for size in sizes or ())
