"""Suites that an implementation of a seam inherits. Needs pytest with pytest-asyncio in ``auto`` mode.

::

    class TestMine(FetcherSuite):
        @pytest.fixture
        def origin(self) -> Origin: ...

        @pytest.fixture
        def fetcher(self, origin: Origin) -> Fetcher: ...
"""
# ruff: noqa: S101  # assert is how tests speak

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Protocol

import pytest

from emasync.errors import NotFoundError, PreconditionFailedError, RangeNotSatisfiedError, RefusedError, SourceError
from emasync.model.digest import Span, Tail, Validator
from emasync.model.location import Location
from emasync.transport.interface import Fetcher, Head, ListPage

BODY = bytes(range(251)) * 5000
"""Larger than one read of a socket, of a length that divides by nothing useful."""

KEYS = ("d/a", "d/b/1", "d/b/2", "d/c d/é+%41?#&.bin", "d0", "e/x", "z")
"""In key order."""


class Origin(Protocol):
    """One bucket that a suite fills."""

    root: Location
    """The bucket itself: ``root.join(key)`` is an object."""

    def put(self, key: str, data: bytes) -> None:
        """Place or replace an object."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object."""
        ...


class Recorder:
    """A receiver that keeps everything.

    Attributes
    ----------
    heads : list of Head
    data : bytearray
        Placed by the offsets that heads told.
    """

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.data = bytearray()
        self._at = 0

    def begin(self, head: Head) -> None:
        """Take an answer."""
        if not self.heads:
            self._base = head.start
        self.heads.append(head)
        self._at = head.start - self._base

    async def feed(self, data: bytes | memoryview) -> None:
        """Take bytes."""
        self.data[self._at : self._at + len(data)] = data
        self._at += len(data)


class Refusing(Recorder):
    """Refuses every answer."""

    def begin(self, head: Head) -> None:
        """Refuse."""
        raise SourceError(f"not wanted: {head.status}")


class Choking(Recorder):
    """Takes the head and fails on the first bytes."""

    async def feed(self, data: bytes | memoryview) -> None:
        """Fail."""
        raise SourceError(f"cannot take {len(data)} bytes")


class Waiting(Recorder):
    """Takes the first bytes and then never comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = asyncio.Event()

    async def feed(self, data: bytes | memoryview) -> None:
        """Wait for ever."""
        await super().feed(data)
        self.entered.set()
        await asyncio.Event().wait()


class Slow(Recorder):
    """Gives way often, so that back-pressure is felt."""

    async def feed(self, data: bytes | memoryview) -> None:
        """Take bytes after a while."""
        for _ in range(20):
            await asyncio.sleep(0)
        await super().feed(data)


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing, whole, with locations instead of keys.

    Attributes
    ----------
    pages : tuple of ListPage
    objects, folders : list of str
        Locations.
    """

    pages: tuple[ListPage, ...]
    objects: list[str]
    folders: list[str]


async def collect(
    fetcher: Fetcher, prefix: Location, *, start_after: Location | None = None, delimiter: str | None = None
) -> Listing:
    """List to the end; keys are appended to the fetcher's ``bucket_of``."""
    bucket = await fetcher.bucket_of(prefix)
    after = None if start_after is None else start_after.path.removeprefix(bucket.path).removeprefix("/")
    pages = tuple([page async for page in fetcher.list(prefix, start_after=after, delimiter=delimiter)])
    return Listing(
        pages,
        [str(bucket.join(row.key)) for page in pages for row in page.objects],
        [str(bucket.join(folder)) for page in pages for folder in page.folders],
    )


