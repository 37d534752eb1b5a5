"""Every fault of a public archive ends in identical bytes or a named error, at a known price in requests."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from emasync.errors import (
    AccessDeniedError,
    EmasyncError,
    ErrorKind,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiedError,
    RefusedError,
    SourceError,
    ThrottledError,
    TransientError,
)
from emasync.model.digest import Span, Validator
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.clock import ManualClock
from emasync.testing.conformance import Recorder
from emasync.testing.stores import MemoryStore
from emasync.transport.interface import Head, LendingReceiver

BODY = bytes(range(256)) * 4000
SIZE = len(BODY)


@pytest.fixture(params=[True, False], ids=["wire", "aiohttp"])
def wire(request: pytest.FixtureRequest) -> bool:
    """Every fault over both transports."""
    return bool(request.param)


@dataclass(frozen=True)
class Heals:
    """A fault after which the bytes are identical."""

    name: str
    fault: Mapping[str, Any]
    requests: int = 2
    span: Span | None = None
    heads: list[tuple[int, int]] | None = None
    """Status and start of each accepted answer."""
    on_wire: tuple[int, int] | None = None
    """Requests and retries where the wire path hands the object on."""


HEALS = [
    Heals("reset", {"reset_after": 300_000, "times": 1}),
    Heals("reset before the first byte of the body", {"reset_after": 0, "times": 1}),
    Heals("connection dropped instead of an answer", {"drop": True, "times": 2}, requests=3),
    Heals("half-close", {"close_after": 300_000, "times": 1}),
    Heals("half-close, three times", {"close_after": 300_000, "times": 3}, requests=4),
    Heals("short body", {"short_body": 1000, "times": 1}, heads=[(200, 0), (206, SIZE - 1000)]),
    Heals("short body of a span", {"short_body": 10, "times": 1}, span=Span(5, 5000), heads=[(206, 5), (206, 4990)]),
    Heals("long body", {"long_body": 1000, "times": 1}, requests=1),
    Heals("hang-up after a whole answer", {"hang_up": True}, requests=1),
    Heals("chunks", {"chunked": True}, requests=1, on_wire=(2, 0)),
    Heals("chunks that break off", {"chunked": True, "reset_after": 400_000, "times": 1}, on_wire=(2, 0)),
    Heals("chunks that break off at the very end", {"chunked": True, "close_after": SIZE, "times": 1}, on_wire=(2, 0)),
    Heals("end of connection as the end", {"no_length": True}, requests=1, on_wire=(2, 0)),
    Heals("500", {"status": 500, "times": 3}, requests=4),
    Heals("503", {"status": 503, "times": 3}, requests=4),
    Heals("429 with seconds", {"status": 429, "retry_after": 20, "times": 1}),
    Heals("503 with a date", {"status": 503, "retry_after_date_s": 30.0, "times": 1}),
    Heals("S3 asks to slow down", {"status": 400, "code": "SlowDown", "times": 1}),
    Heals("no range support, whole", {"ignore_range": True}, requests=1),
    Heals("no range support, broken off", {"ignore_range": True, "reset_after": 300_000, "times": 1}),
    Heals("gzip", {"gzip_whole": True}, requests=1),
    Heals("gzip broken off", {"gzip_whole": True, "reset_after": 2000, "times": 1}, heads=[(200, 0), (200, 0)]),
    Heals("total unknown", {"unknown_total": True}, requests=1, span=Span(10, 20_000)),
    Heals("header of 100 kB", {"garbage_headers": 100}, requests=1, on_wire=(2, 0)),
    Heals("object that is another one only for others", {"change": "etag", "change_etag_after": 1}, requests=1),
]


@pytest.mark.parametrize("case", HEALS, ids=lambda case: case.name)
async def test_identical_bytes(case: Heals, archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    server = archive({"b/x.tif": BODY}, faults={"b/x.tif": [case.fault]})
    recorder = Recorder()
    async with opened() as fetcher:
        head = await fetcher.transfer(Location.parse(f"{server.url}/b/x.tif"), recorder, span=case.span)
        (statistics,) = fetcher.statistics().values()
    wanted = BODY if case.span is None else BODY[case.span.start : case.span.stop]
    assert recorder.data == wanted
    requests, retries = case.on_wire if wire and case.on_wire else (case.requests, case.requests - 1)
    assert len(server.requests) == requests
    assert head == recorder.heads[0]
    assert (statistics.in_flight, statistics.retries) == (0, retries)
    if case.heads is not None:
        assert [(head.status, head.start) for head in recorder.heads] == case.heads


@dataclass(frozen=True)
class Fails:
    """A fault that ends in a named error."""

    name: str
    fault: Mapping[str, Any]
    error: type[EmasyncError]
    says: str
    requests: int = 1
    span: Span | None = None
    validator: Validator | None = None
    kind: ErrorKind | None = None
    begun: int = 0
    key: str = "x.tif"
    on_wire: int | None = None


FAILS = [
    Fails("missing", {"missing": True}, NotFoundError, "NoSuchKey"),
    Fails("gone", {"status": 410}, NotFoundError, "410"),
    Fails("forbidden", {"forbidden": True}, AccessDeniedError, "asked without credentials"),
    Fails("416", {}, RangeNotSatisfiedError, f"{SIZE} bytes", span=Span(SIZE, SIZE + 5)),
    Fails("418", {"status": 418}, RefusedError, "418"),
    Fails("500 for ever", {"status": 500}, TransientError, "given up after 6 tries", requests=6),
    Fails("broken off at the same byte for ever", {"ignore_range": True, "close_after": 50_000}, TransientError,
          "broke", requests=6, begun=6),
    Fails("error page", {"html_error": True}, RefusedError, "in-band error page"),
    Fails("error page of XML", {"body": "<?xml version='1.0'?>\n<Error><Code>X</Code></Error>",
          "headers": {"Content-Type": "application/xml"}}, RefusedError, "in-band error page"),
    Fails("wrong Content-Range", {"wrong_content_range": 10}, RefusedError, "got Content-Range", span=Span(0, 100)),
    Fails("200 instead of 206", {"ignore_range": True}, RefusedError, "ignores byte ranges", span=Span(50, 100)),
    Fails("gzip on a range", {"gzip_range": True}, RefusedError, "Content-Encoding", span=Span(50, 10_000)),
    Fails("an encoding nobody asked for", {"headers": {"Content-Encoding": "br"}}, RefusedError, "br"),
    Fails("redirect loop", {"redirect": "loop"}, RefusedError, "circle"),
    Fails("redirect to another scheme", {"redirect": "ftp://example.org/x"}, RefusedError, "no http"),
    Fails("redirect to a file", {"redirect": "file:///etc/passwd"}, RefusedError, "file://"),
    Fails("header flood", {"garbage_headers": 1000}, TransientError, "no HTTP", requests=6, on_wire=7),
    Fails("another object than the validator's", {}, PreconditionFailedError, "another object", requests=3,
          validator=Validator(etag='"old"')),
    Fails("another weak tag", {}, PreconditionFailedError, "another object",
          validator=Validator(etag='W/"old"', last_modified="Mon, 01 Jan 2001 00:00:00 GMT")),
    Fails("hangs up for ever", {"drop": True}, TransientError, "given up after 6 tries", requests=6),
]  # fmt: skip


@pytest.mark.parametrize("case", FAILS, ids=lambda case: case.name)
async def test_named_error(case: Fails, archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    server = archive({"b/x.tif": BODY}, faults={"b/*": [case.fault]})
    recorder = Recorder()
    async with opened() as fetcher:
        with pytest.raises(case.error, match=case.says) as caught:
            await fetcher.transfer(
                Location.parse(f"{server.url}/b/{case.key}"), recorder, span=case.span, validator=case.validator
            )
        assert all(origin.in_flight == 0 for origin in fetcher.statistics().values())
    assert caught.value.location == f"{server.url}/b/{case.key}"
    assert f"{server.url}/b/{case.key}" in caught.value.message
    assert len(server.requests) == (case.on_wire if wire and case.on_wire else case.requests)
    assert len(recorder.heads) == case.begun


@pytest.mark.parametrize("change", ["etag", "content", "size"])
async def test_a_change_in_the_middle_is_noticed(change: str, archive: Callable[..., Archive], opened: Any) -> None:
    faults = {"b/x": [{"close_after": 1000, "times": 1}], "b/*": [{"change_etag_after": 1, "change": change}]}
    server = archive({"b/x": BODY}, faults=faults)
    recorder = Recorder()
    async with opened() as fetcher:
        with pytest.raises(PreconditionFailedError):
            await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder)
    assert len(recorder.heads) == 1
    assert bytes(recorder.data) == BODY[: len(recorder.data)]


async def test_replicas_with_tags_of_their_own(archive: Callable[..., Archive], opened: Any) -> None:
    """The tag comes back after another one was seen: twice, and tags of this origin are not asked for any more."""
    faults = {
        "b/*": [{"close_after": 1000, "ranged": False}, {"change_etag_after": 0, "change": "flapping", "ranged": True}]
    }
    server = archive({"b/x": BODY, "b/y": BODY, "b/z": BODY}, faults=faults)
    async with opened() as fetcher:
        for key in "xyz":
            recorder = Recorder()
            await fetcher.transfer(Location.parse(f"{server.url}/b/{key}"), recorder)
            assert recorder.data == BODY
        limiter = fetcher.limiter(Location.parse(server.url))
    assert limiter.etags_unstable
    assert [seen.status for seen in server.requests] == [200, 412, 206, 200, 412, 206, 200, 206]


async def test_whole_object_as_one_span_from_a_server_without_ranges(
    archive: Callable[..., Archive], opened: Any
) -> None:
    server = archive({"b/x": BODY}, faults={"b/x": [{"ignore_range": True}]})
    async with opened() as fetcher:
        recorder = Recorder()
        head = await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder, span=Span(0, 100))
        assert (head.status, head.start, head.stop, bytes(recorder.data)) == (200, 0, SIZE, BODY)
        document = await fetcher.read(Location.parse(f"{server.url}/b/x"), span=Span(0, 100))
        assert (document.data, document.head.stop) == (BODY[:100], 100)


async def test_restart_reaches_the_receiver(archive: Callable[..., Archive], opened: Any) -> None:
    """A server without ranges breaks off: the body begins again at 0, and the receiver may refuse that."""

    class Once(Recorder):
        def begin(self, head: Head) -> None:
            if self.heads:
                raise SourceError(f"again from {head.start}")
            super().begin(head)

    faults: Any = {"b/x": [{"ignore_range": True, "close_after": 1000, "times": 1}, {"ignore_range": True}]}
    server = archive({"b/x": BODY}, faults=faults)
    async with opened() as fetcher:
        recorder = Recorder()
        await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder)
        assert ([head.start for head in recorder.heads], bytes(recorder.data)) == ([0, 0], BODY)
        server.set_faults(faults)
        with pytest.raises(SourceError, match="again from 0"):
            await fetcher.transfer(Location.parse(f"{server.url}/b/x"), Once())


async def test_a_receivers_transient_error_is_not_retried(archive: Callable[..., Archive], opened: Any) -> None:
    class Failing(Recorder):
        async def feed(self, data: bytes | memoryview) -> None:
            raise TransientError("the disk hiccups")

    server = archive({"b/x": BODY})
    async with opened() as fetcher:
        with pytest.raises(TransientError, match="the disk hiccups"):
            await fetcher.transfer(Location.parse(f"{server.url}/b/x"), Failing())
    assert len(server.requests) == 1


async def test_stall_in_the_body(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock, events: list[Event]
) -> None:
    server = archive({"b/x": BODY}, faults={"b/x": [{"stall_after": 300_000, "times": 1}]})
    recorder = Recorder()
    async with opened() as fetcher, asyncio.TaskGroup() as group:
        group.create_task(fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder))
        await until(lambda: len(recorder.data) == 300_000)
        clock.advance(11.0)
        assert fetcher._watch.sweep(clock.monotonic_s()) == []
        clock.advance(2.0)
    assert recorder.data == BODY
    assert [(head.status, head.start) for head in recorder.heads] == [(200, 0), (206, 300_000)]
    assert [event.event for event in events] == ["stalled"]
    assert "no byte for 12 s" in str(events[0].fields["message"])


class Lender(Recorder, LendingReceiver):
    """Lends space of its own, and tells what it was asked."""

    def __init__(self, space_bytes: int = 1 << 20) -> None:
        super().__init__()
        self.log: list[str] = []
        self._space = bytearray(space_bytes)
        self._filled = 0

    def begin(self, head: Head) -> None:
        self.log.append("begin")
        super().begin(head)

    async def room(self) -> memoryview:
        self.log.append("room")
        return memoryview(self._space)

    def took(self, size_bytes: int) -> None:
        self.log.append("took")
        self.data[self._at : self._at + size_bytes] = self._space[:size_bytes]
        self._at += size_bytes
        self._space[:] = bytes(len(self._space))  # it is the receiver's again

    async def put_down(self) -> None:
        self.log.append("put down")


@pytest.mark.parametrize("case", HEALS, ids=lambda case: case.name)
@pytest.mark.parametrize("space_bytes", [1000, 1 << 20])
async def test_identical_bytes_in_lent_space(
    case: Heals, space_bytes: int, archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    server = archive({"b/x.tif": BODY}, faults={"b/x.tif": [case.fault]})
    lender = Lender(space_bytes)
    async with opened() as fetcher:
        await fetcher.transfer(Location.parse(f"{server.url}/b/x.tif"), lender, span=case.span)
        (statistics,) = fetcher.statistics().values()
    assert lender.data == (BODY if case.span is None else BODY[case.span.start : case.span.stop])
    requests, retries = case.on_wire if wire and case.on_wire else (case.requests, case.requests - 1)
    assert (len(server.requests), statistics.retries) == (requests, retries)
    assert lender.log.count("put down") == retries
    assert lender.log.count("room") == lender.log.count("took")


async def test_what_a_long_fill_brought_before_a_stall_is_kept_and_memory_is_given_back(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock, wire: bool
) -> None:
    server = archive({"b/x": BODY}, faults={"b/x": [{"stall_after": 300_000, "times": 1}]})
    lender = Lender()
    async with opened() as fetcher, asyncio.TaskGroup() as group:
        group.create_task(fetcher.transfer(Location.parse(f"{server.url}/b/x"), lender))
        sent = 300_000 + (100 if wire else 0)  # with the header, where it is counted
        await until(lambda: any(getattr(wait.judge, "_seen", 0) >= sent for wait in fetcher._watch._waits))
        clock.advance(12.1)
    assert lender.data == BODY
    assert lender.log == ["begin", "room", "took", "put down", "begin", "room", "took"]
    assert [(head.status, head.start) for head in lender.heads] == [(200, 0), (206, 300_000)]


async def test_a_lending_receiver_may_fail_and_is_not_asked_again(archive: Callable[..., Archive], opened: Any) -> None:
    class Failing(Lender):
        async def room(self) -> memoryview:
            raise TransientError("the disk hiccups")

    server = archive({"b/x": BODY})
    async with opened() as fetcher:
        with pytest.raises(TransientError, match="the disk hiccups"):
            await fetcher.transfer(Location.parse(f"{server.url}/b/x"), Failing())
    assert len(server.requests) == 1


async def test_stall_before_the_answer(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock, events: list[Event]
) -> None:
    server = archive({"b/x": b"small"}, faults={"b/x": [{"delay_s": 3600.0, "times": 1}]})
    async with opened() as fetcher, asyncio.TaskGroup() as group:
        reading = group.create_task(fetcher.read(Location.parse(f"{server.url}/b/x")))
        await until(lambda: server.load.in_flight == 1)
        clock.advance(39.0)
        assert fetcher._watch.sweep(clock.monotonic_s()) == []
        clock.advance(2.0)
        assert (await reading).data == b"small"
    assert [event.fields["kind"] for event in events] == ["stalled"]


async def test_crawl(archive: Callable[..., Archive], opened: Any, clock: ManualClock, events: list[Event]) -> None:
    """A byte now and then is no progress."""

    looks = iter(range(1000))

    class SlowClock(ManualClock):
        """Each look at the clock is a tenth of a second later, while bytes drip."""

        def monotonic_s(self) -> float:
            if len(server.requests) == 1 and next(looks, None) is not None:
                self._now_s += 0.1
            return super().monotonic_s()

    server = archive({"b/x": BODY[:50_000]}, faults={"b/x": [{"drip": 2000.0, "times": 1}]})
    recorder = Recorder()
    slow = SlowClock(autojump_s=0.02)
    settings = Settings(hosts={"127.0.0.1": {"crawl_bytes_per_s": 5000.0}})
    async with opened(settings, clock=slow) as fetcher:
        await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder)
    assert recorder.data == BODY[:50_000]
    assert "crawls at" in str(events[0].fields["message"])
    assert len(recorder.heads) == 2


async def until(condition: Callable[[], bool]) -> None:
    """Give way until something happened."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_time_of_the_receiver_is_not_the_networks(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock, events: list[Event]
) -> None:
    class Pausing(Recorder):
        async def feed(self, data: bytes | memoryview) -> None:
            clock.advance(100.0)
            assert fetcher._watch.sweep(clock.monotonic_s()) == []
            await super().feed(data)

    server = archive({"b/x": BODY})
    recorder = Pausing()
    async with opened() as fetcher:
        await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder)
    assert recorder.data == BODY
    assert events == []


