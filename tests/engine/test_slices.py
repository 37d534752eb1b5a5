"""Slices of one object, each a file of its own."""

from __future__ import annotations

import gzip
import random
from dataclasses import replace
from typing import Literal

import pytest
from tests.engine.desk import BASE, Desk, Meddled

from emasync.engine.scheduler import OriginQueue
from emasync.engine.slices import GAP_BYTES, MERGED_BYTES, take_neighbours
from emasync.errors import EmasyncError
from emasync.model.digest import Span
from emasync.model.location import Location
from emasync.model.slices import slice_key
from emasync.model.task import ObjectEntry, State, Task, TaskSetSpec
from emasync.transport.interface import Head, Receiver

Packing = Literal["raw", "gzip"]
MIB = 1 << 20


def tasks_at(*spans: tuple[int, int], name: str = "a") -> list[Task]:
    spec = TaskSetSpec(dataset="d", base=BASE, destination="d", slices="raw")
    return [Task(spec, 1, slice_key(name, Span(*span)), f"c{span[0]}") for span in spans]


def queue_of(tasks: list[Task]) -> OriginQueue:
    queue = OriginQueue("https://example.org", Location.parse(BASE))
    queue.tasks.extend(tasks)
    return queue


def taken(*spans: tuple[int, int], part_bytes: int = 8 * MIB) -> int:
    """How many of these slices one request brings."""
    queue = queue_of(tasks_at(*spans))
    run = take_neighbours(queue, queue.tasks.popleft(), part_bytes)
    assert len(run) + len(queue.tasks) == len(spans)
    return len(run)


def test_what_is_adjacent_is_one_request() -> None:
    assert taken(*((n * 1000, n * 1000 + 1000) for n in range(512))) == 512


def test_a_small_gap_is_fetched_along_and_a_large_one_is_not() -> None:
    assert taken((0, 10), (10 + GAP_BYTES, 20 + GAP_BYTES)) == 2
    assert taken((0, 10), (11 + GAP_BYTES, 20 + GAP_BYTES)) == 1


def test_a_long_request_ends_at_the_next_gap() -> None:
    assert taken((0, 9 * MIB), (9 * MIB, 10 * MIB), (10 * MIB + 1, 11 * MIB)) == 2
    assert taken((0, 7 * MIB), (7 * MIB + 1, 9 * MIB)) == 2


def test_no_request_is_longer_than_the_longest() -> None:
    half = MERGED_BYTES // 2
    assert taken((0, half), (half, 2 * half), (2 * half, 2 * half + 1)) == 2


def test_slices_that_run_backwards_or_overlap_go_alone() -> None:
    assert taken((100, 200), (50, 60)) == 1
    assert taken((100, 200), (150, 260)) == 1


def test_another_object_version_or_set_is_another_request() -> None:
    first, second = tasks_at((0, 10), (10, 20))
    (elsewhere,) = tasks_at((10, 20), name="b")
    for other in (elsewhere, second._replace(listed=b"{}"), second._replace(set_id=2)):
        queue = queue_of([other])
        assert take_neighbours(queue, first, MIB) == [first]


# --- through the engine --------------------------------------------------------------------------------------------


class Shard:
    """Chunks one behind the other in one object."""

    def __init__(self, count: int = 40, size_bytes: int = 700, packing: Packing = "raw") -> None:
        rng = random.Random(7)
        self.packing: Packing = packing
        self.chunks = [rng.randbytes(size_bytes + number) for number in range(count)]
        self.data = b"index"
        self.entries = []
        for number, chunk in enumerate(self.chunks):
            stored = gzip.compress(chunk) if packing == "gzip" else chunk
            span = Span(len(self.data), len(self.data) + len(stored))
            self.data += stored
            self.entries.append(ObjectEntry(key=slice_key("a", span), size_bytes=span.size_bytes, path=f"c{number}"))

    async def plan(self, desk: Desk) -> None:
        spec = TaskSetSpec(dataset="d", base=BASE, destination="d", slices=self.packing)
        desk.put({"a": self.data})
        async with desk.ledger() as ledger:
            await ledger.call("begin_plan", "d", "0" * 64)
            set_id = await ledger.call("add_set", spec)
            await ledger.call("add_entries", set_id, self.entries)
            await ledger.call("finish_set", set_id)
            await ledger.call("finish_plan", "d")

    def check(self, desk: Desk) -> None:
        names = [f"c{number}" for number in range(len(self.chunks))]
        assert list(desk.content(names).values()) == self.chunks
        assert desk.partials() == []


