"""The wire path as a session: what it reads, what it hands on, what it gives back."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from tests.transport.scripted import Say, Script, chunked, ok, scripted, until

from emasync.errors import NotFoundError, RefusedError, TransientError
from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.testing.clock import ManualClock
from emasync.testing.conformance import Recorder
from emasync.transport.dialogue import OpenAnswer
from emasync.transport.pool import WirePool
from emasync.transport.request_head import UnfitRequestError, get_request
from emasync.transport.resolver import DaemonResolver
from emasync.transport.session import Answer, HttpSession
from emasync.transport.surroundings import Surroundings
from emasync.transport.wire import Phase
from emasync.transport.wire_answer import MAX_UNMEASURED_BYTES, WireAnswer
from emasync.transport.wire_session import SPACE_BYTES, WireSession

POLICY = HostPolicy()
BODY = random.Random(5).randbytes(300_000)
Loop = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def session(surroundings: Surroundings | None = None, *, measured: bool = True) -> AsyncIterator[WireSession]:
    around = surroundings or Surroundings(user_agent="tests")
    general = HttpSession(around, DaemonResolver())
    pool = WirePool(around, DaemonResolver(), ManualClock())
    try:
        yield WireSession(pool, general, around, measured=measured)
    finally:
        await pool.aclose()
        await general.aclose()


async def opened(wire: WireSession, server: Script, path: str = "/x", **fields: str) -> OpenAnswer:
    return await wire.open(Location("http", f"127.0.0.1:{server.port}", path), fields, POLICY, "the object")


async def whole(answer: OpenAnswer) -> bytes:
    data = b""
    async with answer:
        while more := await answer.read():
            data += more
    return data


async def drained(answer: OpenAnswer) -> None:
    while await answer.read():
        pass


async def fetched(wire: WireSession, server: Script) -> bytes:
    return await whole(await opened(wire, server))


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, SPACE_BYTES - 50, SPACE_BYTES, 300_000])
def test_bodies_are_read_piece_by_piece_over_one_connection(each_loop: Loop, size_bytes: int) -> None:
    async def main() -> None:
        async with scripted([Say(ok(BODY[:size_bytes], 'ETag: "e"', "X-A: 1", "x-a: 2"))]) as server, session() as wire:
            for _ in range(3):
                answer = await opened(wire, server)
                assert isinstance(answer, WireAnswer)
                assert (answer.status, answer.headers["etag"], answer.headers["x-a"]) == (200, '"e"', "1, 2")
                assert await whole(answer) == BODY[:size_bytes]
                assert answer.received >= size_bytes
            assert server.connections == 1

    each_loop(main())


@pytest.mark.parametrize("view_bytes", [1, 999, 64 << 10, 1 << 20])
def test_bodies_are_read_into_views(each_loop: Loop, view_bytes: int) -> None:
    wanted = BODY if view_bytes > 1 else BODY[:2_000]

    async def main() -> None:
        async with scripted([Say(ok(wanted))]) as server, session() as wire:
            for _ in range(2):
                data = bytearray()
                async with await opened(wire, server) as answer:
                    while size_bytes := await answer.read_into(memoryview(view := bytearray(view_bytes))):
                        assert size_bytes == min(view_bytes, len(wanted) - len(data)) == answer.taken
                        data += view[:size_bytes]
                assert data == wanted
            assert server.connections == 1

    each_loop(main())


@pytest.mark.parametrize("then", ["close", "reset"])
def test_what_came_before_a_break_is_kept(each_loop: Loop, then: str) -> None:
    async def main() -> None:
        async with scripted([Say(ok(BODY[:250_000], length=300_000), then)]) as server, session() as wire:
            view = memoryview(bytearray(1 << 20))
            answer = await opened(wire, server)
            async with answer:
                with pytest.raises(TransientError, match="the object: the connection broke"):
                    await answer.read_into(view)
                assert view[: answer.taken] == BODY[: answer.taken]
                assert answer.taken == 250_000 if then == "close" else answer.taken <= 250_000
                with pytest.raises(TransientError, match="broke"):
                    await answer.read_into(view)
                assert answer.taken == 0
            assert wire._pool.idle == 0

    each_loop(main())


def test_what_came_before_a_cancellation_is_kept_and_nothing_comes_afterwards(each_loop: Loop) -> None:
    async def main() -> None:
        async with scripted([Say(ok(BODY[:250_000], length=300_000), "hang")]) as server, session() as wire:
            view = memoryview(bytearray(1 << 20))
            async with await opened(wire, server) as answer:
                reading = asyncio.create_task(answer.read_into(view))
                await until(lambda: answer.received > 250_000)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                assert (answer.taken, bytes(view[:250_000])) == (250_000, BODY[:250_000])
                assert isinstance(answer, WireAnswer)
                assert answer._connection.phase is Phase.CLOSED
            await until(lambda: server.open == 0)

    each_loop(main())


async def test_a_body_left_in_the_middle_costs_its_connection() -> None:
    async with scripted([Say(ok(BODY))]) as server, session() as wire:
        async with await opened(wire, server) as answer:
            assert BODY.startswith(await answer.read())
        assert await fetched(wire, server) == BODY
        assert server.connections == 2


async def test_a_body_that_came_and_was_not_looked_at_does_not() -> None:
    async with scripted([Say(ok(b"small"))]) as server, session() as wire:
        async with await opened(wire, server):
            pass
        assert await fetched(wire, server) == b"small"
        assert server.connections == 1


# --- answers that are another's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("spare_bytes", [0, 1000])
@pytest.mark.parametrize("size_bytes", [10, 1 << 20])
def test_a_second_answer_behind_the_first_one_is_nobodys(each_loop: Loop, size_bytes: int, spare_bytes: int) -> None:
    """Also when the first body ends exactly where its memory ends, so that the socket may hold more."""
    body, foreign = random.Random(6).randbytes(size_bytes), ok(b"f" * size_bytes)

    def answer(number: int, _request: bytes) -> Say:
        return Say(ok(body) + (foreign if number == 0 else b""))

    async def main() -> None:
        async with scripted(answer) as server, session() as wire:
            for _ in range(3):
                view = bytearray(size_bytes + spare_bytes)
                async with await opened(wire, server) as came:
                    assert await came.read_into(memoryview(view)) == size_bytes
                assert bytes(view[:size_bytes]) == body
            assert server.connections == 2

    each_loop(main())


def test_all_of_it_over_tls(each_loop: Loop) -> None:
    """The loops' TLS layers have buffers of their own between socket and view."""
    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusted)
    body = random.Random(7).randbytes(3 << 20)

    def answer(number: int, _request: bytes) -> Say:
        return Say(ok(body) + (ok(b"foreign") if number == 2 else b""), "close" if number == 4 else "keep")

    async def main() -> None:
        async with scripted(answer, tls=served) as server, session(Surroundings(tls=trusted)) as wire:
            place = Location.parse(server.url.replace("http:", "https:"))
            for number in range(6):
                data, view = bytearray(), bytearray(1 << 20)
                async with await wire.open(place, {}, POLICY, "x") as came:
                    while size_bytes := await came.read_into(memoryview(view)):
                        data += view[:size_bytes]
                    assert data == body, number
            assert await whole(await wire.open(place, {}, POLICY, "x")) == body
            assert server.connections == 3

    each_loop(main())