async def test_retry_after_holds_the_origin(archive: Callable[..., Archive], opened: Any, clock: ManualClock) -> None:
    faults = {"b/slow": [{"status": 429, "retry_after": 77, "times": 1}]}
    server = archive({"b/slow": b"1", "b/other": b"2"}, faults=faults)
    began_s = clock.monotonic_s()
    async with opened() as fetcher:
        await fetcher.read(Location.parse(f"{server.url}/b/slow"))
        held_s = clock.monotonic_s() - began_s
    assert 77 <= held_s < 77 + 60


async def test_used_up_rate_holds_the_origin(archive: Callable[..., Archive], opened: Any, clock: ManualClock) -> None:
    used_up = {"headers": {"RateLimit-Remaining": "0", "RateLimit-Reset": "50"}, "times": 1}
    server = archive({"b/x": b"1"}, faults={"b/x": [used_up]})
    began_s = clock.monotonic_s()
    async with opened() as fetcher:
        await fetcher.read(Location.parse(f"{server.url}/b/x"))
        assert fetcher.statistics()[server.url].held_until_s == began_s + 50
        await fetcher.read(Location.parse(f"{server.url}/b/x"))
    assert clock.monotonic_s() == began_s + 50


async def test_an_origin_that_asks_for_patience_gets_it_up_to_its_policy(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock
) -> None:
    server = archive({"b/x": b"1"}, faults={"b/x": [{"status": 503}]})
    began_s = clock.monotonic_s()
    async with opened() as fetcher:
        with pytest.raises(ThrottledError, match="asks for patience"):
            await fetcher.read(Location.parse(f"{server.url}/b/x"))
    assert clock.monotonic_s() - began_s >= 120
    assert len(server.requests) > 6


