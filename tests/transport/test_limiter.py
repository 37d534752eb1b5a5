"""Slots, fairness, rates, holds and the breaker of one origin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from emasync.errors import ErrorKind, StalledError
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.model.timetable import DAY_S, BandwidthHours
from emasync.settings import HostPolicy, Settings
from emasync.testing.clock import ManualClock
from emasync.testing.conformance import Recorder
from emasync.transport.bandwidth import LOOK_S, Bandwidth
from emasync.transport.governed import GovernedFetcher
from emasync.transport.limiter import OriginGivenUpError, OriginLimiter
from emasync.transport.pursuit import MAX_EXCUSES, Pursuit
from emasync.transport.remembered import Remembered
from emasync.transport.watch import Pace, Watch

Opener = Callable[..., AbstractAsyncContextManager[GovernedFetcher]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(autojump_s=0)


def limiter_of(clock: ManualClock, **policy: float) -> OriginLimiter:
    return OriginLimiter("https://x", HostPolicy(**policy), clock)  # type: ignore[arg-type]  # fields as named


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def test_documents_go_before_bulk_and_each_class_in_order(clock: ManualClock) -> None:
    limiter = limiter_of(clock, max_connections=1)
    order: list[str] = []

    async def ask(name: str, *, urgent: bool) -> None:
        async with limiter.slot(urgent=urgent):
            order.append(name)

    async with asyncio.TaskGroup() as group, limiter.slot():
        for name, urgent in (("bulk 1", False), ("bulk 2", False), ("document 1", True), ("document 2", True)):
            group.create_task(ask(name, urgent=urgent))
        await turns()
        assert repr(limiter) == "<OriginLimiter https://x: 1 of 1 in flight, 4 waiting>"
        assert limiter.statistics().waiting == 4
    assert order == ["document 1", "document 2", "bulk 1", "bulk 2"]
    assert (limiter.statistics().in_flight, limiter.statistics().requests) == (0, 5)


async def test_all_are_cancelled_in_one_turn_of_the_loop(clock: ManualClock) -> None:
    """As at the end of a run that is stopped: those inside leave before those that wait have woken up."""
    limiter = limiter_of(clock, max_connections=1)

    async def ask() -> None:
        async with limiter.slot():
            await asyncio.sleep(3600)

    asked = [asyncio.create_task(ask()) for _ in range(4)]
    await turns()
    for task in asked:
        task.cancel()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 4
    assert (limiter.statistics().in_flight, limiter.statistics().waiting) == (0, 0)


async def test_the_limit_can_move_while_requests_are_out(clock: ManualClock) -> None:
    limiter = limiter_of(clock, max_connections=3)
    release = asyncio.Event()
    inside = 0

    async def ask() -> None:
        nonlocal inside
        async with limiter.slot():
            inside += 1
            await release.wait()
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(ask())
        await turns()
        assert inside == 3
        limiter.limit = 1
        await turns()
        assert inside == 3
        limiter.limit = 5
        await turns()
        assert (inside, limiter.limit) == (5, 5)
        release.set()
    assert limiter.statistics().in_flight == 0


async def test_a_cancelled_wait_keeps_no_place(clock: ManualClock) -> None:
    limiter = limiter_of(clock, max_connections=1)

    async def ask() -> None:
        async with limiter.slot():
            await asyncio.Event().wait()

    holder, waiter = asyncio.create_task(ask()), asyncio.create_task(ask())
    await turns()
    waiter.cancel()
    await turns()
    assert limiter.statistics().waiting == 0
    last = asyncio.create_task(ask())
    await turns()
    holder.cancel()
    last.cancel()  # admitted by the holder's end or still waiting: either way nothing may be lost
    await turns()
    assert (limiter.statistics().in_flight, limiter.statistics().waiting) == (0, 0)


async def test_cancelled_in_the_moment_of_admission(clock: ManualClock) -> None:
    limiter = limiter_of(clock, max_connections=1)

    async def ask() -> None:
        async with limiter.slot():
            pass

    async with limiter.slot():
        waiter = asyncio.create_task(ask())
        await turns()
    waiter.cancel()  # the slot was handed over, the waiter has not run yet
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert limiter.statistics().in_flight == 0


async def test_requests_per_second(clock: ManualClock) -> None:
    limiter = limiter_of(clock, requests_per_second=4.0)
    began_s = clock.monotonic_s()
    starts: list[float] = []

    async def ask() -> None:
        async with limiter.slot():
            starts.append(clock.monotonic_s() - began_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(ask())
    assert starts == [0, 0.25, 0.5, 0.75, 1.0]


async def test_a_hold_stops_everybody_and_can_only_grow(clock: ManualClock) -> None:
    limiter = limiter_of(clock)
    began_s = clock.monotonic_s()
    limiter.hold(30)
    limiter.hold(10)
    assert limiter.statistics().held_until_s == began_s + 30
    assert "held for 30.0 s" in repr(limiter)
    async with limiter.slot():
        assert clock.monotonic_s() == began_s + 30
    assert limiter.statistics().held_until_s is None


async def test_an_origin_without_any_answer_is_given_up(clock: ManualClock) -> None:
    limiter = limiter_of(clock, give_up_after_s=120.0)
    limiter.unanswered("refused")
    clock.advance(119)
    limiter.unanswered("refused")
    limiter.check()
    limiter.answered()
    clock.advance(500)
    limiter.unanswered("refused")
    limiter.check()
    clock.advance(120)
    limiter.unanswered("no route")
    with pytest.raises(OriginGivenUpError, match=r"answered nothing for 120 s.*Last: no route") as caught:
        async with limiter.slot():
            pass
    assert caught.value.kind == ErrorKind.UNREACHABLE
    assert "given up" in repr(limiter)
    assert limiter.statistics().in_flight == 0


async def test_bandwidth_is_kept_over_time(clock: ManualClock) -> None:
    bandwidth = Bandwidth(1000.0, clock)
    clock.advance(100)
    began_s = clock.monotonic_s()
    for _ in range(10):
        await bandwidth.spend(1000)
    assert clock.monotonic_s() - began_s == pytest.approx(9.75)
    assert repr(bandwidth) == "<Bandwidth 1000 B/s>"
    assert bandwidth.charge(5000) == pytest.approx(bandwidth.debt_s)
    assert bandwidth.debt_s > 4.0


async def test_no_bandwidth_cap_waits_for_nothing(clock: ManualClock) -> None:
    bandwidth = Bandwidth(None, clock)
    began_s = clock.monotonic_s()
    await bandwidth.spend(1 << 40)
    assert clock.monotonic_s() == began_s
    assert repr(bandwidth) == "<Bandwidth unlimited>"


async def test_another_cap_holds_at_other_hours(clock: ManualClock) -> None:
    local = time.localtime(clock.time_s())
    second = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec
    slow = BandwidthHours(start_s=(second + 100) % DAY_S, stop_s=(second + 200) % DAY_S, bytes_per_s=10.0)
    bandwidth = Bandwidth(None, clock, (slow,))
    assert bandwidth.capped, "soon"
    assert bandwidth.portion_bytes <= 1 << 20
    assert bandwidth.charge(1 << 30) == 0.0
    clock.advance(101)
    assert bandwidth.charge(1000) == pytest.approx(100, abs=1)
    bandwidth.take_share(0.5)
    assert repr(bandwidth) == "<Bandwidth 5 B/s>"
    clock.advance(100)
    assert bandwidth.charge(1 << 30) == 0.0
    clock.set_time_s(clock.time_s() - 50)  # the clock on the wall was wrong
    clock.advance(LOOK_S)
    assert bandwidth.charge(1000) > 0.0


def pause_from(clock: ManualClock, begin_s: int, end_s: int) -> BandwidthHours:
    """Nothing from so many seconds on until so many, both from now."""
    local = time.localtime(clock.time_s())
    now_s = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec
    return BandwidthHours(start_s=(now_s + begin_s) % DAY_S, stop_s=(now_s + end_s) % DAY_S, bytes_per_s=0.0)


async def test_a_pause_ends_when_the_timetable_says(clock: ManualClock) -> None:
    clock.set_time_s(clock.time_s() // 60 * 60)  # timetables are written in minutes
    bandwidth = Bandwidth(None, clock, (pause_from(clock, 600, 36_000),))
    began_s = clock.monotonic_s()
    await bandwidth.opened()
    await bandwidth.spend(1 << 40)
    assert (clock.monotonic_s(), bandwidth.resumes_at_s) == (began_s, None), "not yet"
    clock.advance(601)
    assert bandwidth.resumes_at_s == clock.time_s() + 35_399
    assert bandwidth.debt_s == bandwidth.pause_s == 35_399
    bandwidth.take_share(0.5)
    await bandwidth.spend(1000)
    assert clock.monotonic_s() - began_s == pytest.approx(36_000, abs=LOOK_S)
    assert (bandwidth.pause_s, bandwidth.charge(1000)) == (0.0, 0.0)


async def test_a_clock_that_is_set_ends_a_pause_too() -> None:
    clock = ManualClock()
    clock.set_time_s(clock.time_s() // 60 * 60)
    bandwidth = Bandwidth(None, clock, (pause_from(clock, -60, 36_000),))
    waiting = asyncio.create_task(bandwidth.opened())
    await clock.run_for(120)
    assert not waiting.done()
    clock.set_time_s(clock.time_s() + 36_000)
    await clock.run_for(61)
    await waiting


# --- seats -----------------------------------------------------------------------------------------------------------


async def seated(stack: AsyncExitStack, limiter: OriginLimiter, count: int) -> list[asyncio.Task[None]]:
    """Tasks that want a seat and keep it."""

    async def sit() -> None:
        async with limiter.seat():
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(sit()) for _ in range(count)]
    for task in tasks:
        stack.callback(task.cancel)
    await turns()
    return tasks


async def test_there_are_as_many_seats_as_slots(clock: ManualClock, stack: AsyncExitStack) -> None:
    limiter = limiter_of(clock, max_connections=6, start_connections=2)
    await seated(stack, limiter, 5)
    assert limiter.wanted == 2  # three more wait, but the limit is what can be used
    limiter.limit = 4
    await turns()
    assert (limiter.wanted, limiter.in_flight) == (1, 0)
    async with limiter.slot():
        assert (limiter.wanted, limiter.full) == (2, False)


async def test_seats_follow_where_redirects_lead(clock: ManualClock, stack: AsyncExitStack) -> None:
    asked, target = limiter_of(clock, max_connections=2), limiter_of(clock, max_connections=5, start_connections=3)
    await seated(stack, asked, 9)
    assert asked.wanted == 2
    asked.leads_to(target)
    asked.leads_to(target)
    await turns()
    assert asked._seats.inside == 3
    target.limit = 5
    assert asked._seats.inside == 5


async def test_a_seat_at_an_origin_that_is_gone_is_free_for_all(clock: ManualClock, stack: AsyncExitStack) -> None:
    limiter = limiter_of(clock, max_connections=1)
    tasks = await seated(stack, limiter, 3)
    limiter.give_up("no route")
    assert limiter._seats.inside == 3
    for task in tasks:
        task.cancel()
    await turns()
    assert limiter._seats.inside == 0


# --- the controller is fed ------------------------------------------------------------------------------------------


def served(limiter: OriginLimiter, clock: ManualClock, seconds: float, objects_a_second: int) -> None:
    for _ in range(int(seconds * 4)):
        clock.advance(0.25)
        for _ in range(objects_a_second // 4):
            limiter.answered()
            limiter.object_came(1000)
        limiter.beat()


async def held_slots(stack: AsyncExitStack, limiter: OriginLimiter, count: int) -> None:
    for _ in range(count):
        await stack.enter_async_context(limiter.slot())


async def test_full_slots_make_the_limit_grow(clock: ManualClock, stack: AsyncExitStack) -> None:
    limiter = limiter_of(clock, max_connections=64)
    await held_slots(stack, limiter, 8)
    served(limiter, clock, 1.0, 400)
    assert limiter.limit == 16
    statistics = limiter.statistics()
    assert (statistics.limit, statistics.cap, statistics.phase) == (16, 64, "slow start")
    assert statistics.goodput_bytes_per_s == 400_000
    served(limiter, clock, 10.0, 800)
    assert limiter.limit == 16  # half of the slots are free
    assert limiter.remembered is None


async def test_who_waits_for_memory_or_disk_does_not_use_a_slot(clock: ManualClock, stack: AsyncExitStack) -> None:
    limiter = limiter_of(clock, max_connections=64)
    await held_slots(stack, limiter, 8)
    with limiter.idle():
        served(limiter, clock, 10.0, 400)
    assert limiter.limit == 8
    served(limiter, clock, 0.25, 400)
    served(limiter, clock, 1.0, 400)
    assert limiter.limit == 16


async def test_a_hold_and_a_standstill_are_not_measured(clock: ManualClock, stack: AsyncExitStack) -> None:
    limiter = limiter_of(clock, max_connections=64)
    await held_slots(stack, limiter, 8)
    limiter.hold(5.0)
    served(limiter, clock, 5.0, 400)
    assert limiter.limit == 8
    clock.advance(30)
    served(limiter, clock, 0.25, 40_000)
    assert limiter.limit == 8


async def test_refusals_take_the_limit_back_and_excuse_the_requests(clock: ManualClock, stack: AsyncExitStack) -> None:
    limiter = limiter_of(clock, max_connections=64)
    await held_slots(stack, limiter, 8)
    served(limiter, clock, 1.0, 400)
    epoch = limiter.epoch
    assert [limiter.refused(epoch, who, throttled=True) for who in range(4)] == [False, True, True, True]
    assert limiter.limit == 8
    assert not limiter.refused(limiter.epoch, 9, throttled=True)


async def test_resets_of_a_host_that_answers_nobody_say_nothing(clock: ManualClock) -> None:
    limiter = limiter_of(clock, max_connections=64)
    for who in range(9):
        assert not limiter.refused(limiter.epoch, who, throttled=False)
    limiter.answered()
    for who in range(3):
        limiter.refused(limiter.epoch, who, throttled=False)
    assert limiter.limit == 5


async def test_patience_is_short_where_others_get_bytes(clock: ManualClock) -> None:
    limiter = limiter_of(clock, first_byte_timeout_s=30.0, stall_timeout_s=12.0)
    for _ in range(20):
        limiter.learn(0.1)
    served(limiter, clock, 1.0, 400)
    assert (limiter.first_byte_limit_s(), limiter.silence_limit_s()) == (5.0, 2.0)
    served(limiter, clock, 2.0, 0)  # the whole line is silent
    assert (limiter.first_byte_limit_s(), limiter.silence_limit_s()) == (30.0, 12.0)


class Hanging:
    """A body of which some comes, and then nothing."""

    taken = 0

    def __init__(self) -> None:
        self.received = 2 << 20

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def read_into(self, view: memoryview) -> int:
        return len(view)


async def test_impatience_is_paid_for(clock: ManualClock) -> None:
    """Four may be cut short, and one more for each ten good requests; the next one gets all of the policy's time."""
    limiter = limiter_of(clock, stall_timeout_s=12.0)
    for _ in range(16):
        limiter.learn(0.1)
    waited: list[float] = []
    for _ in range(6):
        watch = Watch(clock)
        pace = Pace(limiter.policy, clock, watch, "x", limiter)
        pace.large = True
        reading, began_s = asyncio.create_task(pace.read(Hanging())), clock.monotonic_s()
        await turns()
        while not reading.done():
            clock.advance(0.25)
            limiter.bytes_came(1)  # over another connection
            limiter.beat()
            for late in watch.sweep(clock.monotonic_s()):
                late.scope.reschedule(asyncio.get_running_loop().time())
            await turns()
        waited.append(clock.monotonic_s() - began_s)
        assert isinstance(reading.exception(), StalledError)
    assert [2.0 <= seconds < 4.0 for seconds in waited] == [True] * 5 + [False]
    assert waited[-1] >= 12.0


