"""The whole program beside a host that says nothing: within 15 s the user is told what is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emasync.api import Stopper, arun
from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.clock import ManualClock

OBJECTS = {f"bucket/{number}.bin": bytes(100_000) for number in range(4)}
SILENT = {
    "no answer": ({"delay_s": 60.0}, "no byte for"),
    "a body that stops": ({"stall_after": 1_000}, "no byte for"),
    "patience asked for": ({"status": 503, "retry_after": 60}, "asked for patience"),
}


@pytest.mark.parametrize("name", SILENT)
async def test_the_host_is_named_in_time(name: str, archive: Callable[..., Archive], tmp_path: Path) -> None:
    fault, words = SILENT[name]
    server = archive(OBJECTS, faults={"bucket/*": [fault]})
    clock, stopper, heard = ManualClock(start_s=time.monotonic()), Stopper(), list[Event]()
    manifest: dict[str, Any] = {
        "version": 1,
        "datasets": [{"id": "all", "source": "bucket", "url": f"{server.url}/bucket", "format": "raw"}],
    }
    running = asyncio.create_task(arun(manifest, root=tmp_path, stopper=stopper, on_event=heard.append, clock=clock))
    async with asyncio.timeout(20):
        while server.load.in_flight < 1 and not any(event.event == "retry" for event in heard):
            await asyncio.sleep(0.01)
        await clock.run_for(13.0)
        while not (told := [event.fields for event in heard if names(event, words)]):  # what came just then was news
            await clock.run_for(1.0)
    stopper.stop()
    await running
    assert server.url in str(told[0]["message"])
    assert told[0]["deadline_s"] is not None


def names(event: Event, words: str) -> bool:
    return event.event == "waiting" and words in str(event.fields["message"])
