from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.interface import Ledger, Placed
from emasync.ledger.store import SqliteLedger
from emasync.ledger.thread import LedgerThread
from emasync.model.task import ObjectEntry, State, TaskSetSpec

from .conftest import StillClock

SPEC = TaskSetSpec(dataset="d", base="s3://b", destination="d")


@pytest.fixture
def thread(tmp_path: Path, clock: StillClock) -> LedgerThread:
    return LedgerThread(lambda: SqliteLedger.open(tmp_path / "s", root=tmp_path, clock=clock, boot_id="1"))


async def planned(thread: LedgerThread, count: int) -> int:
    await thread.call("begin_plan", "d", "1")
    set_id = await thread.call(SqliteLedger.add_set, SPEC)
    await thread.call("add_entries", set_id, [ObjectEntry(key=f"{number:05}") for number in range(count)])
    await thread.call(SqliteLedger.finish_plan, "d")
    return set_id


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "emasync-ledger"]


async def test_calls_by_name_by_method_and_by_function(thread: LedgerThread) -> None:
    async with thread:
        set_id = await planned(thread, 3)
        assert [task.key for task in await thread.call(Ledger.lease, set_id, 1)] == ["00000"]
        assert [task.key for task in await thread.call(SqliteLedger.lease, set_id, 1)] == ["00001"]
        assert await thread.call(lambda ledger, plus: ledger.durable_epoch() + plus, 5) == 5
        assert await thread.call("failures", dataset="d", limit=1) == (0, [])
        assert threading.current_thread().name != await thread.call(lambda _: threading.current_thread().name)
        assert "open" in repr(thread)
    assert not threads()


async def test_errors_reach_the_caller_and_the_thread_goes_on(thread: LedgerThread) -> None:
    async with thread:
        set_id = await planned(thread, 1)
        with pytest.raises(MachineError, match="cannot be placed"):
            await thread.call("record", [Placed(set_id=set_id, key="00000")])
        with pytest.raises(AttributeError):
            await thread.call("no_such_method")
        assert await thread.call("durable_epoch") == 0


async def test_a_cancelled_caller_does_not_stop_the_call(
    thread: LedgerThread, caplog: pytest.LogCaptureFixture
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(_ledger: SqliteLedger) -> None:
        entered.set()
        go_on.wait(30)

    async with thread:
        await planned(thread, 1)
        holder = asyncio.create_task(thread.call(hold))
        await asyncio.to_thread(entered.wait, 30)
        behind = asyncio.create_task(thread.call("set_durable_epoch", 7))
        failing = asyncio.create_task(thread.call("lease", 99, 1))
        await asyncio.sleep(0)
        for task in (holder, behind, failing):
            task.cancel()
        await asyncio.gather(holder, behind, failing, return_exceptions=True)
        assert behind.cancelled()
        go_on.set()
        assert await thread.call("durable_epoch") == 7
    assert "nobody waits for failed" in caplog.text


async def test_a_task_being_cancelled_can_still_record(thread: LedgerThread) -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await thread.call("set_durable_epoch", 3)

    async with thread:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await thread.call("durable_epoch") == 3


async def test_posted_calls_are_carried_out_in_order(thread: LedgerThread, caplog: pytest.LogCaptureFixture) -> None:
    async with thread:
        thread.post("set_durable_epoch", 4)
        thread.post("lease", 99, 1)
        assert await thread.call("durable_epoch") == 4
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_rows_come_page_by_page(thread: LedgerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.ledger.thread._PAGE", 4)
    async with thread:
        await planned(thread, 10)
        seen = []
        async for row in thread.rows(state=State.PENDING):
            seen.append(row.key)
            await thread.call("tallies")
        assert seen == [f"{number:05}" for number in range(10)]
        assert [row async for row in thread.unwanted()] == []


async def test_a_ledger_that_does_not_open_leaves_no_thread() -> None:
    def refuse() -> SqliteLedger:
        raise MachineError("no", kind=ErrorKind.LEDGER)

    thread = LedgerThread(refuse)
    with pytest.raises(MachineError, match="no"):
        await thread.open()
    assert not threads()
    with pytest.raises(MachineError, match="is closed"):
        await thread.call("tallies")
    await thread.aclose()


async def test_closing_tells_whether_the_run_was_clean(thread: LedgerThread, tmp_path: Path, clock: StillClock) -> None:
    async def fail() -> None:
        async with thread:
            raise KeyError

    def open_again() -> bool:
        ledger = SqliteLedger.open(tmp_path / "s", root=tmp_path, clock=clock, boot_id="1")
        ledger.close(clean=True)
        return ledger.clean

    with pytest.raises(KeyError):
        await fail()
    assert not await asyncio.to_thread(open_again)
    await thread.aclose()
    assert "closed" in repr(thread)


async def test_cancelled_while_opening(tmp_path: Path, clock: StillClock) -> None:
    go_on = threading.Event()

    def slowly() -> SqliteLedger:
        go_on.wait(30)
        return SqliteLedger.open(tmp_path / "s", root=tmp_path, clock=clock, boot_id="1")

    thread = LedgerThread(slowly)
    opening = asyncio.create_task(thread.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    (worker,) = threads()
    go_on.set()
    await asyncio.to_thread(worker.join, 30)
    assert not threads()


async def test_cancelled_while_closing(thread: LedgerThread) -> None:
    go_on = threading.Event()
    await thread.open()
    thread.post(lambda _ledger: go_on.wait(30))
    closing = asyncio.create_task(thread.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    (worker,) = threads()
    go_on.set()
    await asyncio.to_thread(worker.join, 30)
    assert not threads()


def test_an_answer_to_a_loop_that_is_gone_is_dropped(thread: LedgerThread, caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()

    async def leave() -> None:
        await thread.open()
        thread.post(lambda _ledger: go_on.wait(30))
        task = asyncio.create_task(thread.call("lease", 99, 1))
        await asyncio.sleep(0)
        task.cancel()
        thread._stop(clean=True)

    asyncio.run(leave())
    (worker,) = threads()
    go_on.set()
    worker.join(30)
    assert not threads()
    assert "nobody waits for failed" in caplog.text
