"""Runs from Python: cancelled, stopped, interrupted in a notebook, watched."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import emasync
from emasync.api import Stopper, arun
from emasync.api.blocking import blocking
from emasync.errors import InputError
from emasync.model.events import Event
from emasync.testing import Archive

OBJECTS = {f"bucket/{number:03d}.bin": bytes([number]) * 100_000 for number in range(40)}


def described(url: str, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "mirrors": {"s3://bucket": f"{url}/bucket"},
        "settings": {"hosts": {"127.0.0.1": {"max_connections": 4}}},
        "datasets": [{"id": "all", "source": "bucket", "url": "s3://bucket"}],
        **more,
    }


def check_complete(root: Path) -> None:
    assert {f"bucket/{path.name}": path.read_bytes() for path in (root / "all").iterdir()} == OBJECTS


async def test_a_run_can_be_cancelled_and_goes_on_later(archive: Callable[..., Archive], tmp_path: Path) -> None:
    slow, fast = archive(OBJECTS, rate_bytes_per_s=400_000), archive(OBJECTS)
    running = asyncio.create_task(arun(described(slow.url), root=tmp_path))
    await slow.until(lambda load: load.bytes_sent > 600_000)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == {asyncio.current_task()}
    receipt = await arun(described(fast.url), root=tmp_path)
    assert receipt.ok
    assert fast.counts()["GET", "object"] < len(OBJECTS) + 2
    check_complete(tmp_path)


async def test_a_stopper_ends_with_a_receipt(archive: Callable[..., Archive], tmp_path: Path) -> None:
    slow, stopper = archive(OBJECTS, rate_bytes_per_s=400_000), Stopper()
    running = asyncio.create_task(arun(described(slow.url), root=tmp_path, stopper=stopper))
    await slow.until(lambda load: load.bytes_sent > 600_000)
    stopper.stop()
    receipt = await running
    assert (receipt.exit_code, receipt.ok) == (3, False)
    assert receipt.stopped == "interrupted; run again to resume"
    assert (tmp_path / "receipt.json").exists()


async def test_asked_to_stop_before_it_began(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server, stopper = archive(OBJECTS), Stopper()
    stopper.stop()
    assert (await arun(described(server.url), root=tmp_path, stopper=stopper)).exit_code == 3
    assert ("GET", "object") not in server.counts()


async def test_asked_to_stop_while_checksums_are_written(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """The table of a large dataset takes longer than a stop may."""
    server, stopper = archive(OBJECTS), Stopper()

    def listen(event: Event) -> None:
        if event.event == "object_done":
            placed.append(event)
        if len(placed) == len(OBJECTS):
            stopper._asked = True  # too late for the engine: everything is placed

    placed: list[Event] = []
    options = emasync.RunOptions(objects=True)
    receipt = await arun(described(server.url), root=tmp_path, stopper=stopper, on_event=listen, options=options)
    assert receipt.exit_code == 3
    assert receipt.stopped is not None
    assert "checksums" in receipt.stopped
    assert not (tmp_path / "checksums").exists()
    assert (await arun(described(server.url), root=tmp_path)).exit_code == 0
    assert len((tmp_path / "checksums" / "all.tsv").read_text().splitlines()) == len(OBJECTS) + 1


async def test_a_long_run_tells_how_far_it_is(archive: Callable[..., Archive], tmp_path: Path) -> None:
    slow = archive(OBJECTS, rate_bytes_per_s=700_000)
    told: list[Event] = []
    assert (await arun(described(slow.url), root=tmp_path, on_event=told.append)).ok
    progress = [event.fields for event in told if event.event == "progress"]
    assert progress
    assert all(fields["objects_total"] in (0, len(OBJECTS)) for fields in progress)
    hosts = [event.fields for event in told if event.event == "host"]
    assert hosts
    assert hosts[0]["origin"] == slow.url
    assert hosts[0]["limit"] == 4


async def test_status_and_its_absence(archive: Callable[..., Archive], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no emasync state"):
        await asyncio.to_thread(emasync.status, tmp_path)
    await arun(described(archive(OBJECTS).url), root=tmp_path)
    found = await asyncio.to_thread(emasync.status, tmp_path)
    assert found["running"] is False
    assert found["datasets"][0]["objects"]["placed"] == len(OBJECTS)


async def test_only_must_name_datasets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--only nothing: no such dataset; the manifest has all"):
        await arun(described("http://127.0.0.1:9"), root=tmp_path, options=emasync.RunOptions(only=("nothing",)))


# --- blocking -----------------------------------------------------------------------------------------------------


def test_blocking_gives_what_the_coroutine_gives() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert blocking(work) == 7


NOTEBOOK = """
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
from emasync.api.blocking import blocking

async def work():
    print("begun", flush=True)
    try:
        await asyncio.sleep(3600)
    finally:
        print("books closed", flush=True)

async def cell():
    try:
        blocking(work)
    except KeyboardInterrupt:
        print("interrupted", flush=True)

loop = asyncio.new_event_loop()  # as a notebook's: asyncio.run would take SIGINT for itself
loop.run_until_complete(cell())
"""


BETWEEN = """
from concurrent.futures import ThreadPoolExecutor
from emasync.api import blocking as module

class Interrupted(ThreadPoolExecutor):
    def submit(self, *args, **options):
        super().submit(*args, **options)
        raise KeyboardInterrupt

module.ThreadPoolExecutor = Interrupted
"""
"""An interrupt when the work was handed over and nobody waits for it yet."""


def test_an_interrupt_between_handing_over_and_waiting_reaches_the_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN + NOTEBOOK], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.endswith("interrupted\n")
    assert done.stderr == ""


def test_an_error_of_the_run_is_raised_as_it_is() -> None:
    code = NOTEBOOK.replace("await asyncio.sleep(3600)", "raise ValueError('of the run')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == "ValueError: of the run"


def test_a_notebooks_stop_button_reaches_the_run() -> None:
    with subprocess.Popen([sys.executable, "-c", NOTEBOOK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert output == "books closed\ninterrupted\n"
