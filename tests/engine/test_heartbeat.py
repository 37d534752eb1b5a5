"""Whatever a run waits for, it says so within 15 s, and until when."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import pytest
from tests.engine.desk import BASE, PART, Desk

from emasync.disk.writers import Turn, WriterStatistics
from emasync.engine.activities import Activity
from emasync.engine.heartbeat import LOOK_S, MOST_CAUSES, SILENT_S, Heartbeat, Vitals, causes_of
from emasync.engine.interface import Threads
from emasync.model.events import Event, EventName
from emasync.model.task import ObjectEntry
from emasync.testing.clock import ManualClock
from emasync.transport.interface import OriginStatistics

T = TypeVar("T")

NOW_S = 1_000.0
PROMISED_S = 15.0


class Listener:
    """Events, and when each came."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.heard: list[tuple[float, Event]] = []

    def __call__(self, event: Event) -> None:
        self.heard.append((self._clock.monotonic_s(), event))

    def waiting(self) -> list[Event]:
        return [event for _, event in self.heard if event.event == "waiting"]


@asynccontextmanager
async def beating() -> AsyncIterator[tuple[ManualClock, Listener, Heartbeat]]:
    clock = ManualClock(start_s=NOW_S)
    listener = Listener(clock)
    heart = Heartbeat(listener, clock)
    async with heart.beating():
        yield clock, listener, heart


def progress(**fields: float | bool) -> Event:
    return Event("progress", {"objects_done": 1, "objects_total": 5, "planned": True, "bytes_per_s": 0.0, **fields})


async def test_a_silent_run_speaks_in_time_and_goes_on_speaking() -> None:
    async with beating() as (clock, listener, heart):
        heart.step = "reading the manifest"
        await clock.run_for(100)
    times = [NOW_S, *(at for at, _ in listener.heard)]
    assert max(after - before for before, after in itertools.pairwise(times)) <= PROMISED_S
    assert clock.monotonic_s() - times[-1] <= PROMISED_S
    fields = listener.waiting()[-1].fields
    assert "reading the manifest" in str(fields["message"])
    assert fields["silent_s"] == times[-1] - NOW_S, "counted from the last news, not from the last word"


@pytest.mark.parametrize("name", ["retry", "stalled", "dataset_done", "plan_progress", "hook"])
async def test_news_are_no_silence(name: EventName) -> None:
    async with beating() as (clock, listener, heart):
        for _ in range(20):
            await clock.run_for(5)
            heart(Event(name, {}))
    assert listener.waiting() == []


async def test_progress_that_is_none_is_no_news() -> None:
    async with beating() as (clock, listener, heart):
        for turn in range(40):
            heart(progress(bytes_per_s=float(turn)))
            heart(Event("host", {"origin": "https://a"}))
            await clock.run_for(0.5)
    assert len(listener.waiting()) == 1
    async with beating() as (clock, listener, heart):
        for turn in range(40):
            heart(progress(objects_done=turn))
            await clock.run_for(0.5)
    assert listener.waiting() == []


def origin(**fields: float) -> OriginStatistics:
    known = {"in_flight": 0, "limit": 4, "waiting": 0, "requests": 9, "retries": 0, "bytes_received": 0, **fields}
    return OriginStatistics(origin="https://a", **known)  # type: ignore[arg-type]  # a mixture of numbers


@pytest.mark.parametrize(
    ("seen", "why", "until_s"),
    [
        (origin(held_until_s=NOW_S + 30, in_flight=3), "held", NOW_S + 30),
        (origin(gives_up_s=NOW_S + 90, in_flight=3), "unanswered", NOW_S + 90),
        (origin(in_flight=3, flowed_s=NOW_S - 14, patience_s=40), "no_bytes", NOW_S + 40),
        (origin(asks_again_s=NOW_S + 20), "back_off", NOW_S + 20),
        (origin(waiting=2), "no_slot", None),
    ],
)
def test_an_origin_that_is_waited_for_is_named(seen: OriginStatistics, why: str, until_s: float | None) -> None:
    (cause,) = causes_of(Vitals(origins={"https://a": seen}), 0.0, NOW_S)
    assert (cause.why, cause.until_s) == (why, until_s)
    assert "https://a" in cause.message


def test_a_pause_says_until_when_and_blames_nobody() -> None:
    resumes_at_s = datetime(2026, 11, 23, 17, 0).timestamp()  # noqa: DTZ001 - timetables are in local time
    seen = origin(in_flight=1)
    vitals = Vitals(origins={"https://a": seen}, bandwidth_debt_s=28_800.0, resumes_at_s=resumes_at_s)
    (cause,) = causes_of(vitals, 0.0, NOW_S)
    assert (cause.why, cause.until_s) == ("bandwidth", NOW_S + 28_800.0)
    assert "nothing through until 2026-11-23 17:00" in cause.message