# --- kept connections that were closed ------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_kept_connection_that_ends_before_it_answers_is_replaced_for_nothing(each_loop: Loop, then: str) -> None:
    rows = [Say(ok(b"one")), Say(b"", then), Say(ok(b"two"))]

    async def main() -> None:
        async with scripted(rows) as server, session() as wire:
            assert await fetched(wire, server) == b"one"
            assert await fetched(wire, server) == b"two"
            assert (len(server.asked), server.connections) == (3, 2)

    each_loop(main())


async def test_it_is_replaced_once() -> None:
    async with scripted([Say(ok(b"one")), Say(b"", "close")]) as server, session() as wire:
        assert await fetched(wire, server) == b"one"
        with pytest.raises(TransientError, match="broke"):
            await fetched(wire, server)
        assert (len(server.asked), server.connections) == (3, 2)


async def test_it_is_not_replaced_once_the_answer_began() -> None:
    async with scripted([Say(ok(b"one")), Say(b"H", "close"), Say(ok(b"two"))]) as server, session() as wire:
        assert await fetched(wire, server) == b"one"
        with pytest.raises(TransientError, match="broke"):
            await fetched(wire, server)
        assert len(server.asked) == 2


async def test_a_replaced_connection_is_counted_nowhere(make_fetcher: Any) -> None:
    rows = [Say(ok(b"one")), Say(b"", "reset"), Say(ok(b"two"))]
    async with scripted(rows) as server, make_fetcher() as fetcher:
        for wanted in (b"one", b"two"):
            recorder = Recorder()
            await fetcher.transfer(Location.parse(server.url), recorder)
            assert bytes(recorder.data) == wanted
        (statistics,) = fetcher.statistics().values()
        assert (statistics.requests, statistics.retries, len(server.asked)) == (2, 0, 3)


