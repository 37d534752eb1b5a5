"""What a run shows: NDJSON for programs, a progress display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Self, TextIO

import orjson

from emasync.cli.report import receipt_text
from emasync.model.amounts import megabytes
from emasync.model.events import Event, OnEvent

LINE_S = 10.0
"""Seconds between plain progress lines: a log stays readable, and no run looks dead."""


def event_line(event: Event, time_s: float) -> bytes:
    """One NDJSON line: ``event``, ``time`` (RFC 3339, UTC), then the fields."""
    moment = datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"event": event.event, "time": moment, **event.fields}, option=orjson.OPT_APPEND_NEWLINE)


@contextmanager
def display_for(*, as_json: bool, quiet: bool) -> Iterator[OnEvent]:
    """The listener that suits the place: stdout carries events only, people's text goes to stderr."""
    if as_json:
        yield _print_event
    elif quiet:
        yield PlainLines(sys.stderr, errors_only=True)
    elif sys.stderr.isatty():
        with Terminal() as terminal:
            yield terminal
        terminal.after()
    else:
        yield PlainLines(sys.stderr)


def _print_event(event: Event) -> None:
    sys.stdout.buffer.write(event_line(event, time.time()))
    sys.stdout.buffer.flush()


def told(event: Event) -> str | None:
    """The line for people that an event is worth at once; None for none."""
    fields = event.fields
    match event.event:
        case "failed":
            return f"failed ({fields['kind']}): {fields['message']}"
        case "waiting":
            return str(fields["message"])
        case "warning" | "stalled":
            return f"{event.event}: {fields.get('message') or fields.get('reason') or fields.get('location')}"
        case "retry":
            return f"retry: {fields.get('message') or fields.get('reason') or fields.get('location')}"
        case _:
            return None


class PlainLines:
    """Progress as lines, for logs and pipes.

    Parameters
    ----------
    out : text stream
    errors_only : bool
        Failures and nothing else.
    """

    def __init__(self, out: TextIO, *, errors_only: bool = False) -> None:
        self._out = out
        self._errors_only = errors_only
        self._last_s = 0.0

    def __call__(self, event: Event) -> None:
        """Print what `event` is worth."""
        if (line := told(event)) and (event.event == "failed" or not self._errors_only):
            self._print(line)
        elif self._errors_only:
            if event.event == "receipt" and event.fields.get("stopped"):
                self._print(f"stopped: {event.fields['stopped']}")
        elif event.event == "progress" and time.monotonic() - self._last_s >= LINE_S:
            self._last_s = time.monotonic()
            self._print(progress_text(event))
        elif event.event == "receipt":
            self._print(receipt_text(event.fields))

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def progress_text(event: Event) -> str:
    """One line of progress."""
    fields = event.fields
    more = "" if fields["planned"] else " (still listing)"
    rate = fields["bytes_per_s"]
    return (
        f"{fields['objects_done']:,} of {fields['objects_total']:,} objects{more}, "
        f"{megabytes(fields['bytes_done'])} of {megabytes(fields['bytes_total'])}, "
        f"{megabytes(rate)}/s, {fields['failed']:,} failed"
    )


class Terminal:
    """A live display on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._progress.add_task("planning", total=None)
        self._receipt: Event | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show what `event` is worth."""
        if line := told(event):
            self._console.print(line, markup=False, highlight=False)
        elif event.event == "progress":
            fields = event.fields
            text = f"{fields['objects_done']:,}/{fields['objects_total']:,} objects"
            total, done = fields["bytes_total"], fields["bytes_done"]
            if isinstance(total, int) and isinstance(done, int):
                self._progress.update(self._task, description=text, total=total or None, completed=done)
        elif event.event == "receipt":
            self._receipt = event

    def after(self) -> None:
        """Print the receipt below the finished display."""
        if self._receipt is not None:
            self._console.print(receipt_text(self._receipt.fields), markup=False, highlight=False)
