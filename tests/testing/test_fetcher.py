"""The fake passes the suite of the real one, and fails as tests arrange it."""

from __future__ import annotations

import asyncio

import pytest

from emasync.errors import NotFoundError, StalledError, ThrottledError
from emasync.model.digest import Span
from emasync.model.location import Location
from emasync.testing.conformance import BODY, FetcherSuite, Origin, Recorder, collect
from emasync.testing.fetcher import Fetched, MemoryFetcher
from emasync.transport.interface import Fetcher


class InFetcher:
    def __init__(self, root: str) -> None:
        self.root = Location.parse(root)
        self.fetcher = MemoryFetcher()

    def put(self, key: str, data: bytes) -> None:
        self.fetcher.put(self.root.join(key), data)

    def delete(self, key: str) -> None:
        self.fetcher.delete(self.root.join(key))


class TestMemoryFetcher(FetcherSuite):
    @pytest.fixture(params=["s3://bucket", "gs://bucket", "https://example.org/bucket", "file:///data"])
    def origin(self, request: pytest.FixtureRequest) -> Origin:
        return InFetcher(request.param)

    @pytest.fixture
    def fetcher(self, origin: Origin) -> Fetcher:
        assert isinstance(origin, InFetcher)
        return origin.fetcher


async def test_spellings_of_a_bucket_are_one() -> None:
    fetcher = MemoryFetcher({"https://bucket.s3.amazonaws.com/k": b"1"})
    assert (await fetcher.read(Location.parse("s3://bucket/k"))).data == b"1"


async def test_scripted_failures_come_once_each() -> None:
    fetcher = MemoryFetcher({"s3://b/k": b"1"})
    fetcher.fail("s3://b/k", ThrottledError("slow down", retry_after_s=1), StalledError("quiet"))
    at = Location.parse("s3://b/k")
    with pytest.raises(ThrottledError):
        await fetcher.read(at)
    with pytest.raises(StalledError):
        await fetcher.transfer(at, Recorder())
    assert (await fetcher.read(at)).data == b"1"
    fetcher.fail("s3://b", StalledError("quiet"))
    with pytest.raises(StalledError):
        await collect(fetcher, Location.parse("s3://b"))


async def test_an_interrupted_transfer_begins_again_with_its_tail() -> None:
    fetcher = MemoryFetcher({"s3://b/k": BODY}, block_bytes=1000)
    fetcher.interrupt("s3://b/k", 1500, 10)
    recorder = Recorder()
    await fetcher.transfer(Location.parse("s3://b/k"), recorder)
    assert bytes(recorder.data) == BODY
    assert [(head.status, head.start) for head in recorder.heads] == [(200, 0), (206, 1500), (206, 1510)]


async def test_log_and_peak() -> None:
    fetcher = MemoryFetcher({f"s3://b/{number}": b"1" for number in range(5)})
    fetcher.hold()
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(fetcher.read(Location.parse(f"s3://b/{number}"), span=Span(0, 1)))
        while fetcher.in_flight < 5:  # the fake has no event for it, and needs none
            await asyncio.sleep(0)
        fetcher.release()
    assert fetcher.peak_in_flight == 5
    assert fetcher.log[0] == Fetched("read", "s3://b/0", Span(0, 1))
    assert repr(fetcher) == "<MemoryFetcher of 5 objects, 5 calls>"


async def test_kept_views_are_wiped() -> None:
    class Keeper(Recorder):
        kept: memoryview

        async def feed(self, data: bytes | memoryview) -> None:
            self.kept = memoryview(data)

    fetcher = MemoryFetcher({"s3://b/k": b"abc"})
    keeper = Keeper()
    await fetcher.transfer(Location.parse("s3://b/k"), keeper)
    assert bytes(keeper.kept) == b"\0\0\0"


async def test_deleted_is_missing() -> None:
    fetcher = MemoryFetcher({"s3://b/k": b"abc"})
    fetcher.delete("s3://b/k")
    with pytest.raises(NotFoundError):
        await fetcher.read(Location.parse("s3://b/k"))
