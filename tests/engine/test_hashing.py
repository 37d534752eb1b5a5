"""Digests that need bytes in their order are taken while the rest is on its way, and each byte is read once."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from tests.engine.desk import PART, Desk, Meddled

from emasync.disk.interface import Partial, Sink
from emasync.disk.sink import LocalSink
from emasync.disk.writers import Turn, WriterPool
from emasync.engine.digest_prefix import PrefixHashes
from emasync.engine.interface import Threads
from emasync.errors import ErrorKind
from emasync.model.digest import Digest, Span
from emasync.model.task import ObjectEntry, State
from emasync.transport.interface import Receiver

DATA = random.Random(2).randbytes(20 * PART + 77)
MD5 = hashlib.md5(DATA).hexdigest()  # noqa: S324 - what is published


class CountingSink:
    """Notes what is read back of unfinished files."""

    def __init__(self, sink: LocalSink, reads: list[tuple[int, int]]) -> None:
        self._sink = sink
        self._reads = reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def reserve(self, name: str, size_bytes: int | None, destination: str = "") -> Partial:
        return cast("Partial", CountingPartial(self._sink.reserve(name, size_bytes, destination), self._reads))

    def reopen(self, name: str) -> Partial | None:
        found = self._sink.reopen(name)
        return None if found is None else cast("Partial", CountingPartial(found, self._reads))


class CountingPartial:
    """Notes what is read back."""

    def __init__(self, partial: Partial, reads: list[tuple[int, int]]) -> None:
        self._partial = partial
        self._reads = reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._partial, name)

    def read(self, offset: int, size_bytes: int) -> bytes:
        self._reads.append((offset, size_bytes))
        return self._partial.read(offset, size_bytes)


class NotedThreads:
    """Notes how many jobs run the prefix."""

    def __init__(self, threads: WriterPool, runs: list[int]) -> None:
        self._threads = threads
        self._runs = runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._threads, name)

    def submit(self, job: Callable[..., Any], *args: Any, turn: Turn | None = None) -> asyncio.Future[Any]:
        if getattr(job, "__func__", None) is PrefixHashes.run:
            self._runs.append(args[-1])
        return self._threads.submit(job, *args, turn=turn)


def covered(reads: Sequence[tuple[int, int]]) -> list[int]:
    """How often each byte was read."""
    counts = [0] * len(DATA)
    for offset, size_bytes in reads:
        for at in range(offset, min(offset + size_bytes, len(DATA))):
            counts[at] += 1
    return counts


@pytest.fixture
def reads(desk: Desk) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    desk.wrap_sink = lambda sink: cast("Sink", CountingSink(sink, found))
    return found


async def test_serial_digests_run_beside_the_transfer(desk: Desk, reads: list[tuple[int, int]]) -> None:
    runs: list[int] = []
    desk.wrap_threads = lambda threads: cast("Threads", NotedThreads(threads, runs))
    desk.put({"x": DATA})
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA), digests=(Digest("md5", MD5),)))
    outcome = await desk.run()
    assert (outcome.placed, outcome.failed) == (1, 0)
    assert len(runs) > 3, "while parts landed"
    assert runs == sorted(runs)
    assert set(covered(reads)) == {1}, "each byte once"


async def test_a_digest_that_differs_is_told_as_ever(desk: Desk) -> None:
    desk.put({"x": DATA})
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA), digests=(Digest("md5", "0" * 32),)))
    outcome = await desk.run()
    assert (outcome.placed, outcome.failed) == (0, 1)
    assert await desk.kinds() == [str(ErrorKind.CHECKSUM_MISMATCH)]


async def test_what_an_earlier_run_brought_goes_through_once(desk: Desk, reads: list[tuple[int, int]]) -> None:
    async def stop_in_the_middle(receiver: Receiver, span: Span | None) -> Span | None:
        if span is not None and span.start >= 12 * PART:
            assert desk.engine is not None
            desk.engine.stop()
            await asyncio.Event().wait()
        return span

    good = desk.fetcher
    desk.fetcher = Meddled({}, stop_in_the_middle)
    desk.put({"x": DATA})
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA), digests=(Digest("md5", MD5),)))
    outcome = await desk.run()
    assert outcome.placed == 0
    desk.fetcher = good
    desk.put({"x": DATA})
    reads.clear()
    outcome = await desk.run()
    assert (outcome.placed, outcome.failed) == (1, 0)
    assert outcome.bytes_received < len(DATA), "it went on"
    assert set(covered(reads)) == {1}
    assert await desk.objects(State.PLACED) == 1