async def test_encoded_document_is_decoded_and_told(archive: Callable[..., Archive], opened: Any) -> None:
    server = archive({"b/info": BODY}, faults={"b/info": [{"gzip_whole": True}]})
    async with opened() as fetcher:
        document = await fetcher.read(Location.parse(f"{server.url}/b/info"))
    head = document.head
    assert document.data == BODY
    assert (head.content_encoding, head.stop, head.total_bytes) == ("gzip", None, None)
    assert 0 < int(head.headers["content-length"]) < SIZE


async def test_a_bomb_is_refused(archive: Callable[..., Archive], opened: Any) -> None:
    bomb = gzip.compress(bytes(5_000_000))
    faults = {"b/info": [{"headers": {"Content-Encoding": "gzip"}}]}
    server = archive({"b/info": bomb}, faults=faults)
    async with opened() as fetcher:
        with pytest.raises(RefusedError, match="up to 1000000 bytes"):
            await fetcher.read(Location.parse(f"{server.url}/b/info"), limit_bytes=1_000_000)


async def test_pages_that_should_be_pages(archive: Callable[..., Archive], opened: Any) -> None:
    """Markup is welcome where the name promises markup, and in folders of web servers."""
    page = b"<!DOCTYPE html><html>index</html>"
    kind = {"headers": {"Content-Type": "text/html"}}
    store = MemoryStore({"b/page.html": page, "b/x.ome.xml": b"<?xml version='1.0'?><OME/>", "b/d/": page})
    server = archive(store, faults={"b/*": [kind]})
    async with opened() as fetcher:
        for key in ("page.html", "x.ome.xml", "d/"):
            assert (await fetcher.read(Location.parse(f"{server.url}/b/{key}"))).data