def test_a_cap_of_ours_is_named_before_the_host_that_waits_for_it() -> None:
    waiting = origin(in_flight=1, flowed_s=NOW_S - 14, patience_s=40)
    causes = list(causes_of(Vitals(origins={"https://a": waiting}, bandwidth_debt_s=16.0), 0.0, NOW_S))
    assert [(cause.why, cause.until_s) for cause in causes] == [("bandwidth", NOW_S + 16), ("no_bytes", NOW_S + 40)]


@pytest.mark.parametrize("seen", [origin(), origin(held_until_s=NOW_S - 1), origin(asks_again_s=NOW_S - 1)])
def test_an_origin_at_rest_is_no_cause(seen: OriginStatistics) -> None:
    assert list(causes_of(Vitals(origins={"https://a": seen}), 0.0, NOW_S)) == []


async def test_a_disk_that_ends_no_job_is_named() -> None:
    async with beating() as (clock, listener, heart):
        heart.watch(lambda: Vitals(disk=WriterStatistics(threads=4, waiting=3, running=4, done=100, failed=0)))
        await clock.run_for(SILENT_S + LOOK_S)
        (told,) = listener.waiting()
    assert told.fields["causes"] == ["disk", "step"]
    assert "none of 7 jobs" in str(told.fields["message"])


async def test_a_disk_that_ends_jobs_is_not() -> None:
    done = 0

    def ask() -> Vitals:
        nonlocal done
        done += 1
        return Vitals(disk=WriterStatistics(threads=4, waiting=3, running=4, done=done, failed=0))

    async with beating() as (clock, listener, heart):
        heart.watch(ask)
        await clock.run_for(SILENT_S + LOOK_S)
        assert [event.fields["causes"] for event in listener.waiting()] == [["step"]]


async def test_the_nearest_limit_is_the_deadline_and_listing_is_said() -> None:
    async with beating() as (clock, listener, heart):
        heart(progress(planned=False, objects_total=12_345))
        end_s = NOW_S + 100
        seen = {f"https://{name}": origin(held_until_s=end_s + 7 * number) for number, name in enumerate("abcde")}
        heart.watch(lambda: Vitals(origins=seen))
        await clock.run_for(SILENT_S + LOOK_S)
        (told,) = listener.waiting()
        assert told.fields["deadline_s"] == end_s - listener.heard[-1][0]
        causes = told.fields["causes"]
        assert isinstance(causes, list)
        assert len(causes) == MOST_CAUSES

        heart.watch(Vitals)
        await clock.run_for(SILENT_S + LOOK_S)
        assert "12,345 objects so far" in str(listener.waiting()[-1].fields["message"])
        assert listener.waiting()[-1].fields["deadline_s"] is None


async def test_an_engine_that_waits_for_a_host_says_so(desk: Desk) -> None:
    desk.put({"big": bytes(3 * PART)})
    desk.fetcher.hold()
    await desk.plan(ObjectEntry(key="big", size_bytes=3 * PART))
    async with beating() as (clock, listener, heart), desk.opened() as engine:
        heart.watch(lambda: Vitals(origins=desk.fetcher.statistics(), activities=engine.activities))
        running = asyncio.create_task(engine.run())
        while desk.fetcher.in_flight < 1:
            await asyncio.sleep(0)
        await clock.run_for(SILENT_S + LOOK_S)
        told = listener.waiting()[-1].fields
        desk.fetcher.release()
        await running
    assert told["causes"] == ["no_bytes", "step"]
    assert BASE.rpartition("/")[0] in str(told["message"])


class Asking:
    """Threads that ask what is going on whenever a job is handed to them."""

    def __init__(self, threads: Threads, ask: Callable[[], tuple[Activity, ...]]) -> None:
        self._threads = threads
        self._ask = ask
        self.seen: set[Activity] = set()

    def submit(self, job: Callable[..., T], *args: Any, turn: Turn | None = None) -> asyncio.Future[T]:
        self.seen.update(self._ask())
        return self._threads.submit(job, *args, turn=turn)


async def test_an_engine_that_hashes_says_so(desk: Desk) -> None:
    data = bytes(3 * PART)
    desk.put({"big": data})
    await desk.plan(ObjectEntry(key="big", size_bytes=len(data)))
    asking: list[Asking] = []

    def wrap(threads: Threads) -> Threads:
        asking.append(Asking(threads, lambda: desk.engine.activities if desk.engine is not None else ()))
        return asking[0]

    desk.wrap_threads = wrap
    await desk.run()
    assert Activity("hashing", f"{BASE}/big") in asking[0].seen
    assert desk.engine is not None
    assert desk.engine.activities == ()