@pytest.fixture
def make_fetcher(opened: Any) -> Any:
    return opened


# --- errors' bodies -------------------------------------------------------------------------------------------------

XML = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>" * 20


def test_chunked_errors_cost_one_request_and_no_connection(each_loop: Loop) -> None:
    async def main() -> None:
        async with scripted([Say(chunked(XML, status="404 Not Found"))]) as server, session() as wire:
            for _ in range(3):
                answer = await opened(wire, server)
                assert (answer.status, await whole(answer)) == (404, XML)
            assert (len(server.asked), server.connections) == (3, 1)

    each_loop(main())


async def test_chunked_errors_reach_their_meaning(make_fetcher: Any) -> None:
    async with scripted([Say(chunked(XML, status="404 Not Found"))]) as server, make_fetcher() as fetcher:
        for _ in range(3):
            with pytest.raises(NotFoundError, match="NoSuchKey"):
                await fetcher.transfer(Location.parse(server.url), Recorder())
        assert (len(server.asked), server.connections) == (3, 1)


async def test_errors_that_end_with_their_connection() -> None:
    answer = b"HTTP/1.1 404 Not Found\r\n\r\n" + XML
    async with scripted([Say(answer, "close")]) as server, session() as wire:
        came = await opened(wire, server)
        assert (came.status, await whole(came)) == (404, XML)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "tail", [b"zz\r\n", b"5\r\nabcdefg", b"5;" + b"x" * 10, b"FFFFFFFFFFFFFFFFFF\r\n", b"5\nabcde\n0\n\n"]
)
async def test_chunks_that_are_none(tail: bytes) -> None:
    head = b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with scripted([Say(head + tail, "close")]) as server, session() as wire:
        with pytest.raises(TransientError):
            await fetched(wire, server)
        assert wire._pool.idle == 0


