from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import pytest
import uvloop

from emasync.disk.writers import Turn, WriterPool, WriterStatistics, _Job, _Shared

WAIT_S = 60


def all_ended(pool: WriterPool) -> bool:
    for thread in pool._threads:
        thread.join(WAIT_S)
    return not any(thread.is_alive() for thread in pool._threads)


async def test_a_job_runs_in_a_thread_and_its_answer_comes_back() -> None:
    async with WriterPool(2) as pool:
        name = await pool.submit(lambda: threading.current_thread().name)
        assert name.startswith("emasync-disk-")
        assert await pool.submit(divmod, 7, 2) == (3, 1)


async def test_a_job_s_error_comes_back() -> None:
    async with WriterPool(1) as pool:
        with pytest.raises(ZeroDivisionError):
            await pool.submit(divmod, 1, 0)
        with pytest.raises(RuntimeError) as caught:
            await pool.submit(next, iter(()))
        assert isinstance(caught.value.__cause__, StopIteration)
        assert pool.statistics().failed == 2


async def test_a_cancelled_waiter_leaves_the_job_running() -> None:
    started, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    log: list[str] = []

    def job() -> None:
        loop.call_soon_threadsafe(started.set)
        assert go_on.wait(WAIT_S)
        log.append("job ended")

    async with WriterPool(1) as pool:
        task = asyncio.ensure_future(pool.submit(job, release=lambda: log.append("released")))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == []
        go_on.set()
        await pool.submit(lambda: None)
        assert log == ["job ended", "released"]


async def test_jobs_not_yet_begun_run_too_when_their_waiter_is_gone() -> None:
    gate = threading.Event()
    ran: list[int] = []
    pool = WriterPool(1)
    first = pool.submit(gate.wait, WAIT_S)
    second = pool.submit(ran.append, 2)
    second.cancel()
    assert pool.statistics().waiting + pool.statistics().running == 2
    gate.set()
    assert await first
    await pool.aclose()
    assert ran == [2]
    assert pool.statistics().done == 2


async def test_release_comes_before_the_waiter_goes_on() -> None:
    log: list[str] = []
    async with WriterPool(1) as pool:
        await pool.submit(log.append, "job", release=lambda: log.append("released"))
        log.append("waiter")
        with suppress(ZeroDivisionError):
            await pool.submit(divmod, 1, 0, release=lambda: log.append("released"))
    assert log == ["job", "released", "waiter", "released"]


async def test_errors_of_abandoned_jobs_make_no_noise() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    def fail() -> None:
        raise OSError("gone")

    async with WriterPool(1) as pool:
        pool.submit(fail)
        pool.submit(fail).cancel()
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
    assert pool.statistics().failed == 2


async def test_a_closed_pool_takes_nothing_and_closes_again() -> None:
    pool = WriterPool(3)
    assert "threads=3" in repr(pool)
    await pool.aclose()
    await pool.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(print)


async def test_closing_runs_what_waits_and_ends_the_threads() -> None:
    ran: list[int] = []
    pool = WriterPool(2)
    for number in range(50):
        pool.submit(ran.append, number)
    await pool.aclose()
    assert sorted(ran) == list(range(50))
    assert all_ended(pool)


async def test_a_cancelled_close_still_ends_the_threads() -> None:
    gate = threading.Event()
    pool = WriterPool(1)
    pool.submit(gate.wait, WAIT_S)
    closing = asyncio.create_task(pool.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gate.set()
    await pool.aclose()
    assert all_ended(pool)


async def test_a_pool_nobody_holds_ends_its_threads() -> None:
    pool = WriterPool(2)
    threads = list(pool._threads)
    del pool
    gc.collect()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_a_loop_that_is_gone_does_not_stop_the_job() -> None:
    gate, ran = threading.Event(), threading.Event()
    pools: list[WriterPool] = []

    def job() -> None:
        assert gate.wait(WAIT_S)
        ran.set()

    async def leave() -> None:
        pools.append(WriterPool(1))
        pools[0].submit(job)

    asyncio.run(leave())
    gate.set()
    assert ran.wait(WAIT_S)
    asyncio.run(pools[0].aclose())
    assert pools[0].statistics().done == 1


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_works_on_every_loop_in_debug_mode(factory: object) -> None:
    async def work() -> list[int]:
        async with WriterPool(2) as pool:
            return list(await asyncio.gather(*(pool.submit(int, str(number)) for number in range(20))))

    with asyncio.Runner(debug=True, loop_factory=factory) as runner:  # type: ignore[arg-type]  # both are factories
        assert runner.run(work()) == list(range(20))


async def test_memory_of_a_job_goes_before_the_next_is_waited_for() -> None:
    class Slab:
        pass

    class Watched(SimpleQueue[Any]):  # Any: the pool's own jobs
        held: bool | None = None

        def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT002  # its signature
            if self.empty():
                self.held = alive() is not None
                return None
            return super().get(block, timeout)

    slab = Slab()
    alive = weakref.ref(slab)
    shared = _Shared(1)
    shared.queue = queue = Watched()
    job = _Job(lambda _slab: None, (slab,), asyncio.get_running_loop(), None, None)
    future = job.future
    queue.put(job)
    del slab, job
    shared.work()
    assert queue.held is False
    await future


def test_a_pool_of_no_threads() -> None:
    with pytest.raises(ValueError, match="0 threads"):
        WriterPool(0)


async def test_jobs_of_one_turn_run_one_at_a_time_and_hold_one_thread() -> None:
    loop = asyncio.get_running_loop()
    entered: asyncio.Queue[int] = asyncio.Queue()
    go_on = [threading.Event() for _ in range(4)]
    ended: list[int] = []

    def job(number: int) -> None:
        loop.call_soon_threadsafe(entered.put_nowait, number)
        assert go_on[number].wait(WAIT_S)
        ended.append(number)

    turn = Turn()
    async with WriterPool(2) as pool:
        futures = [pool.submit(job, number, turn=turn) for number in range(4)]
        for number in range(4):
            assert await entered.get() == number
            assert await pool.submit(lambda: "others go on") == "others go on"
            assert entered.empty()
            go_on[number].set()
        await asyncio.gather(*futures)
    assert ended == [0, 1, 2, 3]


async def test_a_failed_job_passes_the_turn_on() -> None:
    turn = Turn()
    async with WriterPool(2) as pool:
        first = pool.submit(divmod, 1, 0, turn=turn)
        second = pool.submit(divmod, 7, 2, turn=turn)
        assert await second == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await first


async def test_closing_runs_what_waits_for_its_turn() -> None:
    go_on = threading.Event()
    log: list[int] = []
    turns = [Turn(), Turn(), Turn()]
    pool = WriterPool(2)
    blocked = [pool.submit(go_on.wait, WAIT_S, turn=turn) for turn in turns]
    for number in range(30):
        pool.submit(log.append, number, turn=turns[number % 3])
    closing = asyncio.ensure_future(pool.aclose())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    await asyncio.gather(*blocked)
    assert sorted(log) == list(range(30))
    assert all_ended(pool)


def test_pools_of_several_processes_as_one() -> None:
    own = WriterStatistics(threads=16, waiting=0, running=0, done=10, failed=1)
    stuck = WriterStatistics(threads=16, waiting=3, running=2, done=5, failed=0)
    assert WriterStatistics.together((own,)) == own
    assert WriterStatistics.together((own, stuck)) == WriterStatistics(32, 3, 2, 15, 1)
    assert WriterStatistics.together((own, stuck.at_rest)) == WriterStatistics(16, 0, 0, 15, 1)
