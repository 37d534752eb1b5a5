"""Slots, fairness, rates, holds and the breaker of one origin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from emasync.errors import ErrorKind
from emasync.settings import HostPolicy
from emasync.testing.clock import ManualClock
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.limiter import OriginGivenUpError, OriginLimiter


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


async def test_no_bandwidth_cap_waits_for_nothing(clock: ManualClock) -> None:
    bandwidth = Bandwidth(None, clock)
    began_s = clock.monotonic_s()
    await bandwidth.spend(1 << 40)
    assert clock.monotonic_s() == began_s
    assert repr(bandwidth) == "<Bandwidth unlimited>"