@pytest.mark.parametrize("row", [b"1\r\nx\r\n", b"1;" + b"y" * 2000 + b"\r\nx\r\n"])
async def test_an_error_without_an_end_is_not_read_for_ever(row: bytes) -> None:
    head = b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = head + (row * (2 * MAX_UNMEASURED_BYTES // len(row)))
    async with scripted([Say(endless, "hang")]) as server, session() as wire, await opened(wire, server) as answer:
        with pytest.raises(TransientError, match=r"without an end|more framing"):
            await drained(answer)
        assert answer.received <= MAX_UNMEASURED_BYTES + SPACE_BYTES


async def test_bytes_behind_a_chunked_error_poison_the_connection() -> None:
    rows = [Say(chunked(XML, status="404 Not Found") + ok(b"foreign")), Say(ok(b"own"))]
    async with scripted(rows) as server, session() as wire:
        assert await whole(await opened(wire, server)) == XML
        assert await fetched(wire, server) == b"own"
        assert server.connections == 2


# --- what is handed on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Say(chunked(b"content")),
        Say(b"HTTP/1.1 200 OK\r\n\r\ncontent", "close"),
        Say(b"HTTP/1.0 200 OK\r\n\r\ncontent", "close"),
        Say(ok(b"content", *(f"X-{n}: {'y' * 1000}" for n in range(40)))),
    ],
    ids=["chunks", "until the end", "HTTP/1.0", "long header"],
)
async def test_other_framings_go_the_general_way_from_then_on(answer: Say) -> None:
    async with scripted([answer]) as server, session() as wire:
        for requests in (2, 3):
            came = await opened(wire, server)
            assert isinstance(came, Answer)
            assert await whole(came) == b"content"
            assert len(server.asked) == requests
        assert "1 places unfit" in repr(wire)


# --- documents --------------------------------------------------------------------------------------------------------


async def test_documents_in_chunks_are_read_over_one_connection_however_long() -> None:
    long = BODY * 2
    assert len(long) > MAX_UNMEASURED_BYTES
    async with scripted([Say(chunked(long)), Say(ok(b"next"))]) as server, session(measured=False) as wire:
        assert await whole(await opened(wire, server)) == long
        assert await whole(await opened(wire, server)) == b"next"
        assert (len(server.asked), server.connections) == (2, 1)


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_document_without_a_length_ends_with_an_orderly_close_only(ending: str) -> None:
    async with (
        scripted([Say(b"HTTP/1.1 200 OK\r\n\r\n" + XML, ending)]) as server,
        session(measured=False) as wire,
    ):
        answer = await opened(wire, server)
        if ending == "close":
            assert await whole(answer) == XML
        else:
            with pytest.raises(TransientError):
                await whole(answer)


async def test_documents_leave_the_general_client_alone(make_fetcher: Any) -> None:
    async with scripted([Say(chunked(XML)), Say(ok(b"data"))]) as server, make_fetcher() as fetcher:
        assert (await fetcher.read(Location.parse(server.url))).data == XML
        assert repr(fetcher._general) == "<GeneralSession not needed so far>"
        recorder = Recorder()
        await fetcher.transfer(Location.parse(server.url), recorder)
        assert (bytes(recorder.data), server.connections) == (b"data", 1)


async def test_http_1_0_with_a_length_is_read_and_not_kept() -> None:
    async with (
        scripted([Say(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "close")]) as server,
        session() as wire,
    ):
        for _ in range(2):
            came = await opened(wire, server)
            assert (type(came), await whole(came)) == (WireAnswer, b"abc")
        assert server.connections == 2


async def test_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3
    async with scripted([Say(early + ok(b"abc"))]) as server, session() as wire:
        assert await fetched(wire, server) == b"abc"


async def test_another_protocol_is_asked_of_the_general_client() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    async with scripted([Say(switching, "hang"), Say(ok(b"abc"))]) as server, session() as wire:
        assert await fetched(wire, server) == b"abc"
        assert len(server.asked) == 2


async def test_malformed_answers_are_errors() -> None:
    async with scripted([Say(b"nonsense\r\n\r\n", "hang")]) as server, session() as wire:
        for requests in (1, 2, 3):
            with pytest.raises(TransientError, match="the object: an answer that is no HTTP"):
                await opened(wire, server)
            assert len(server.asked) == requests