async def test_what_was_found_is_where_the_next_run_begins(clock: ManualClock, stack: AsyncExitStack) -> None:
    limiter = OriginLimiter("https://x", HostPolicy(max_connections=64), clock, Remembered(40, 1.0))
    assert (limiter.limit, limiter.remembered) == (40, None)
    await held_slots(stack, limiter, 40)
    served(limiter, clock, 2.0, 4000)
    assert limiter.remembered == Remembered(40, 4_000_000.0)
    assert OriginLimiter("https://x", HostPolicy(max_connections=8), clock, Remembered(40, 1.0)).limit == 8


# --- with a server --------------------------------------------------------------------------------------------------


class CountingServer:
    """Answers after 40 ms of the test's clock; refuses at once what is more than it takes at a time."""

    def __init__(self, clock: ManualClock, most: int = 1 << 20) -> None:
        self.inside = self.peak = self.refused = self.answered = 0
        self._clock = clock
        self._most = most

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(await self._answer())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self) -> bytes:
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        try:
            if self.inside > self._most:
                self.refused += 1
                return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
            await self._clock.sleep(0.04)
            self.answered += 1
            return b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 4\r\n\r\nbody'
        finally:
            self.inside -= 1


async def fetch_for(seconds: float, fetcher: GovernedFetcher, clock: ManualClock, url: str) -> int:
    """Forty workers fetch for so long; gives how many objects came."""
    location, end_s = Location.parse(url), clock.monotonic_s() + seconds
    came = 0

    async def work() -> None:
        nonlocal came
        while clock.monotonic_s() < end_s:
            async with fetcher.seat(location):
                recorder = Recorder()
                await fetcher.transfer(location, recorder)
                assert recorder.data == b"body"
                came += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(work())
    return came


