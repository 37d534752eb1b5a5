from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from tests.engine.desk import BASE, PART, Desk, Meddled

from emasync.disk.interface import WholeFile
from emasync.disk.sink import LocalSink
from emasync.errors import (
    ErrorKind,
    InterruptedRunError,
    MachineError,
    TransientError,
)
from emasync.model.digest import Digest, Span, Validator
from emasync.model.task import ObjectEntry, State
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Head, Receiver


def body(size: int, seed: int = 1) -> bytes:
    block = hashlib.sha256(seed.to_bytes(4)).digest()
    return (block * (size // len(block) + 1))[:size]


def md5(data: bytes) -> Digest:
    return Digest("md5", hashlib.md5(data, usedforsecurity=False).hexdigest())


async def test_small_objects_arrive_whole_and_the_next_run_asks_for_nothing(desk: Desk) -> None:
    objects = {f"k{number:03}/x": body(number * 7, number % 50) for number in range(100)}
    desk.put(objects)
    await desk.plan(*(ObjectEntry(key=key, size_bytes=len(data)) for key, data in objects.items()))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed, outcome.stopped) == (100, 0, None)
    assert outcome.bytes_received == sum(map(len, objects.values()))
    assert {key: desk.file(key).read_bytes() for key in objects} == objects
    assert desk.partials() == []
    assert len(desk.fetcher.log) == 100
    assert desk.fetcher.peak_in_flight <= 4
    again = await desk.run()
    assert (again.placed, len(desk.fetcher.log)) == (0, 100)


async def test_memory_is_held_until_a_body_is_written_and_all_of_it_comes_back(desk: Desk) -> None:
    objects = {f"k{number:03}": body(1000, number) for number in range(60)} | {"large": body(9 * PART)}
    desk.put(objects)
    desk.settings = replace(desk.settings, max_memory_bytes=3000)
    await desk.plan(*(ObjectEntry(key=key, size_bytes=len(data)) for key, data in objects.items()))

    async with desk.opened() as engine:
        outcome = await engine.run()
        memory = engine.memory_statistics()

    assert (outcome.placed, outcome.failed) == (61, 0)
    assert memory.used_bytes == 0
    assert memory.waiting == 0
    assert memory.peak_bytes <= 1 << 20  # the slab, which is granted alone


async def test_a_large_object_is_fetched_in_parts_after_one_valid_answer(desk: Desk) -> None:
    data = body(10 * PART + 5)
    desk.put({"big": data})
    await desk.plan(ObjectEntry(key="big", size_bytes=len(data), digests=(md5(data),)))
    desk.fetcher.hold()
    running = asyncio.create_task(desk.run())
    while desk.fetcher.in_flight < 1:
        await asyncio.sleep(0)
    assert desk.asked() == [("big", 0)]  # no fan-out yet

    desk.fetcher.release()
    outcome = await running

    assert outcome.placed == 1
    assert desk.file("big").read_bytes() == data
    assert sorted(desk.asked()) == [("big", start) for start in range(0, len(data), PART)]
    assert desk.fetcher.log[-1].validator is not None  # bound to the first answer


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
async def test_an_object_of_unknown_size_arrives_whole(desk: Desk, size: int) -> None:
    data = body(size)
    desk.put({"x": data})
    await desk.plan(ObjectEntry(key="x", digests=(md5(data),)))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed) == (1, 0)
    assert desk.file("x").read_bytes() == data
    assert len(desk.fetcher.log) == max(1, -(-size // PART))


async def test_a_break_inside_a_part_costs_the_tail_only(desk: Desk) -> None:
    data = body(2 * PART)
    desk.put({"big": data})
    desk.fetcher.interrupt(f"{BASE}/big", 1000, 700)
    await desk.plan(ObjectEntry(key="big", size_bytes=len(data)))

    await desk.run()

    assert desk.file("big").read_bytes() == data


async def test_a_failed_object_keeps_its_parts_for_the_next_run(desk: Desk) -> None:
    data = body(5 * PART)
    desk.put({"big": data})
    desk.policy(max_connections=1)
    await desk.plan(ObjectEntry(key="big", size_bytes=len(data)))

    async def fail_late(_receiver: Receiver, span: Span | None) -> Span | None:
        if span is not None and span.start == 3 * PART:
            raise TransientError("the line is cut", location=f"{BASE}/big")
        return span

    whole, desk.fetcher = desk.fetcher, Meddled({f"{BASE}/big": data}, fail_late)
    outcome = await desk.run()
    assert (outcome.placed, outcome.failed) == (0, 1)
    assert await desk.kinds() == ["transient"]
    assert not desk.file("big").exists()
    assert len(desk.partials()) == 1

    desk.fetcher = whole
    outcome = await desk.run()

    assert outcome.placed == 1
    assert desk.file("big").read_bytes() == data
    assert desk.asked() == [("big", 3 * PART), ("big", 4 * PART)]


def changing(versions: dict[int, bytes]) -> MemoryFetcher:
    """An object that becomes another one before its n-th transfers."""
    numbers = count(1)

    async def change(_receiver: Receiver, span: Span | None) -> Span | None:
        if (number := next(numbers)) in versions:
            fetcher.put(f"{BASE}/big", versions[number])
        return span

    fetcher = Meddled({f"{BASE}/big": versions[0]}, change)
    return fetcher


async def test_an_object_that_changes_is_fetched_anew(desk: Desk) -> None:
    new = body(5 * PART, 2)
    desk.fetcher = changing({0: body(5 * PART, 1), 3: new})
    await desk.plan(ObjectEntry(key="big", size_bytes=len(new)))

    outcome = await desk.run()

    assert outcome.placed == 1
    assert desk.file("big").read_bytes() == new
    assert desk.partials() == []


async def test_an_object_that_never_rests_is_given_up(desk: Desk) -> None:
    desk.fetcher = changing({at: body(5 * PART, at + 1) for at in range(60)})
    await desk.plan(ObjectEntry(key="big", size_bytes=5 * PART))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed) == (0, 1)
    assert await desk.kinds() == ["source_changed"]
    assert not desk.file("big").exists()


def unranged(data: bytes, *, from_request: int = 0) -> MemoryFetcher:
    """A server that knows no ranges, or no more from its n-th request on."""

    async def forget_ranges(_receiver: Receiver, span: Span | None) -> Span | None:
        return span if len(fetcher.log) < from_request else None

    fetcher = Meddled({f"{BASE}/big": data}, forget_ranges)
    return fetcher


async def test_a_server_without_ranges_serves_large_objects_too(desk: Desk) -> None:
    data = body(5 * PART + 1)
    desk.fetcher = unranged(data)
    await desk.plan(ObjectEntry(key="big", size_bytes=len(data)))

    outcome = await desk.run()

    assert outcome.placed == 1
    assert desk.file("big").read_bytes() == data
    assert len(desk.fetcher.log) == 1


async def test_a_server_that_stops_serving_ranges_is_asked_for_the_whole(desk: Desk) -> None:
    data = body(5 * PART + 1)

    desk.fetcher = unranged(data, from_request=2)
    await desk.plan(ObjectEntry(key="big", size_bytes=len(data)))

    outcome = await desk.run()

    assert outcome.placed == 1
    assert desk.file("big").read_bytes() == data


@pytest.mark.parametrize("size", [100, 3 * PART])
async def test_a_wrong_digest_is_fetched_once_more_and_then_fails(desk: Desk, size: int) -> None:
    data = body(size)
    desk.put({"x": data})
    await desk.plan(ObjectEntry(key="x", size_bytes=size, digests=(Digest("md5", "0" * 32),)))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed) == (0, 1)
    assert await desk.kinds() == ["checksum_mismatch"]
    assert [start for _, start in desk.asked()].count(0 if size > 1024 else None) == 2
    assert not desk.file("x").exists()


