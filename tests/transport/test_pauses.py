"""Hours in which nothing is asked for: no request begins in them, what was under way waits, all goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from emasync.model.location import Location
from emasync.model.timetable import DAY_S, BandwidthHours
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.clock import ManualClock
from emasync.testing.conformance import Recorder
from emasync.testing.messages import Answer, Asked

BODY = bytes(range(256)) * 20_000
WORKING_HOURS_S = 20 * 60
"""The clock moves beat by beat: eight hours of them would take ten seconds."""


@dataclass
class Stopwatch:
    """When requests come, by the clock of the client; an App of the archive that leaves the answer to others."""

    clock: ManualClock
    seen_s: list[float] = field(default_factory=list)

    def answer(self, _asked: Asked) -> Answer | None:
        self.seen_s.append(self.clock.time_s())
        return None


class Late(Recorder):
    """Takes so many seconds for the first piece that it gets."""

    def __init__(self, clock: ManualClock, takes_s: float) -> None:
        super().__init__()
        self.clock, self.takes_s = clock, takes_s

    async def feed(self, data: Any) -> None:
        takes_s, self.takes_s = self.takes_s, 0.0
        self.clock.advance(takes_s)
        await super().feed(data)


def settings(clock: ManualClock, begins_in_s: int) -> Settings:
    """Of a machine whose clock stands at a whole minute."""
    clock.set_time_s(clock.time_s() // 60 * 60)
    local = time.localtime(clock.time_s())
    start_s = (local.tm_hour * 60 + local.tm_min) * 60 + begins_in_s
    hours = BandwidthHours(start_s=start_s % DAY_S, stop_s=(start_s + WORKING_HOURS_S) % DAY_S, bytes_per_s=0.0)
    return Settings(bandwidth_timetable=(hours,))


@pytest.mark.parametrize("wire", [True, False], ids=["wire", "aiohttp"])
async def test_no_request_begins_in_a_pause(archive: Callable[..., Archive], opened: Any, clock: ManualClock) -> None:
    chosen, watch = settings(clock, -60), Stopwatch(clock)
    server = archive({"b/x.bin": BODY, "b/doc.json": b"{}"}, apps=(watch,))
    goes_on_s = clock.time_s() + WORKING_HOURS_S - 60
    async with opened(chosen) as fetcher:
        assert fetcher.resumes_at_s == goes_on_s
        assert (await fetcher.read(Location.parse(f"{server.url}/b/doc.json"))).data == b"{}"
        assert fetcher.resumes_at_s is None
        recorder = Recorder()
        await fetcher.transfer(Location.parse(f"{server.url}/b/x.bin"), recorder)
    assert recorder.data == BODY
    assert min(watch.seen_s) >= goes_on_s
    assert len(server.requests) == 2


async def test_what_is_under_way_waits_and_goes_on(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock
) -> None:
    chosen = settings(clock, 120)
    server = archive({"b/x.bin": BODY})
    ends_s = clock.time_s() + 120 + WORKING_HOURS_S
    recorder = Late(clock, 200.0)
    async with opened(chosen) as fetcher:
        await fetcher.transfer(Location.parse(f"{server.url}/b/x.bin"), recorder)
        (statistics,) = fetcher.statistics().values()
    assert recorder.data == BODY
    assert clock.time_s() >= ends_s
    assert statistics.retries == 0, "hours in which nobody read are nobody's fault"