async def test_a_redirect_that_expired_is_asked_for_again(archive: Callable[..., Archive], opened: Any) -> None:
    """Signed targets live for a while: after a break the way begins where it began."""
    target = archive({"cdn/x": BODY}, faults={"cdn/x": [{"close_after": 1000, "times": 1}]})
    server = archive({"b/x": b""}, faults={"b/x": [{"redirect": f"{target.url}/cdn/x"}]})
    recorder = Recorder()
    async with opened() as fetcher:
        await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder)
        assert fetcher.statistics()[target.url].bytes_received == SIZE
        assert [origin.requests for origin in fetcher.statistics().values()] == [2, 2]
    assert recorder.data == BODY
    assert [seen.range for seen in target.requests] == [None, f"bytes=1000-{SIZE - 1}"]


async def test_a_redirect_is_followed_once_for_all_ranges(archive: Callable[..., Archive], opened: Any) -> None:
    target = archive({"cdn/x": BODY})
    server = archive({"b/x": b""}, faults={"b/x": [{"redirect": f"{target.url}/cdn/x"}]})
    async with opened() as fetcher:
        for start in range(0, SIZE, 100_000):
            recorder, stop = Recorder(), min(start + 100_000, SIZE)
            await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder, span=Span(start, stop))
            assert recorder.data == BODY[start:stop]
    assert (len(server.requests), len(target.requests)) == (1, 11)