@pytest.mark.parametrize("size", [100, 3 * PART])
async def test_a_size_that_differs_from_the_listing_fails(desk: Desk, size: int) -> None:
    desk.put({"x": body(size)})
    await desk.plan(ObjectEntry(key="x", size_bytes=size - 1))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed) == (0, 1)
    assert await desk.kinds() == ["size_mismatch"]


@pytest.mark.parametrize(("absent_ok", "state"), [(True, State.ABSENT), (False, State.FAILED)])
async def test_a_404_is_an_absence_only_where_that_is_a_statement(desk: Desk, absent_ok: bool, state: State) -> None:
    desk.put({"x": b"1"})
    await desk.plan(ObjectEntry(key="x", size_bytes=1), ObjectEntry(key="y", size_bytes=1), absent_ok=absent_ok)

    await desk.run()

    assert await desk.objects(state) == 1
    assert await desk.objects(State.PLACED) == 1


async def test_a_lost_origin_leaves_its_objects_pending(desk: Desk) -> None:
    keys = [f"{number:04}" for number in range(600)]
    desk.put(dict.fromkeys(keys, b"x"))
    await desk.plan(*(ObjectEntry(key=key, size_bytes=1) for key in keys))
    gone = TransientError("example.org does not answer", kind=ErrorKind.UNREACHABLE)
    for key in keys[100:]:
        desk.fetcher.fail(f"{BASE}/{key}", gone)

    outcome = await desk.run()

    assert outcome.failed == 0
    assert outcome.unreachable["d"].kind is ErrorKind.UNREACHABLE
    assert await desk.objects(State.PENDING) >= 499
    assert len(desk.fetcher.log) < 200
    for key in keys:  # the host is back
        desk.fetcher.put(f"{BASE}/{key}", b"x")
    desk.fetcher = MemoryFetcher({f"{BASE}/{key}": b"x" for key in keys})
    assert (await desk.run()).unreachable == {}
    assert await desk.objects(State.PLACED) == 600


