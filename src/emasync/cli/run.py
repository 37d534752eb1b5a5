"""``emasync run``."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from emasync import api
from emasync.cli.display import display_for
from emasync.errors import ErrorKind, InputError
from emasync.model.events import OnEvent
from emasync.model.receipt import Receipt

LATER = "is not built yet in this version"


def run(
    manifest: Annotated[Path, typer.Argument(help="The YAML manifest.")],
    *,
    root: Annotated[Path | None, typer.Option(help="Where the data goes; wins over the manifest.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Dataset id; may be repeated.")] = None,
    mirror: Annotated[list[str] | None, typer.Option(help="FROM=TO: ask TO instead of FROM; may be repeated.")] = None,
    max_bandwidth: Annotated[str | None, typer.Option(help="Such as 200MB/s.")] = None,
    max_total: Annotated[str | None, typer.Option(help="Pause (exit 4) before more is wanted, such as 2TB.")] = None,
    workers: Annotated[str, typer.Option(help="Processes: 1.")] = "1",
    executor: Annotated[str, typer.Option(help="local.")] = "local",
    checksums: Annotated[str | None, typer.Option(help="published, sha256 or size.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="List sources again.")] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Fail on any drift from manifest.lock.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Check and take over files that are there already.")] = False,
    metadata_only: Annotated[bool, typer.Option("--metadata-only", help="Documents only, no bulk.")] = False,
    no_hooks: Annotated[bool, typer.Option("--no-hooks", help="Receipt only.")] = False,
    break_lock: Annotated[bool, typer.Option("--break-lock", help="Take the root whoever holds it.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="NDJSON events on stdout; --json=objects for each object.")
    ] = False,
    json_objects: Annotated[bool, typer.Option("--json-objects", hidden=True)] = False,
    log_file: Annotated[Path | None, typer.Option(help="Write the log there.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Errors only.")] = False,
) -> None:
    """Plan, transfer and verify everything a manifest names; run again to resume."""
    _refuse(workers != "1", "--workers other than 1")
    _refuse(executor != "local", f"--executor {executor}")
    _refuse(locked, "--locked")
    _refuse(metadata_only, "--metadata-only")
    del no_hooks  # the receipt and the checksums are always written, and there is nothing else yet
    options = api.RunOptions(
        only=tuple(only or ()),
        mirrors=dict(_pair(text) for text in mirror or ()),
        max_bandwidth=api.parse_rate(max_bandwidth) if max_bandwidth else None,
        max_total_bytes=api.parse_size(max_total) if max_total else None,
        checksums=_checks(checksums),
        refresh=refresh,
        adopt=adopt,
        break_lock=break_lock,
        objects=json_objects,
    )
    if log_file is not None:
        logging.basicConfig(filename=log_file, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with display_for(as_json=as_json, quiet=quiet) as on_event:
        receipt = run_with_signals(manifest, root, on_event, options)
    raise typer.Exit(receipt.exit_code)


def run_with_signals(manifest: Path, root: Path | None, on_event: OnEvent, options: api.RunOptions) -> Receipt:
    """Run with SIGINT and SIGTERM meaning "stop cleanly"; the second one leaves at once."""

    async def main() -> Receipt:
        stopper = api.Stopper()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _on_signal(loop, number, stopper))
        return await api.arun(manifest, root=root, on_event=on_event, options=options, stopper=stopper)

    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        return runner.run(main())


def _on_signal(loop: asyncio.AbstractEventLoop, number: signal.Signals, stopper: api.Stopper) -> Callable[[], None]:
    def stop() -> None:
        loop.remove_signal_handler(number)  # a second one gets the system's default
        stopper.stop()

    return stop


def _refuse(asked: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if asked:
        raise InputError(f"{what} {LATER}", kind=ErrorKind.NOT_BUILT)


def _pair(text: str) -> tuple[str, str]:
    source, separator, target = text.partition("=")
    if not (separator and source and target):
        raise InputError(f"--mirror {text!r}: expected FROM=TO, such as s3://bucket=https://mirror.example.org/bucket")
    return source, target


def _checks(text: str | None) -> Literal["published", "sha256", "size"] | None:
    match text:
        case None | "published" | "sha256" | "size":
            return text
        case _:
            raise InputError(f"--checksums {text!r}: expected published, sha256 or size")