class FetcherSuite:
    """What every Fetcher must do. A subclass supplies the fixtures ``origin`` and ``fetcher``."""

    @pytest.fixture
    def filled(self, origin: Origin) -> Origin:
        """The origin with :data:`KEYS`, each holding its own name."""
        for key in KEYS:
            origin.put(key, key.encode())
        return origin

    async def test_read_whole(self, fetcher: Fetcher, origin: Origin) -> None:
        """A document arrives whole, with its facts."""
        origin.put("k", b"hello world")
        document = await fetcher.read(origin.root.join("k"))
        assert document.data == b"hello world"
        head = document.head
        assert (head.status, head.start, head.total_bytes, head.content_encoding) == (200, 0, 11, None)
        assert head.stop in (11, None)
        assert head.validator != Validator()

    async def test_read_empty(self, fetcher: Fetcher, origin: Origin) -> None:
        """An empty object is an object."""
        origin.put("empty", b"")
        assert (await fetcher.read(origin.root.join("empty"))).data == b""

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 8), (6, 11)])
    async def test_read_span(self, fetcher: Fetcher, origin: Origin, start: int, stop: int) -> None:
        """A span is that span, and the whole size is told."""
        origin.put("k", b"hello world")
        document = await fetcher.read(origin.root.join("k"), span=Span(start, stop))
        assert document.data == b"hello world"[start:stop]
        head = document.head
        assert (head.status, head.start, head.stop, head.total_bytes) == (206, start, stop, 11)

    @pytest.mark.parametrize(("size_bytes", "start"), [(1, 10), (5, 6), (11, 0), (40, 0)])
    async def test_read_tail(self, fetcher: Fetcher, origin: Origin, size_bytes: int, start: int) -> None:
        """A tail is the end of the object, or all of a shorter one, and where it lies is told."""
        origin.put("k", b"hello world")
        document = await fetcher.read(origin.root.join("k"), span=Tail(size_bytes))
        assert document.data == b"hello world"[start:]
        head = document.head
        assert (head.status, head.start, head.stop, head.total_bytes) == (206, start, 11, 11)

    async def test_tail_of_nothing(self, fetcher: Fetcher, origin: Origin) -> None:
        """An empty object has no tail."""
        origin.put("empty", b"")
        with pytest.raises(RangeNotSatisfiedError):
            await fetcher.read(origin.root.join("empty"), span=Tail(4))

    async def test_read_is_bounded(self, fetcher: Fetcher, origin: Origin) -> None:
        """A longer body than allowed is refused; one that just fits is not."""
        origin.put("k", b"x" * 1000)
        assert len((await fetcher.read(origin.root.join("k"), limit_bytes=1000)).data) == 1000  # noqa: PLR2004  # as put
        with pytest.raises(RefusedError):
            await fetcher.read(origin.root.join("k"), limit_bytes=999)

    async def test_missing(self, fetcher: Fetcher, origin: Origin) -> None:
        """What is not there is not found, by either verb."""
        origin.put("k", b"1")
        with pytest.raises(NotFoundError) as caught:
            await fetcher.read(origin.root.join("none"))
        assert caught.value.location is not None
        assert "none" in caught.value.location
        recorder = Recorder()
        with pytest.raises(NotFoundError):
            await fetcher.transfer(origin.root.join("none"), recorder)
        assert recorder.heads == []

    async def test_beyond_the_end(self, fetcher: Fetcher, origin: Origin) -> None:
        """A span beyond the object names the object's size."""
        origin.put("k", b"hello world")
        with pytest.raises(RangeNotSatisfiedError) as caught:
            await fetcher.read(origin.root.join("k"), span=Span(11, 20))
        assert caught.value.total_bytes == len(b"hello world")

    async def test_hostile_key(self, fetcher: Fetcher, filled: Origin) -> None:
        """Keys are escaped on the wire and nowhere else."""
        assert (await fetcher.read(filled.root.join(KEYS[3]))).data == KEYS[3].encode()

    async def test_transfer_whole(self, fetcher: Fetcher, origin: Origin) -> None:
        """``begin`` comes once, then all bytes."""
        origin.put("large", BODY)
        recorder = Recorder()
        head = await fetcher.transfer(origin.root.join("large"), recorder)
        assert bytes(recorder.data) == BODY
        assert recorder.heads == [head]
        assert (head.status, head.start, head.total_bytes) == (200, 0, len(BODY))

    async def test_transfer_empty(self, fetcher: Fetcher, origin: Origin) -> None:
        """An empty object still begins."""
        origin.put("empty", b"")
        recorder = Recorder()
        head = await fetcher.transfer(origin.root.join("empty"), recorder)
        assert (recorder.heads, bytes(recorder.data), head.total_bytes) == ([head], b"", 0)

    async def test_transfer_span(self, fetcher: Fetcher, origin: Origin) -> None:
        """A span of a large object, told as such."""
        origin.put("large", BODY)
        recorder = Recorder()
        head = await fetcher.transfer(origin.root.join("large"), recorder, span=Span(1_000, 1_000_001))
        assert hashlib.sha256(recorder.data).digest() == hashlib.sha256(BODY[1_000:1_000_001]).digest()
        assert (head.status, head.start, head.stop, head.total_bytes) == (206, 1_000, 1_000_001, len(BODY))

    async def test_transfer_waits_for_the_receiver(self, fetcher: Fetcher, origin: Origin) -> None:
        """A slow receiver loses nothing."""
        origin.put("large", BODY)
        recorder = Slow()
        await fetcher.transfer(origin.root.join("large"), recorder)
        assert bytes(recorder.data) == BODY

    @pytest.mark.parametrize("kind", [Refusing, Choking])
    async def test_receiver_may_refuse(self, fetcher: Fetcher, origin: Origin, kind: type[Recorder]) -> None:
        """A receiver's error reaches the caller as it is, and the fetcher works on."""
        origin.put("large", BODY)
        with pytest.raises(SourceError):
            await fetcher.transfer(origin.root.join("large"), kind())
        assert (await fetcher.read(origin.root.join("large"), span=Span(0, 3))).data == BODY[:3]

    async def test_validator_guards(self, fetcher: Fetcher, origin: Origin) -> None:
        """Bound to a validator, an object arrives while it is the same and never after it changed."""
        origin.put("k", b"first version")
        at = origin.root.join("k")
        validator = (await fetcher.read(at)).head.validator
        recorder = Recorder()
        await fetcher.transfer(at, recorder, span=Span(6, 13), validator=validator)
        assert recorder.data == b"version"
        origin.put("k", b"other version, and longer")
        with pytest.raises(PreconditionFailedError):
            await fetcher.transfer(at, Recorder(), span=Span(6, 13), validator=validator)

    async def test_cancellation(self, fetcher: Fetcher, origin: Origin) -> None:
        """A cancelled transfer ends as cancelled and leaves nothing in flight."""
        origin.put("large", BODY)
        receiver = Waiting()
        task = asyncio.ensure_future(fetcher.transfer(origin.root.join("large"), receiver))
        await receiver.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(origin.in_flight == 0 for origin in fetcher.statistics().values())
        assert (await fetcher.read(origin.root.join("large"), span=Span(0, 3))).data == BODY[:3]

    async def test_many_at_once(self, fetcher: Fetcher, origin: Origin) -> None:
        """More callers than any limit all get theirs."""
        for number in range(100):
            origin.put(f"n/{number}", str(number).encode())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetcher.read(origin.root.join(f"n/{number}"))) for number in range(100)]
        assert [task.result().data for task in tasks] == [str(number).encode() for number in range(100)]

    async def test_statistics(self, fetcher: Fetcher, origin: Origin) -> None:
        """Requests and bytes are counted by origin, and nothing stays in flight."""
        origin.put("k", b"hello world")
        await fetcher.read(origin.root.join("k"))
        (statistics,) = fetcher.statistics().values()
        assert (statistics.requests, statistics.in_flight, statistics.waiting) == (1, 0, 0)
        assert statistics.bytes_received >= len(b"hello world")

    async def test_list_all(self, fetcher: Fetcher, filled: Origin) -> None:
        """All keys in key order with sizes; the last page says so, and only it."""
        found = await collect(fetcher, filled.root)
        assert found.objects == [str(filled.root.join(key)) for key in KEYS]
        assert [row.size_bytes for page in found.pages for row in page.objects] == [len(key.encode()) for key in KEYS]
        assert [page.last for page in found.pages] == [False] * (len(found.pages) - 1) + [True]

    async def test_list_prefix_and_start(self, fetcher: Fetcher, filled: Origin) -> None:
        """Keys below a prefix, after one of them; a key beside the folder is not below it."""
        found = await collect(fetcher, filled.root.join("d/"), start_after=filled.root.join("d/b/1"))
        assert found.objects == [str(filled.root.join(key)) for key in ("d/b/2", KEYS[3])]

    async def test_list_one_level(self, fetcher: Fetcher, filled: Origin) -> None:
        """With a delimiter, deeper keys are folders."""
        found = await collect(fetcher, filled.root.join("d/"), delimiter="/")
        assert found.objects == [str(filled.root.join("d/a"))]
        assert found.folders == [str(filled.root.join(folder)) for folder in ("d/b/", "d/c d/")]

    async def test_list_nothing(self, fetcher: Fetcher, filled: Origin) -> None:
        """A prefix without keys is an empty last page."""
        found = await collect(fetcher, filled.root.join("none/"))
        assert [(page.objects, page.folders, page.last) for page in found.pages] == [((), (), True)]

    async def test_list_many_pages(self, fetcher: Fetcher, origin: Origin) -> None:
        """Pages add up beyond one page's limit."""
        for number in range(2345):
            origin.put(f"m/{number:05d}", b"")
        found = await collect(fetcher, origin.root.join("m/"))
        assert len(found.pages) > 1
        assert found.objects == [str(origin.root.join(f"m/{number:05d}")) for number in range(2345)]

    async def test_listed_keys_can_be_read(self, fetcher: Fetcher, filled: Origin) -> None:
        """Keys of a listing appended to the bucket are the objects."""
        found = await collect(fetcher, filled.root.join("d/"))
        texts = [(await fetcher.read(Location.parse(url))).data.decode() for url in found.objects]
        assert texts == [key for key in KEYS if key.startswith("d/")]