async def test_files_that_are_gone_are_fetched_and_changed_ones_are_left_alone(desk: Desk) -> None:
    objects = {f"k{number}": body(50, number) for number in range(5)}
    desk.put(objects)
    await desk.plan(*(ObjectEntry(key=key, size_bytes=50) for key in objects))
    await desk.run()
    desk.fetcher.log.clear()
    desk.file("k1").unlink()
    desk.file("k3").write_bytes(b"notes of mine")

    outcome = await desk.run()

    assert desk.asked() == [("k1", None)]
    assert desk.file("k1").read_bytes() == objects["k1"]
    assert desk.file("k3").read_bytes() == b"notes of mine"
    assert outcome.placed == 1
    assert await desk.kinds() == ["size_mismatch"]


async def test_a_file_of_somebody_else_is_not_touched(desk: Desk) -> None:
    desk.put({"x": b"new"})
    await desk.plan(ObjectEntry(key="x", size_bytes=3))
    desk.file("x").parent.mkdir(parents=True)
    desk.file("x").write_bytes(b"old")

    outcome = await desk.run()

    assert outcome.failed == 1
    assert await desk.kinds() == ["destination_exists"]
    assert desk.file("x").read_bytes() == b"old"
    assert len(desk.fetcher.log) == 0


@pytest.mark.parametrize(
    ("digest", "size", "kinds"),
    [
        (md5(b"old"), 3, []),
        (None, None, []),
        (md5(b"new"), 3, ["checksum_mismatch"]),
        (None, 4, ["size_mismatch"]),
    ],
)
async def test_adopt_takes_over_what_is_as_promised(
    desk: Desk, digest: Digest | None, size: int | None, kinds: list[str]
) -> None:
    await desk.plan(ObjectEntry(key="x", size_bytes=size, digests=(digest,) if digest else ()))
    desk.file("x").parent.mkdir(parents=True)
    desk.file("x").write_bytes(b"old")

    await desk.run(adopt=True)

    assert await desk.kinds() == kinds
    assert await desk.objects(State.PLACED) == (not kinds)
    assert len(desk.fetcher.log) == 0
    assert desk.file("x").read_bytes() == b"old"