@pytest.mark.parametrize("fault", [{"forbidden": True}, {"missing": True}, {"close_after": 1000}, {"status": 500}])
async def test_a_remembered_redirect_that_fails_is_asked_for_again(
    fault: Mapping[str, Any], archive: Callable[..., Archive], opened: Any
) -> None:
    """A signed target that expired answers 403: that is said of the target, not of the object."""
    target = archive({"cdn/x": BODY}, faults={"cdn/x": [{**fault, "skip": 1, "times": 1}]})
    server = archive({"b/x": b""}, faults={"b/x": [{"redirect": f"{target.url}/cdn/x"}]})
    async with opened() as fetcher:
        for span in (Span(0, 50_000), Span(50_000, 100_000), Span(100_000, 150_000)):
            recorder = Recorder()
            await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder, span=span)
            assert recorder.data == BODY[span.start : span.stop]
    assert (len(server.requests), len(target.requests)) == (2, 4)


async def test_a_target_that_fails_for_good_is_a_named_error(archive: Callable[..., Archive], opened: Any) -> None:
    target = archive({"cdn/x": BODY}, faults={"cdn/x": [{"forbidden": True, "skip": 1}]})
    server = archive({"b/x": b""}, faults={"b/x": [{"redirect": f"{target.url}/cdn/x"}]})
    place = Location.parse(f"{server.url}/b/x")
    async with opened() as fetcher:
        await fetcher.transfer(place, Recorder(), span=Span(0, 10))
        for _ in range(2):
            with pytest.raises(AccessDeniedError):
                await fetcher.transfer(place, Recorder(), span=Span(0, 10))
    assert (len(server.requests), len(target.requests)) == (3, 4)


