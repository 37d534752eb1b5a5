"""Time by hand."""

from __future__ import annotations

import asyncio

import pytest

from emasync.model.clock import Clock
from emasync.testing.clock import ManualClock


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_both_clocks_move_together() -> None:
    clock: Clock = ManualClock(start_s=5.0, epoch_s=100.0)
    assert isinstance(clock, ManualClock)
    clock.advance(2.5)
    assert (clock.monotonic_s(), clock.time_s()) == (7.5, 102.5)
    clock.set_time_s(1.0)
    assert (clock.monotonic_s(), clock.time_s()) == (7.5, 1.0)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


async def test_sleepers_wake_in_order_of_their_time() -> None:
    clock, woken = ManualClock(), []

    async def sleep(name: str, delay_s: float) -> None:
        await clock.sleep(delay_s)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        for name, delay_s in (("late", 3.0), ("first", 1.0), ("second", 1.0)):
            group.create_task(sleep(name, delay_s))
        await turn()
        assert (clock.sleepers, clock.next_due_s) == (3, 1001.0)
        assert repr(clock) == "<ManualClock at 1000 s, 3 asleep>"
        clock.advance(0.5)
        await turn()
        assert woken == []
        clock.advance(0.5)
        await turn()
        assert woken == ["first", "second"]
        clock.advance(10)
    assert woken == ["first", "second", "late"]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.ensure_future(clock.sleep(1))
    await turn()
    task.cancel()
    await turn()
    assert (clock.sleepers, clock.next_due_s) == (0, None)
    clock.advance(2)


async def test_no_time_only_gives_way() -> None:
    clock = ManualClock()
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.monotonic_s() == 1000.0


async def test_run_for_steps_from_sleeper_to_sleeper() -> None:
    clock, moments = ManualClock(start_s=0), []

    async def tick() -> None:
        for _ in range(3):
            await clock.sleep(1)
            moments.append(clock.monotonic_s())

    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        await clock.run_for(2.5)
        assert moments == [1.0, 2.0]
        await clock.run_for(1)
    assert (moments, clock.monotonic_s()) == ([1.0, 2.0, 3.0], 3.5)


@pytest.mark.parametrize("autojump_s", [0.0, 0.001])
async def test_autojump(autojump_s: float) -> None:
    clock, moments = ManualClock(start_s=0, autojump_s=autojump_s), []

    async def tick(period_s: float) -> None:
        for _ in range(3):
            await clock.sleep(period_s)
            moments.append(clock.monotonic_s())

    async with asyncio.TaskGroup() as group:
        group.create_task(tick(3600))
        group.create_task(tick(5000))
    assert moments == [3600, 5000, 7200, 10000, 10800, 15000]