@pytest.mark.parametrize("packing", ["raw", "gzip"])
async def test_each_slice_becomes_a_file_and_one_request_brings_all(desk: Desk, packing: Packing) -> None:
    shard = Shard(packing=packing)
    await shard.plan(desk)
    outcome = await desk.run()
    assert (outcome.stopped, outcome.failed, outcome.placed) == (None, 0, 40)
    shard.check(desk)
    assert desk.asked() == [("a", 5)]
    assert outcome.bytes_received == len(shard.data) - 5
    assert await desk.objects(State.PLACED) == 40


@pytest.mark.parametrize("packing", ["raw", "gzip"])
async def test_memory_for_one_slice_is_enough(desk: Desk, packing: Packing) -> None:
    shard = Shard(packing=packing, size_bytes=40_000)
    desk.settings = replace(desk.settings, max_memory_bytes=50_000, commit_objects=8)
    await shard.plan(desk)
    outcome = await desk.run()
    assert outcome.failed == 0
    shard.check(desk)
    assert desk.engine is not None
    assert desk.engine.memory_statistics().peak_bytes <= 50_000


async def test_an_answer_that_begins_again_changes_nothing(desk: Desk) -> None:
    """After a break some servers send all of it: what is here is passed over."""
    shard = Shard()

    async def meddle(receiver: Receiver, span: Span | None) -> Span | None:
        assert span is not None
        receiver.begin(Head(status=206, start=span.start, stop=span.stop, total_bytes=len(shard.data)))
        await receiver.feed(shard.data[span.start : span.start + 5_123])
        return span

    desk.wrap_fetcher = lambda _: Meddled({f"{BASE}/a": shard.data}, meddle)
    await shard.plan(desk)
    assert (await desk.run()).failed == 0
    shard.check(desk)


async def test_what_came_before_a_final_error_stays(desk: Desk) -> None:
    shard = Shard()

    async def meddle(receiver: Receiver, span: Span | None) -> Span | None:
        assert span is not None
        receiver.begin(Head(status=206, start=span.start, stop=span.stop, total_bytes=len(shard.data)))
        await receiver.feed(shard.data[span.start : span.start + 5_123])
        raise EmasyncError("that was all")

    desk.wrap_fetcher = lambda _: Meddled({f"{BASE}/a": shard.data}, meddle)
    await shard.plan(desk)
    first = await desk.run()
    assert (first.placed, first.failed) == (7, 33)
    desk.wrap_fetcher = lambda fetcher: fetcher
    desk.fetcher.log.clear()
    assert (await desk.run()).failed == 0
    shard.check(desk)
    assert desk.asked() == [("a", 5 + sum(map(len, shard.chunks[:7])))]


async def test_a_slice_that_is_no_gzip_is_asked_for_once_more_and_fails_alone(desk: Desk) -> None:
    shard = Shard(packing="gzip")
    at = int(shard.entries[3].key.partition("@")[2].partition("+")[0])
    shard.data = shard.data[:at] + b"no gzip" + shard.data[at + 7 :]
    await shard.plan(desk)
    outcome = await desk.run()
    assert (outcome.placed, outcome.failed) == (39, 1)
    assert desk.asked() == [("a", 5), ("a", at)]
    assert await desk.kinds() == ["checksum_mismatch"]


async def test_a_slice_that_grows_without_end_is_refused(desk: Desk) -> None:
    shard = Shard(count=2, packing="gzip")
    bomb = gzip.compress(bytes(65 * MIB), 1)
    shard.data = b"index" + bomb
    shard.entries = [ObjectEntry(key=slice_key("a", Span(5, 5 + len(bomb))), size_bytes=len(bomb), path="c0")]
    await shard.plan(desk)
    assert (await desk.run()).failed == 1
    assert not desk.file("c0").exists()


async def test_adopted_files_of_packed_slices_have_another_size(desk: Desk) -> None:
    shard = Shard(count=2, packing="gzip")
    await shard.plan(desk)
    desk.file("c0").parent.mkdir(parents=True)
    desk.file("c0").write_bytes(shard.chunks[0])
    outcome = await desk.run(adopt=True)
    assert outcome.failed == 0
    shard.check(desk)
    assert len(desk.asked()) == 1
