"""Parts that lend their memory to the connection: every byte once, no memory beyond the budget, nobody stuck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.desk import BASE, Desk

from emasync.disk.crc import crc32c_of
from emasync.disk.interface import Partial, Sink
from emasync.disk.sink import LocalSink
from emasync.disk.writers import Turn
from emasync.engine.context import MoveContext
from emasync.engine.memory import MemoryBudget, Slabs
from emasync.engine.receiver import PartReceiver
from emasync.engine.version import Version
from emasync.errors import MachineError
from emasync.model.digest import Span
from emasync.model.task import ObjectEntry, Task
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.transport.governed import GovernedFetcher
from emasync.transport.interface import Head
from emasync.transport.surroundings import Surroundings

SLAB = 1 << 10
PART = 8 * SLAB
DATA = random.Random(1).randbytes(16 * PART)


class MemoryDisk:
    """A partial in memory."""

    def __init__(self) -> None:
        self.data = bytearray(len(DATA))
        self.written = 0
        self.full = False

    def write(self, offset: int, data: memoryview) -> None:
        if self.full:
            raise MachineError("the disk is full")
        self.data[offset : offset + len(data)] = data
        self.written += len(data)


@dataclass
class HeldThreads:
    """Does a job when it is told to: the slowest disk there is."""

    jobs: list[tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[Any]]] = field(default_factory=list)

    def submit(self, job: Callable[..., Any], *args: Any, turn: Turn | None = None) -> asyncio.Future[Any]:
        del turn  # in whatever order: nothing here relies on it
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.jobs.append((job, args, done))
        return done

    def work(self, which: int) -> None:
        job, args, done = self.jobs.pop(which % len(self.jobs))
        try:
            result = job(*args)
        except MachineError as error:
            done.set_exception(error)
        else:
            done.set_result(result)


class Bench:
    """Receivers of one object under one budget."""

    def __init__(self, memory_bytes: int) -> None:
        self.budget = MemoryBudget(memory_bytes)
        self.disk = MemoryDisk()
        self.threads = HeldThreads()
        self.received = 0
        self.task = SimpleNamespace(location="https://example.org/x")
        self.context = SimpleNamespace(
            slabs=Slabs(self.budget, SLAB), threads=self.threads, on_received=self._on_received
        )

    def _on_received(self, size_bytes: int) -> None:
        self.received += size_bytes

    def accept(self, version: Version, head: Head, span: Span) -> Span:
        return span

    async def reserve(self, version: Version) -> Partial:
        await asyncio.sleep(0)
        return cast("Partial", self.disk)

    def receiver(self, span: Span) -> PartReceiver:
        owner = SimpleNamespace(task=cast("Task", self.task), accept=self.accept, reserve=self.reserve)
        return PartReceiver(owner, Version(generation=0), span, cast("MoveContext", self.context))

    async def run(self, *tasks: asyncio.Task[Any], which: Callable[[], int] = lambda: 0) -> None:
        """Turn the loop until the tasks have ended; the disk does one job when nothing else can go on."""
        while not all(task.done() for task in tasks):
            for _ in range(40 if self.threads.jobs else 400):
                await asyncio.sleep(0)
            if self.threads.jobs:
                self.threads.work(which())
            elif not all(task.done() for task in tasks):
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                raise AssertionError(f"everybody waits for somebody: {self.budget!r}")
        for task in tasks:
            task.result()


def head(start: int) -> Head:
    return Head(status=206, start=start, stop=None, total_bytes=len(DATA))


async def deliver(receiver: PartReceiver, start: int, stop: int, most: int = 1 << 30) -> None:
    """Bytes as a connection brings them."""
    while start < stop:
        room = (await receiver.room())[:most]
        size_bytes = min(len(room), stop - start)
        room[:size_bytes] = DATA[start : start + size_bytes]
        receiver.took(size_bytes)
        start += size_bytes


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 8, 33]))
@settings(max_examples=40, deadline=None)
def test_sixteen_connections_and_little_memory_only_go_slowly(seed: int, slabs: int) -> None:
    """Breaks, tails, back-offs and cancellations in any order; the disk moves when nobody else can."""
    rng = random.Random(seed)

    async def part(bench: Bench, number: int) -> None:
        span = Span(number * PART, (number + 1) * PART)
        receiver = bench.receiver(span)
        at = span.start
        try:
            while at < span.stop:
                receiver.begin(head(at))
                until = span.stop if rng.random() < 0.5 else rng.randint(at, span.stop)
                await deliver(receiver, at, until, rng.choice([1 << 30, 100, SLAB]))
                at = until
                if at < span.stop and rng.random() < 0.2:
                    at = span.start  # the server has no ranges: all over again
                if at < span.stop:
                    await receiver.put_down()
                    for _ in range(rng.randrange(100)):
                        await asyncio.sleep(0)
        finally:
            await receiver.settle()
        assert receiver.result() == (span.start, span.stop, crc32c_of(DATA[span.start : span.stop]))

    async def main() -> None:
        bench = Bench(slabs * SLAB)
        tasks = [asyncio.ensure_future(part(bench, number)) for number in range(16)]
        await bench.run(*tasks, which=lambda: rng.randrange(1 << 20))
        statistics = bench.budget.statistics()
        assert bytes(bench.disk.data) == DATA
        assert (statistics.used_bytes, statistics.waiting) == (0, 0)
        assert statistics.peak_bytes <= slabs * SLAB

    asyncio.run(main())


async def test_a_transfer_that_backs_off_holds_no_memory() -> None:
    bench = Bench(8 * SLAB)
    receiver = bench.receiver(Span(0, PART))
    receiver.begin(head(0))
    await deliver(receiver, 0, SLAB + 10)
    assert bench.budget.statistics().used_bytes == 2 * SLAB
    putting = asyncio.ensure_future(receiver.put_down())
    await bench.run(putting)
    while bench.threads.jobs:
        bench.threads.work(0)
    await asyncio.sleep(0)
    assert bench.budget.statistics().used_bytes == 0
    receiver.begin(head(SLAB + 10))
    rest = asyncio.ensure_future(deliver(receiver, SLAB + 10, PART))
    await bench.run(rest)
    await bench.run(asyncio.ensure_future(receiver.settle()))
    assert bytes(bench.disk.data[:PART]) == DATA[:PART]
    assert bench.disk.written == PART == bench.received


async def test_a_transfer_that_backs_off_with_an_empty_slab_writes_nothing() -> None:
    bench = Bench(8 * SLAB)
    receiver = bench.receiver(Span(0, PART))
    receiver.begin(head(0))
    assert len(await receiver.room()) == SLAB
    receiver.took(0)
    await receiver.put_down()
    assert (bench.budget.statistics().used_bytes, bench.threads.jobs) == (0, [])


async def test_pieces_and_lent_space_mix() -> None:
    bench = Bench(8 * SLAB)
    receiver = bench.receiver(Span(0, PART))
    receiver.begin(head(0))

    async def work() -> None:
        await receiver.feed(DATA[:700])
        await deliver(receiver, 700, 3000)
        await receiver.feed(memoryview(DATA)[3000 : 3000 + 2 * SLAB])
        await deliver(receiver, 3000 + 2 * SLAB, PART)
        await receiver.settle()

    await bench.run(asyncio.ensure_future(work()))
    assert receiver.result() == (0, PART, crc32c_of(DATA[:PART]))
    assert bytes(bench.disk.data[:PART]) == DATA[:PART]


async def test_a_full_disk_reaches_whoever_asks_for_room() -> None:
    bench = Bench(8 * SLAB)
    bench.disk.full = True
    receiver = bench.receiver(Span(0, PART))
    receiver.begin(head(0))
    with pytest.raises(MachineError, match="full"):
        await bench.run(asyncio.ensure_future(deliver(receiver, 0, PART)))
    with pytest.raises(MachineError, match="full"):
        await bench.run(asyncio.ensure_future(receiver.settle()))
    assert bench.threads.jobs == []
    assert bench.budget.statistics().used_bytes == 0


class NoDelay(random.Random):
    """Jitter that is always the least: who was thrown back asks again at once.

    A clock that jumps over the delays would not do: it jumps for everybody, and a machine that is busy enough looks
    like a server that is silent.
    """

    def uniform(self, a: float, b: float) -> float:
        del b
        return a


class SlowPartial:
    """Writes take a while, one after the other."""

    def __init__(self, partial: Partial, turns: Lock) -> None:
        self._partial = partial
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._partial, name)

    def write(self, offset: int, data: memoryview) -> None:
        with self._turns:
            for start in range(0, len(data), 64 << 10):  # many small writes: the loop is always ahead
                self._partial.write(offset + start, data[start : start + (64 << 10)])


class SlowSink:
    """A sink of slow partials."""

    def __init__(self, sink: LocalSink) -> None:
        self._sink = sink
        self._turns = Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def reserve(self, name: str, size_bytes: int | None, destination: str = "") -> Partial:
        return cast("Partial", SlowPartial(self._sink.reserve(name, size_bytes, destination), self._turns))


@pytest.mark.parametrize("wire", [True, False])
async def test_sixteen_connections_and_eight_mebibytes(desk: Desk, archive: Callable[..., Archive], wire: bool) -> None:
    body = random.Random(4).randbytes(48 << 20)
    faults = {"b/x": [{"reset_after": 300_000, "ranged": True, "times": 5}]}
    server = archive({"b/x": body}, faults=faults)
    desk.settings = Settings(
        mirrors={BASE: f"{server.url}/b"},
        max_memory_bytes=8 << 20,
        hosts={"*": {"max_connections": 16, "start_connections": 16, "part_bytes": 2 << 20}},
    )
    desk.wrap_sink = lambda sink: cast("Sink", SlowSink(sink))
    await desk.plan(ObjectEntry(key="x", size_bytes=len(body)))
    async with GovernedFetcher(desk.settings, surroundings=Surroundings(), rng=NoDelay(), wire=wire) as fetcher:
        desk.wrap_fetcher = lambda _: fetcher
        async with desk.opened() as engine:
            outcome = await engine.run()
            memory = engine.memory_statistics()
    assert (outcome.placed, outcome.failed) == (1, 0)
    assert desk.file("x").read_bytes() == body
    assert server.load.peak_connections > 8  # more than slabs
    assert memory.peak_bytes <= 8 << 20
    assert (memory.used_bytes, memory.waiting) == (0, 0)