async def test_a_patient_server_gets_all_that_the_policy_allows_and_never_more(opened: Opener) -> None:
    clock = ManualClock(autojump_s=0.003)
    server = CountingServer(clock)
    settings = Settings(hosts={"127.0.0.1": {"max_connections": 20, "start_connections": 4}})
    async with await asyncio.start_server(server.talk, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x"
        async with opened(settings, clock=clock, heartbeat_s=0.005) as fetcher:
            came = await fetch_for(6.0, fetcher, clock, url)
            (statistics,) = fetcher.statistics().values()
    assert (server.peak, server.answered, server.refused) == (20, came, 0)
    assert (statistics.limit, statistics.phase, statistics.retries) == (20, "steady", 0)


async def test_a_server_that_takes_six_at_a_time_is_asked_six_at_a_time(opened: Opener, events: list[Event]) -> None:
    clock = ManualClock(autojump_s=0.003)
    server = CountingServer(clock, most=6)
    settings = Settings(hosts={"127.0.0.1": {"start_connections": 4}})
    async with await asyncio.start_server(server.talk, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x"
        async with opened(settings, clock=clock, heartbeat_s=0.005) as fetcher:
            came = await fetch_for(9.0, fetcher, clock, url)
            (statistics,) = fetcher.statistics().values()
    assert server.answered == came
    assert server.peak <= 8  # one doubling
    assert statistics.retries == server.refused <= 20
    assert 4 <= statistics.limit <= 7
    assert 0.0 in [event.fields["delay_s"] for event in events]  # thrown back by our doing: again, without a wait


def test_a_request_is_excused_only_so_often_without_a_byte() -> None:
    """Else a limit that goes up and down would keep one request for ever."""
    pursuit = Pursuit("x")
    assert [pursuit.excuse() for _ in range(MAX_EXCUSES + 1)] == [True] * MAX_EXCUSES + [False]
    assert pursuit.failures == 0
    pursuit.advance_by(1)
    assert pursuit.excuse()
