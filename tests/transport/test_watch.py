"""Silence and crawl, measured by a clock that is given."""

from __future__ import annotations

import asyncio

import pytest

from emasync.errors import StalledError, TransientError
from emasync.settings import HostPolicy
from emasync.testing.clock import ManualClock
from emasync.transport.decoding import GzipDecoder
from emasync.transport.watch import Pace, Wait, Watch


async def test_a_wait_that_is_late_is_found_once() -> None:
    clock = ManualClock()
    watch = Watch(clock)
    waiting = asyncio.create_task(watch.wait(asyncio.Event().wait(), 10.0))
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
    waiting = asyncio.create_task(watch.wait(asyncio.Event().wait(), 10.0))
    await asyncio.sleep(0)
    clock.advance(600)
    assert watch.sweep(clock.monotonic_s(), stood_still=True) == []
    clock.advance(10)
    assert [type(wait) for wait in watch.sweep(clock.monotonic_s())] == [Wait]
    watch.stop()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_heartbeat_ends_what_is_late() -> None:
    clock = ManualClock()
    watch = Watch(clock, heartbeat_s=0.001)
    watch.start()
    pace = Pace(HostPolicy(), clock, watch, "the object")
    reading = asyncio.create_task(pace.piece(never()))
    await asyncio.sleep(0)
    clock.advance(12)
    with pytest.raises(StalledError, match="the object: no byte for 12 s"):
        await reading
    watch.stop()


async def never() -> bytes:
    await asyncio.Event().wait()
    return b""


async def test_a_crawl_is_judged_over_twice_the_silence() -> None:
    clock = ManualClock()
    pace = Pace(HostPolicy(stall_timeout_s=10.0, crawl_bytes_per_s=100.0), clock, Watch(clock), "x")

    async def piece(size_bytes: int, after_s: float) -> bytes:
        clock.advance(after_s)
        return bytes(size_bytes)

    for _ in range(4):
        await pace.piece(piece(600, 5.0))  # 120 B/s: slow, not dead
    await pace.piece(piece(10, 5.0))
    await pace.piece(piece(10, 9.0))
    with pytest.raises(StalledError, match="crawls at 2 B/s, expected at least 100 B/s"):
        await pace.piece(piece(10, 6.0))
    await pace.piece(piece(0, 25.0))  # the end of a body is no crawl


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
