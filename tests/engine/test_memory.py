from __future__ import annotations

import asyncio

from emasync.engine.memory import MemoryBudget, MemoryStatistics, Slabs


async def turn() -> None:
    """Let every ready task run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_callers_wait_in_line_and_the_peak_stays_below_the_total() -> None:
    budget = MemoryBudget(10)
    order: list[int] = []

    async def use(number: int, size: int) -> None:
        await budget.acquire(size)
        order.append(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(use(0, 6))
        group.create_task(use(1, 6))
        group.create_task(use(2, 2))  # would fit, but is behind 1
        await turn()
        assert order == [0]
        assert budget.statistics() == MemoryStatistics(10, 6, 6, 2)
        budget.release(6)

    assert order == [0, 1, 2]
    assert budget.statistics().peak_bytes == 8
    assert repr(budget) == "<MemoryBudget 8/10 bytes, 0 waiting>"


async def test_a_request_larger_than_the_budget_is_granted_alone() -> None:
    budget = MemoryBudget(10)
    await budget.acquire(1)
    waiting = asyncio.create_task(budget.acquire(50))
    await turn()
    assert not waiting.done()

    budget.release(1)
    await waiting

    assert budget.statistics().used_bytes == 50


async def test_a_cancelled_waiter_leaves_the_line() -> None:
    budget = MemoryBudget(10)
    await budget.acquire(8)
    first = asyncio.create_task(budget.acquire(9))
    second = asyncio.create_task(budget.acquire(2))
    await turn()

    first.cancel()
    await turn()

    assert first.cancelled()
    assert second.done()
    assert budget.statistics() == MemoryStatistics(10, 10, 10, 0)


async def test_a_grant_that_meets_a_cancellation_is_given_back() -> None:
    budget = MemoryBudget(10)
    await budget.acquire(10)
    waiting = asyncio.create_task(budget.acquire(4))
    await turn()

    budget.release(10)  # grants
    waiting.cancel()  # in the same turn
    await turn()

    assert waiting.cancelled()
    assert budget.statistics().used_bytes == 0


async def test_slabs_are_used_again() -> None:
    slabs = Slabs(MemoryBudget(8), 8)
    slab = await slabs.take()
    slabs.give(slab)

    assert await slabs.take() is slab
