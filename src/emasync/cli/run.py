"""``emasync run``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from emasync import api
from emasync.cli.display import display_for
from emasync.cli.log import log_to, logged
from emasync.cli.options import (
    Adopt,
    AllowPrivate,
    Checksums,
    EventsJson,
    LogFile,
    MaxBandwidth,
    MaxTotal,
    Mirror,
    NoHooks,
    ObjectsJson,
    Only,
    Quiet,
    Refresh,
    Workers,
)
from emasync.errors import ErrorKind, InputError
from emasync.model.events import OnEvent
from emasync.model.receipt import Receipt

LATER = "is not built yet in this version"

MOST_WORKERS = 256
"""More processes than any machine of today feeds from one ledger; a typing error in all likelihood."""


def run(
    manifest: Annotated[Path, typer.Argument(help="The YAML manifest.")],
    *,
    root: Annotated[Path | None, typer.Option(help="Where the data goes; wins over the manifest.")] = None,
    only: Only = None,
    mirror: Mirror = None,
    max_bandwidth: MaxBandwidth = None,
    max_total: MaxTotal = None,
    workers: Workers = None,
    executor: Annotated[str | None, typer.Option(help="Where they run: local (in this one) or processes.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Of Dask. Not built yet.")] = None,
    checksums: Checksums = None,
    refresh: Refresh = False,
    locked: Annotated[
        bool, typer.Option("--locked", help="Compare with manifest.lock before any data move; fail on any drift.")
    ] = False,
    lock_file: Annotated[Path | None, typer.Option(help="The lock, in place of the one beside the manifest.")] = None,
    adopt: Adopt = False,
    metadata_only: Annotated[bool, typer.Option("--metadata-only", help="What describes the data, no bulk.")] = False,
    no_hooks: NoHooks = False,
    break_lock: Annotated[bool, typer.Option("--break-lock", help="Take the root whoever holds it.")] = False,
    ui: Annotated[bool, typer.Option("--ui", help="The live page. Not built yet.")] = False,
    allow_private: AllowPrivate = False,
    as_json: EventsJson = False,
    json_objects: ObjectsJson = False,
    log_file: LogFile = None,
    quiet: Quiet = False,
) -> None:
    """Plan, transfer and verify everything a manifest names; run again to resume.

    Exit codes: 0 all complete and verified; 1 something failed, each thing named; 2 the manifest or the command line
    is wrong; 3 interrupted; 4 stopped by this machine or a guard. After 1, 3 and 4 the same command goes on.
    """
    refuse(
        {
            "--executor dask": executor == "dask",
            "--scheduler": scheduler is not None,
            "--ui": ui,
        }
    )
    options = api.RunOptions(
        only=tuple(only or ()),
        mirrors=mirrors_of(mirror),
        max_bandwidth=api.parse_rate(max_bandwidth) if max_bandwidth else None,
        max_total_bytes=api.parse_size(max_total) if max_total else None,
        checksums=checks_of(checksums),
        refresh=refresh,
        metadata_only=metadata_only,
        locked=locked,
        lock_file=lock_file,
        adopt=adopt,
        break_lock=break_lock,
        objects=json_objects,
        workers=workers_of(workers),
        executor=_executor(executor),
        allow_private=allow_private,
        hooks=not no_hooks,
    )
    with log_to(log_file), display_for(as_json=as_json, quiet=quiet) as on_event:
        receipt = run_with_signals(manifest, root, logged(on_event), options)
    raise typer.Exit(receipt.exit_code)


def run_with_signals(manifest: Path, root: Path | None, on_event: OnEvent, options: api.RunOptions) -> Receipt:
    """Run with SIGINT and SIGTERM meaning "stop cleanly"; the second one leaves at once."""

    async def main() -> Receipt:
        stopper = api.Stopper()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _on_signal(loop, number, stopper))
        try:
            return await api.arun(manifest, root=root, on_event=on_event, options=options, stopper=stopper)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)  # uvloop would leave it to a loop that is closed

    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        return runner.run(main())


def _on_signal(loop: asyncio.AbstractEventLoop, number: signal.Signals, stopper: api.Stopper) -> Callable[[], None]:
    def stop() -> None:
        loop.remove_signal_handler(number)  # a second one gets the system's default
        stopper.stop()

    return stop


def refuse(asked: Mapping[str, bool]) -> None:
    """Say that what is asked for is not built, rather than leave it out.

    Parameters
    ----------
    asked : mapping of str to bool
        What, and whether it is asked for.

    Raises
    ------
    InputError
        ``not_built``.
    """
    for what, wanted in asked.items():
        if wanted:
            raise InputError(f"{what} {LATER}", kind=ErrorKind.NOT_BUILT)


def mirrors_of(texts: Iterable[str] | None) -> dict[str, str]:
    """Mirrors of ``--mirror FROM=TO``, checked as those of a manifest.

    Raises
    ------
    InputError
    """
    return dict(api.parse_mirror(text) for text in texts or ())


def checks_of(text: str | None) -> Literal["published", "sha256", "size"] | None:
    """Value of ``--checksums``.

    Raises
    ------
    InputError
    """
    match text:
        case None | "published" | "sha256" | "size":
            return text
        case _:
            raise InputError(f"--checksums {text!r}: expected published, sha256 or size")


def workers_of(text: str | None) -> int | Literal["auto"] | None:
    """Value of ``--workers``.

    Raises
    ------
    InputError
    """
    if text is None or text == "auto":
        return text  # type: ignore[return-value]  # mypy takes the literal for any text
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MOST_WORKERS:
        raise InputError(f"--workers {text!r}: expected a number from 1 to {MOST_WORKERS}, or auto")
    return int(text)


def _executor(text: str | None) -> Literal["local", "processes"] | None:
    match text:
        case None | "local" | "processes":
            return text
        case _:
            raise InputError(f"--executor {text!r}: expected local or processes")
