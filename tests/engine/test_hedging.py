"""One slow range does not hold up the end of a file: its rest is raced, within a budget, and nothing is mixed up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from tests.engine.desk import BASE, Desk

from emasync.disk.writers import Turn, WriterPool
from emasync.engine.engine import RACE_LOOK_S
from emasync.engine.hedging import LEAST_BYTES, LEAST_S, LEAST_SAMPLES, SLOW, Flight, Flights, HedgeBudget
from emasync.engine.interface import Threads
from emasync.engine.version import Version
from emasync.model.digest import Span, Validator
from emasync.model.location import Location
from emasync.model.task import ObjectEntry
from emasync.settings import MIB
from emasync.testing.clock import ManualClock
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Head, Receiver

T = TypeVar("T")

PART = 2 * MIB
SLOW_START = 2 * PART


@dataclass
class At:
    landed: int


class Sky:
    """Flights under a clock that stands still until it is told."""

    def __init__(self, share: float = 0.5, usual: int = LEAST_SAMPLES) -> None:
        self.clock = ManualClock()
        self.budget = HedgeBudget(share)
        self.flights = Flights(self.budget, PART, self.clock)
        for number in range(usual):  # a second each
            flight = self.begin(number * PART)
            self.clock.advance(1.0)
            self.flights.end(flight, whole=True)

    def begin(self, start: int, landed: int | None = None) -> Flight:
        return self.flights.begin(Span(start, start + PART), At(start if landed is None else landed))


async def test_a_range_is_slow_that_takes_twice_as_long_as_the_others() -> None:
    sky = Sky()
    slow = sky.begin(10 * PART, landed=10 * PART + 5)
    sky.clock.advance(SLOW - 0.1)
    assert sky.flights.rest_to_race() is None
    sky.clock.advance(0.1)
    assert sky.flights.rest_to_race() == (slow, Span(10 * PART + 5, 11 * PART))
    assert (sky.budget.races, sky.budget.raced_bytes) == (1, PART - 5)


async def test_nobody_knows_what_is_usual_at_first() -> None:
    sky = Sky(usual=LEAST_SAMPLES - 1)
    sky.begin(10 * PART)
    sky.clock.advance(1000.0)
    assert sky.flights.rest_to_race() is None


async def test_a_short_rest_and_a_race_under_way_are_left_alone() -> None:
    sky = Sky()
    sky.begin(10 * PART, landed=11 * PART - LEAST_BYTES + 1)
    raced = sky.begin(12 * PART)
    sky.flights.begin(raced.span, At(12 * PART), raced)
    sky.clock.advance(1000.0)
    assert sky.flights.rest_to_race() is None


async def test_a_rival_that_failed_leaves_the_slow_one_to_be_raced_again() -> None:
    sky = Sky(share=1.0)
    slow = sky.begin(10 * PART)
    rival = sky.flights.begin(slow.span, At(10 * PART), slow)
    sky.flights.end(rival, whole=False)
    assert not slow.scope.cancel_called
    sky.clock.advance(1000.0)
    found = sky.flights.rest_to_race()
    assert found is not None
    assert found[0] is slow


def test_the_budget_is_a_share_of_what_came_and_one_range() -> None:
    budget = HedgeBudget(0.02)
    assert budget.spend(PART, PART)
    assert not budget.spend(PART, PART)
    budget.earn(49 * PART)
    assert not budget.spend(PART, PART)
    budget.earn(PART)
    assert budget.spend(PART, PART)
    assert not HedgeBudget(0.0).spend(1, PART), "forbidden is forbidden"


@pytest.mark.parametrize("later", [True, False])
async def test_who_is_first_ends_the_other(later: bool) -> None:
    sky = Sky()
    slow = sky.begin(10 * PART, landed=10 * PART + 7)
    sky.clock.advance(100.0)
    found = sky.flights.rest_to_race()
    assert found is not None
    rival = sky.flights.begin(found[1], At(found[1].start), slow)
    first, second = (rival, slow) if later else (slow, rival)
    sky.flights.end(first, whole=True)
    assert second.scope.cancel_called
    assert (first.lost, second.lost_at) == (False, 10 * PART + 7)
    assert sky.budget.won == later
    sky.flights.end(second, whole=True)  # it had all bytes, too, and too late
    assert sky.budget.won == later
    sky.clock.advance(1000.0)
    assert sky.flights.rest_to_race() is None


@pytest.mark.parametrize(
    ("fields", "may"),
    [
        ({}, True),
        ({"validator": Validator(etag='W/"a"')}, False),
        ({"validator": None}, False),
        ({"ranged": False}, False),
        ({"whole": True}, False),  # what is missing of it is more than what was asked for
        ({"todo": None}, False),
    ],
)
def test_only_ranges_of_the_same_bytes_are_raced(fields: dict[str, Any], may: bool) -> None:
    known: dict[str, Any] = {"validator": Validator(etag='"a"'), "todo": iter(()), **fields}
    assert Version(generation=0, **known).may_be_raced is may


# --- through the engine -------------------------------------------------------------------------------------------


class Slow(MemoryFetcher):
    """The first request for one range brings a little and then nothing; `stays` lets it go on."""

    def __init__(self, objects: dict[str, bytes], brings: int) -> None:
        super().__init__(objects)
        self._brings = brings
        self._met = False
        self.stays = asyncio.Event()
        self.cancelled = 0
        self.rivals_wait = False
        self.rivals = 0
        self.weak = False

    async def transfer(
        self, location: Location, receiver: Receiver, *, span: Span | None = None, validator: Validator | None = None
    ) -> Head:
        if self.weak:
            receiver = _Weak(receiver)
        if span is None or not SLOW_START <= span.start < SLOW_START + PART:
            return await super().transfer(location, receiver, span=span, validator=validator)
        if self._met:
            return await self._rival(location, receiver, span, validator)
        self._met = True
        return await self._counted(location, _Dripping(receiver, self._brings, self.stays), span, validator)

    async def _rival(self, location: Location, receiver: Receiver, span: Span, validator: Validator | None) -> Head:
        self.rivals += 1
        if not self.rivals_wait:
            return await super().transfer(location, receiver, span=span, validator=validator)
        return await self._counted(location, _Dripping(receiver, 1, asyncio.Event()), span, validator)

    async def _counted(self, location: Location, receiver: Receiver, span: Span, validator: Validator | None) -> Head:
        try:
            return await super().transfer(location, receiver, span=span, validator=validator)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class _Weak:
    """No strong validator tells whether two answers speak of the same bytes."""

    def __init__(self, inner: Receiver) -> None:
        self._inner = inner
        self.feed = inner.feed

    def begin(self, head: Head) -> None:
        self._inner.begin(replace(head, validator=Validator(last_modified=head.validator.last_modified)))


class _Dripping:
    def __init__(self, inner: Receiver, brings: int, stays: asyncio.Event) -> None:
        self._inner = inner
        self._left = brings
        self._stays = stays

    def begin(self, head: Head) -> None:
        self._inner.begin(head)

    async def feed(self, data: bytes | memoryview) -> None:
        if self._left <= 0:
            await self._stays.wait()
        self._left -= len(data)
        await self._inner.feed(data)


DATA = bytes(range(251)) * (8 * PART // 251 + 1)


def arrange(desk: Desk, *, brings: int = 3 << 20, share: float = 1.0) -> tuple[Slow, ManualClock]:
    slow = Slow({f"{BASE}/big": DATA}, brings)
    desk.fetcher = slow
    desk.settings = replace(
        desk.settings,
        hosts={"example.org": {"part_bytes": PART, "max_connections": 4, "hedge_share": share}},
    )
    return slow, ManualClock()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.001)


async def test_a_slow_range_is_raced_and_what_it_brought_is_kept(desk: Desk) -> None:
    slow, clock = arrange(desk, brings=MIB + LEAST_BYTES)
    await desk.plan(ObjectEntry(key="big", size_bytes=len(DATA)))
    async with desk.opened(clock=clock) as engine:
        running = asyncio.create_task(engine.run())
        await until(lambda: len(slow.log) == 9 and slow.in_flight == 1)
        await clock.run_for(LEAST_S + RACE_LOOK_S)
        outcome = await running
    assert (outcome.placed, outcome.failed, slow.cancelled) == (1, 0, 1)
    assert desk.file("big").read_bytes() == DATA
    assert (outcome.races, outcome.races_won) == (1, 1)
    assert desk.asked()[9:] == [("big", SLOW_START + MIB)], "only the rest, and only once"
    assert outcome.raced_bytes == PART - MIB
    assert (await desk.run()).bytes_received == 0


async def test_the_slow_one_may_still_be_first(desk: Desk) -> None:
    slow, clock = arrange(desk, brings=MIB)
    slow.rivals_wait = True
    await desk.plan(ObjectEntry(key="big", size_bytes=len(DATA)))
    async with desk.opened(clock=clock) as engine:
        running = asyncio.create_task(engine.run())
        await until(lambda: len(slow.log) == 9 and slow.in_flight == 1)
        await clock.run_for(LEAST_S + RACE_LOOK_S)
        await until(lambda: slow.rivals == 1)
        slow.stays.set()
        outcome = await running
    assert (outcome.placed, slow.cancelled) == (1, 1)
    assert (outcome.races, outcome.races_won) == (1, 0)
    assert desk.file("big").read_bytes() == DATA


async def test_a_stop_while_two_race_loses_nothing_and_mixes_nothing_up(desk: Desk) -> None:
    slow, clock = arrange(desk, brings=MIB)
    slow.rivals_wait = True
    await desk.plan(ObjectEntry(key="big", size_bytes=len(DATA)))
    async with desk.opened(clock=clock) as engine:
        running = asyncio.create_task(engine.run())
        await until(lambda: len(slow.log) == 9 and slow.in_flight == 1)
        await clock.run_for(LEAST_S + RACE_LOOK_S)
        await until(lambda: slow.rivals == 1)
        engine.stop()
        await running
    desk.fetcher = MemoryFetcher({f"{BASE}/big": DATA})
    assert (await desk.run()).placed == 1
    assert desk.file("big").read_bytes() == DATA
    again = [start for _, start in desk.asked() if start is not None and SLOW_START <= start < SLOW_START + PART]
    assert again == [SLOW_START + MIB], "what the slow one had brought is kept"


class HeldWrites:
    """Holds writes to one place of the file until they are let go."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._threads: WriterPool | None = None
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def over(self, threads: WriterPool) -> Threads:
        self._threads = threads
        return self

    def submit(self, job: Callable[..., T], *args: Any, turn: Turn | None = None) -> asyncio.Future[T]:
        assert self._threads is not None
        held = len(args) > 1 and args[1] == self._offset
        return self._threads.submit(self._after(job) if held else job, *args, turn=turn)

    def _after(self, job: Callable[..., T]) -> Callable[..., T]:
        def run(*args: Any) -> T:
            self.reached.set()
            assert self.go_on.wait(20)
            return job(*args)

        return run