async def test_a_dialect_is_left_to_the_general_client() -> None:
    """Bare line feeds are no HTTP; some servers send them, and the general client reads them."""
    dialect = b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"
    rows = [Say(dialect), Say(dialect), Say(ok(b"own")), Say(dialect)]
    async with scripted(rows) as server, session() as wire:
        with pytest.raises(TransientError, match="no HTTP"):
            await opened(wire, server)
        assert await fetched(wire, server) == b"abc"
        answer = await opened(wire, server)
        assert (type(answer), await whole(answer)) == (WireAnswer, b"own")
        for _ in range(2):
            with pytest.raises(TransientError, match="no HTTP"):
                await opened(wire, server)
            for _ in range(2 if "1 places unfit" in repr(wire) else 1):
                assert await fetched(wire, server) == b"abc"
        assert "1 places unfit" in repr(wire)


async def test_a_proxy_is_the_general_clients() -> None:
    async with scripted([Say(ok(b"abc"))]) as server:
        around = Surroundings(proxies={"http": f"http://127.0.0.1:{server.port}"})
        async with session(around) as wire:
            came = await wire.open(Location.parse("http://data.example/x"), {}, POLICY, "x")
            assert (type(came), await whole(came)) == (Answer, b"abc")
        assert server.asked[0].startswith(b"GET http://data.example/x HTTP/1.1")


# --- requests -------------------------------------------------------------------------------------------------------


async def test_both_sessions_send_the_same() -> None:
    async with scripted([Say(ok(b"abc"))]) as server, session() as wire:
        place = Location.parse(server.url.replace("/x", "/a%20b/../c//d%2Fe?q=%2F&r=a+b"))
        for way in (wire, wire._general):
            await whole(await way.open(place, {"Range": "bytes=0-9", "If-Match": '"é"'}, POLICY, "x"))
        first, second = (sorted(request.strip().split(b"\r\n")) for request in server.asked)
        assert first == [row for row in second if not row.startswith(b"Accept-Encoding")]
        assert b"GET /a%20b/../c//d%2Fe?q=%2F&r=a+b HTTP/1.1" in first
        assert b'If-Match: "\xc3\xa9"' in first


@pytest.mark.parametrize(
    ("authority", "path", "query", "fields"),
    [
        ("h", "/x\r\nX: y", "", {}),
        ("h", "/x y", "", {}),
        ("h", "/x", "q=\n", {}),
        ("h", "/x#y", "", {}),
        ("h", "x", "", {}),
        ("h", "/é", "", {}),
        ("h\r\nX: y", "/", "", {}),
        ("u:p@h", "/", "", {}),
        ("h", "/", "", {"If-Match": '"a"\r\nX: y'}),
        ("h", "/", "", {"If-Match": '"a"\n'}),
        ("h", "/", "", {"If-Match": ' "a"'}),
        ("h", "/", "", {"X\r\nY": "z"}),
        ("h", "/", "", {"X ": "z"}),
        ("h", "/", "", {"": "z"}),
        ("h", "/", "", {"X": "\x00"}),
        ("h", "/", "", {"X": "\ud800"}),
    ],
)
def test_nothing_begins_a_line_of_its_own(authority: str, path: str, query: str, fields: dict[str, str]) -> None:
    with pytest.raises(UnfitRequestError):
        get_request(Location("http", authority, path, query), fields)


def test_requests() -> None:
    place = Location("http", "[::1]:8080", "/a;b=c/%20", "x=1&y={z}|")
    fields = {"Accept": "*/*", "X-Empty": "", "If-Match": '"a b\tc é\udce9"'}
    assert get_request(place, fields) == (
        b"GET /a;b=c/%20?x=1&y={z}| HTTP/1.1\r\nHost: [::1]:8080\r\nAccept: */*\r\nX-Empty: \r\n"
        b'If-Match: "a b\tc \xc3\xa9\xe9"\r\n\r\n'
    )


async def test_a_url_that_cannot_be_written_is_refused() -> None:
    async with scripted([Say(ok(b"abc"))]) as server, session() as wire:
        with pytest.raises(RefusedError, match="the object: this URL cannot be asked for"):
            await opened(wire, server, path="/x y")
        with pytest.raises(RefusedError, match="If-Match"):
            await opened(wire, server, **{"If-Match": "a\r\nb"})
        assert server.asked == []
