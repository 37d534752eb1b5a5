"""Silence and crawl, measured by a clock that is given."""

from __future__ import annotations

import asyncio

import pytest

from emasync.errors import StalledError, TransientError
from emasync.settings import HostPolicy
from emasync.testing.clock import ManualClock
from emasync.transport.decoding import GzipDecoder
from emasync.transport.watch import Pace, Patience, Wait, Watch


async def test_a_wait_that_is_late_is_found_once() -> None:
    clock = ManualClock()
    watch = Watch(clock)
    waiting = asyncio.create_task(watch.wait(asyncio.Event().wait(), Patience(clock.monotonic_s(), 10.0)))
    await asyncio.sleep(0)
    clock.advance(9.9)
    assert watch.sweep(clock.monotonic_s()) == []
    assert repr(watch) == "<Watch over 1 waits>"
    clock.advance(0.1)
    (late,) = watch.sweep(clock.monotonic_s())
    assert watch.sweep(clock.monotonic_s()) == []
    late.scope.reschedule(asyncio.get_running_loop().time())
    with pytest.raises(TimeoutError):
        await waiting
    assert repr(watch) == "<Watch over 0 waits>"


async def test_time_in_which_the_loop_stood_still_is_forgiven() -> None:
    """A stopped process, a blocked loop: the network had no chance to show what it has."""
    clock = ManualClock()
    watch = Watch(clock)
    watch.start()
    waiting = asyncio.create_task(watch.wait(asyncio.Event().wait(), Patience(clock.monotonic_s(), 10.0)))
    await asyncio.sleep(0)
    clock.advance(600)
    assert watch.sweep(clock.monotonic_s(), stood_still=True) == []
    clock.advance(10)
    assert [type(wait) for wait in watch.sweep(clock.monotonic_s())] == [Wait]
    watch.stop()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


class Dripping:
    """A body that sends so many bytes after so many seconds, one row after the other, and then nothing."""

    def __init__(self, clock: ManualClock, *rows: tuple[int, float]) -> None:
        self.taken = 0
        self.received = 0
        self._clock = clock
        self._rows = list(rows)

    async def read(self) -> bytes:
        if not self._rows:
            await asyncio.Event().wait()
        size_bytes, after_s = self._rows.pop(0)
        self._clock.advance(after_s)
        self.received += size_bytes
        return bytes(size_bytes)

    async def read_into(self, view: memoryview) -> int:
        while self.taken < len(view):
            await asyncio.sleep(0)
            self.taken += len(await self.read())
        return self.taken


async def test_the_heartbeat_ends_what_is_late() -> None:
    clock = ManualClock()
    watch = Watch(clock, heartbeat_s=0.001)
    watch.start()
    pace = Pace(HostPolicy(), clock, watch, "the object")
    reading = asyncio.create_task(pace.read(Dripping(clock)))
    await asyncio.sleep(0)
    clock.advance(12)
    with pytest.raises(StalledError, match="the object: no byte for 12 s"):
        await reading
    watch.stop()


async def test_a_long_fill_is_not_silent_while_bytes_come_and_keeps_them() -> None:
    clock = ManualClock()
    watch = Watch(clock, heartbeat_s=0.001)
    pace = Pace(HostPolicy(), clock, watch, "the object")
    body = Dripping(clock, *[(2_000, 1.0)] * 50)
    filling = asyncio.create_task(pace.fill(body, memoryview(bytearray(1 << 20))))
    for seconds in range(50):
        while body.received < 2_000 * (seconds + 1):
            await asyncio.sleep(0)
        assert watch.sweep(clock.monotonic_s()) == []
    clock.advance(11.9)
    assert watch.sweep(clock.monotonic_s()) == []
    watch.start()
    clock.advance(0.1)
    with pytest.raises(StalledError, match="no byte for 12 s"):
        await filling
    assert body.taken == 100_000
    watch.stop()


async def test_a_crawl_is_judged_over_twice_the_silence_also_inside_of_one_fill() -> None:
    clock = ManualClock()
    watch = Watch(clock, heartbeat_s=0.001)
    pace = Pace(HostPolicy(stall_timeout_s=10.0, crawl_bytes_per_s=100.0), clock, watch, "x")
    body = Dripping(clock, *[(600, 5.0)] * 4, *[(10, 5.0)] * 4)
    filling = asyncio.create_task(pace.fill(body, memoryview(bytearray(1 << 20))))
    while body.received < 2_440:
        assert watch.sweep(clock.monotonic_s()) == []
        await asyncio.sleep(0)
    watch.start()
    with pytest.raises(StalledError, match="crawls at 2 B/s, expected at least 100 B/s"):
        await filling
    watch.stop()


async def test_a_crawl_is_judged_when_more_is_waited_for() -> None:
    """Bytes that have come are handed on first; the end of a body is no crawl."""
    clock = ManualClock()
    pace = Pace(HostPolicy(stall_timeout_s=10.0, crawl_bytes_per_s=100.0), clock, Watch(clock), "x")
    body = Dripping(clock, *[(600, 5.0)] * 4, (10, 5.0), (10, 9.0), (10, 6.0), (0, 0.0))
    for _ in range(4):
        await pace.read(body)  # 120 B/s: slow, not dead
    for _ in range(3):
        assert await pace.read(body) == bytes(10)
    with pytest.raises(StalledError, match="crawls at 2 B/s, expected at least 100 B/s"):
        await pace.read(body)


async def test_time_between_waits_and_standstills_is_not_the_networks() -> None:
    clock = ManualClock()
    watch = Watch(clock)
    watch.start()
    pace = Pace(HostPolicy(stall_timeout_s=10.0, crawl_bytes_per_s=100.0), clock, watch, "x")
    body = Dripping(clock, (10, 1.0), (10, 1.0))
    await pace.read(body)
    clock.advance(1000.0)
    await pace.read(body)
    reading = asyncio.create_task(pace.read(body))
    await asyncio.sleep(0)
    clock.advance(1000.0)
    assert watch.sweep(clock.monotonic_s(), stood_still=True) == []
    clock.advance(9.0)
    assert watch.sweep(clock.monotonic_s()) == []
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    watch.stop()


def test_gzip_members_follow_each_other() -> None:
    import gzip

    data = gzip.compress(b"a" * 3_000_000) + gzip.compress(b"b" * 10)
    decoder = GzipDecoder("x")
    pieces = [piece for start in range(0, len(data), 1000) for piece in decoder.feed(data[start : start + 1000])]
    pieces += decoder.finish()
    assert b"".join(pieces) == b"a" * 3_000_000 + b"b" * 10
    assert max(map(len, pieces)) <= 1 << 20


def test_gzip_that_breaks_off() -> None:
    import gzip

    decoder = GzipDecoder("x")
    list(decoder.feed(gzip.compress(b"a" * 3_000)[:-9]))
    with pytest.raises(TransientError, match="broke off"):
        list(decoder.finish())
    assert list(GzipDecoder("x").finish()) == []