async def test_a_presigned_target_is_renewed_by_one_before_it_expires(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock
) -> None:
    target = archive({"cdn/x": BODY})

    def signed() -> dict[str, list[dict[str, Any]]]:
        now = datetime.fromtimestamp(clock.time_s(), UTC)
        return {"b/x": [{"redirect": f"{target.url}/cdn/x?X-Amz-Date={now:%Y%m%dT%H%M%SZ}&X-Amz-Expires=200"}]}

    server = archive({"b/x": b""}, faults=signed())
    place = Location.parse(f"{server.url}/b/x")
    async with opened() as fetcher:
        await fetcher.transfer(place, Recorder(), span=Span(0, 10))
        clock.advance(159)
        await fetcher.transfer(place, Recorder(), span=Span(0, 10))
        assert len(server.requests) == 1
        clock.advance(1)
        server.set_faults(signed())
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(fetcher.transfer(place, Recorder(), span=Span(0, 10)))
    assert (len(server.requests), len(target.requests)) == (2, 6)


async def test_bandwidth_is_capped_and_waiting_for_it_is_no_stall(
    archive: Callable[..., Archive], opened: Any, clock: ManualClock, events: list[Event]
) -> None:
    server = archive({"b/x": BODY})
    recorder = Recorder()
    began_s = clock.monotonic_s()
    async with opened(Settings(max_bandwidth=SIZE / 100)) as fetcher:
        await fetcher.transfer(Location.parse(f"{server.url}/b/x"), recorder)
    assert recorder.data == BODY
    assert 99 <= clock.monotonic_s() - began_s <= 101
    assert events == []