async def test_the_slow_one_comes_whole_while_the_rival_s_last_bytes_are_written(desk: Desk) -> None:
    slow, clock = arrange(desk, brings=MIB + LEAST_BYTES)
    writes = HeldWrites(SLOW_START + MIB)
    desk.wrap_threads = writes.over
    await desk.plan(ObjectEntry(key="big", size_bytes=len(DATA)))
    async with desk.opened(clock=clock) as engine:
        running = asyncio.create_task(engine.run())
        await until(lambda: len(slow.log) == 9 and slow.in_flight == 1)
        await clock.run_for(LEAST_S + RACE_LOOK_S)
        await until(writes.reached.is_set)
        slow.stays.set()
        await until(lambda: slow.in_flight == 0)
        writes.go_on.set()
        outcome = await running
    assert (outcome.placed, outcome.failed) == (1, 0)
    assert (outcome.races, outcome.races_won) == (1, 1)
    assert desk.file("big").read_bytes() == DATA
    assert desk.asked()[9:] == [("big", SLOW_START + MIB)], "what the slow one brought first is not asked for again"


@pytest.mark.parametrize("why", ["budget", "weak tag"])
async def test_nobody_races_where_that_is_forbidden(desk: Desk, why: str) -> None:
    slow, clock = arrange(desk, brings=MIB + LEAST_BYTES, share=0.0 if why == "budget" else 1.0)
    if why == "weak tag":
        slow.weak = True
    await desk.plan(ObjectEntry(key="big", size_bytes=len(DATA)))
    async with desk.opened(clock=clock) as engine:
        running = asyncio.create_task(engine.run())
        await until(lambda: len(slow.log) == 9 and slow.in_flight == 1)
        await clock.run_for(10 * RACE_LOOK_S)
        slow.stays.set()
        outcome = await running
    assert (outcome.races, slow.cancelled) == (0, 0)