async def test_a_stop_parks_ranges_and_the_next_run_asks_for_the_rest(desk: Desk) -> None:
    data = body(40 * PART)
    desk.policy(max_connections=2)
    await desk.plan(ObjectEntry(key="big", size_bytes=len(data)), ObjectEntry(key="small", size_bytes=3))

    async def stop_inside(receiver: Receiver, span: Span | None) -> Span | None:
        if span is not None and span.start == 10 * PART:
            receiver.begin(
                Head(status=206, start=span.start, stop=span.stop, total_bytes=len(data), validator=Validator())
            )
            await receiver.feed(data[span.start : span.start + 1000])
            assert desk.engine is not None
            desk.engine.stop()
            await asyncio.Event().wait()
        return span

    desk.fetcher = Meddled({f"{BASE}/big": data, f"{BASE}/small": b"abc"}, stop_inside)
    outcome = await desk.run()
    assert isinstance(outcome.stopped, InterruptedRunError)
    assert not desk.file("big").exists()

    desk.fetcher = MemoryFetcher({f"{BASE}/big": data, f"{BASE}/small": b"abc"})
    outcome = await desk.run()

    assert outcome.stopped is None
    assert desk.file("big").read_bytes() == data
    starts = sorted(start for key, start in desk.asked() if key == "big" and start is not None)
    assert starts[0] >= 9 * PART
    assert 10 * PART + 1000 in starts


async def test_a_cancelled_run_commits_what_is_whole(desk: Desk) -> None:
    desk.put({"a": b"1", "b": b"2"})
    await desk.plan(ObjectEntry(key="a", size_bytes=1))
    planned = asyncio.Event()

    async def endless(wake: Any) -> None:
        planned.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(desk.run(endless))
    await planned.wait()
    while not desk.fetcher.log:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await desk.objects(State.SEALED) == 0
    placed = await desk.objects(State.PLACED)
    assert desk.file("a").exists() == bool(placed)


async def test_a_full_disk_stops_the_run_and_what_is_there_stays(desk: Desk) -> None:
    objects = {f"k{number:03}": body(500, number) for number in range(300)}
    desk.put(objects)
    await desk.plan(*(ObjectEntry(key=key, size_bytes=500) for key in objects))

    class Full:
        def __init__(self, inner: LocalSink) -> None:
            self._inner = inner
            self._left = 200

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def write_whole(self, files: Sequence[WholeFile]) -> Any:
            self._left -= len(files)
            if self._left < 0:
                raise MachineError("no space left", kind=ErrorKind.DISK_FULL)
            return self._inner.write_whole(files)

    desk.wrap_sink = Full
    outcome = await desk.run()
    assert outcome.stopped is not None
    assert outcome.stopped.kind is ErrorKind.DISK_FULL
    assert all(path.read_bytes() == objects[path.name] for path in desk.file("").iterdir()) if outcome.placed else True

    desk.wrap_sink = lambda sink: sink
    outcome = await desk.run()

    assert outcome.stopped is None
    assert {key: desk.file(key).read_bytes() for key in objects} == objects


async def test_work_that_is_planned_meanwhile_is_moved(desk: Desk) -> None:
    desk.put({"a": b"1", "b": b"22"})

    async def planner(wake: Any) -> None:
        assert desk.engine is not None
        ledger = desk.engine._context.ledger
        from emasync.model.task import TaskSetSpec

        await ledger.call("begin_plan", "d", "0" * 64)
        set_id = await ledger.call("add_set", TaskSetSpec(dataset="d", base=BASE, destination="d"))
        await ledger.call("add_entries", set_id, [ObjectEntry(key="a", size_bytes=1)])
        wake()
        while desk.engine.outcome.placed < 1:
            await asyncio.sleep(0)
        await ledger.call("add_entries", set_id, [ObjectEntry(key="b", size_bytes=2)])
        await ledger.call("finish_set", set_id)
        await ledger.call("finish_plan", "d")
        wake()

    outcome = await desk.run(planner)

    assert outcome.placed == 2
    assert desk.file("b").read_bytes() == b"22"


async def test_other_datasets_are_left_alone(desk: Desk) -> None:
    desk.put({"a": b"1"})
    await desk.plan(ObjectEntry(key="a", size_bytes=1), dataset="d")
    await desk.plan(ObjectEntry(key="a", size_bytes=1), dataset="other")

    outcome = await desk.run(datasets=("d",))

    assert outcome.placed == 1
    assert await desk.objects(State.PENDING, "other") == 1


async def test_objects_are_told_one_by_one_when_asked(desk: Desk) -> None:
    desk.put({"a": b"1"})
    await desk.plan(ObjectEntry(key="a", size_bytes=1))

    await desk.run(objects=True)

    told = [event for event in desk.events if event.event == "object_done"]
    assert [event.fields for event in told] == [
        {"dataset": "d", "location": f"{BASE}/a", "destination": "d/a", "bytes": 1}
    ]
