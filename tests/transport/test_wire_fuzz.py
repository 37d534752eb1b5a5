"""Whatever bytes come, in whatever pieces: no hang, no byte too many, no foreign error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.transport.scripted import chunked, ok

from emasync.errors import RefusedError, TransientError
from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.transport.chunked import ChunkedBody, MalformedChunksError
from emasync.transport.dialogue import OpenAnswer
from emasync.transport.pool import WirePool
from emasync.transport.request_head import UnfitRequestError, get_request
from emasync.transport.response_head import MAX_HEAD_BYTES, Framing, MalformedHeadError, ResponseHead, parse_head
from emasync.transport.surroundings import Surroundings
from emasync.transport.wire import Phase, WireConnection
from emasync.transport.wire_session import WireSession

EXAMPLES = 200
SOAK_EXAMPLES = 200_000

# --- bytes like those that servers send -----------------------------------------------------------------------------

STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 206 Partial Content",
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 503",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 103 Early Hints",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/2 200",
        b"HTTP/1.1 99 Low",
        b"HTTP/1.1 1000 High",
        b"HTTP/1.1  200 OK",
        b"ICY 200 OK",
        b"RTSP/1.0 200 OK",
    ]
)
FIELDS = st.sampled_from(
    [
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length: 0x5",
        b"Content-Length:  7 ",
        b"Content-Length: 300",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding : chunked",
        b"Connection: close",
        b"Connection: keep-alive, upgrade",
        b"Upgrade: h2c",
        b'ETag: "e"',
        b"X: \xff\xfe",
        b"X: a\r\n b",
        b"X",
        b": x",
        b"X: \x00",
        b"Content-Range: bytes 0-4/5",
        b"X-Long: " + b"y" * 3000,
    ]
)
ENDS = st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b"\r\n\r\n\r\n", b"\r\r\n\n"])
BODIES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"5\r\nabcde\r\n0\r\n\r\n", b"5\r\nabcde\r\n0\r\nT: x\r\n\r\nmore", b"5\nabcde", b"ff;" + b"e" * 500]
    ),
    st.sampled_from([b"x" * 299, b"y" * 300, b"z" * 301, ok(b"other")]),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Some messages, one behind the other, perhaps damaged."""
    data = b""
    for _ in range(draw(st.integers(1, 2))):
        lines = [draw(STATUS_LINES), *draw(st.lists(FIELDS, max_size=4))]
        data += b"\r\n".join(lines) + draw(ENDS) + draw(BODIES)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 3)) :]
    return data


BYTES = st.one_of(messages(), messages(), st.binary(max_size=200))
SEEDS = st.integers(0, 2**32)


def pieces(data: bytes, seed: int) -> Iterator[bytes]:
    """`data` cut anywhere."""
    rng = random.Random(seed)
    most = rng.choice([0, 1, 5, 50])
    cuts = sorted({0, len(data), *(rng.randrange(len(data) + 1) for _ in range(rng.randint(0, most)))})
    for start, stop in pairwise(cuts):
        yield data[start:stop]


# --- the parsers ----------------------------------------------------------------------------------------------------


def parsed(data: bytes) -> ResponseHead | str | None:
    try:
        return parse_head(data)
    except MalformedHeadError as error:
        return f"malformed: {error}"


def check_head(data: bytes, at: int) -> None:
    """What the beginning says, the whole says too."""
    whole, beginning = parsed(data), parsed(data[:at])
    if isinstance(whole, ResponseHead):
        assert whole.end <= len(data)
        assert 200 <= whole.status <= 999
        assert whole.length == 0 or whole.framing is Framing.LENGTH
        if at < whole.end:
            assert beginning is None
    if isinstance(beginning, ResponseHead):
        assert beginning == whole


def check_chunks(data: bytes, seed: int) -> None:
    """The same in one piece and in many."""

    def decoded(parts: Iterator[bytes]) -> tuple[bytes, bool, bool, bool]:
        body, found = ChunkedBody(), b""
        try:
            for part in parts:
                found += body.feed(part)
        except MalformedChunksError:
            return found, body.complete, body.surplus, True
        return found, body.complete, body.surplus, False

    at_once, in_pieces = decoded(iter([data])), decoded(pieces(data, seed))
    assert in_pieces[1:] == at_once[1:]
    assert in_pieces[0].startswith(at_once[0])
    assert len(in_pieces[0]) <= len(data)


def check_request(path: str, query: str, name: str, value: str) -> None:
    """A request has the lines it should have, and each ends where it should."""
    try:
        request = get_request(Location("http", "h.example", path, query), {name: value, "Accept": "*/*"})
    except UnfitRequestError:
        return
    lines = request.split(b"\r\n")
    assert len(lines) == 6
    assert (lines[1], lines[3:]) == (b"Host: h.example", [b"Accept: */*", b"", b""])
    assert not set(request.replace(b"\r\n", b"")) & set(b"\r\n\x00")
    assert lines[0].count(b" ") == 2


@given(BYTES, st.integers(0, 400))
@settings(max_examples=EXAMPLES, deadline=None)
@example(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + b"x" * MAX_HEAD_BYTES, 20)
@example(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 20)
@example(b"HTTP/1.1 100 Continue\r\n\r\n" * 17, 20)
def test_headers(data: bytes, at: int) -> None:
    check_head(data, at)


@given(st.one_of(BODIES, BYTES), SEEDS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_chunks(data: bytes, seed: int) -> None:
    check_chunks(data, seed)


@given(st.text(max_size=20).map("/".__add__), st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
@settings(max_examples=EXAMPLES, deadline=None)
def test_requests(path: str, query: str, name: str, value: str) -> None:
    check_request(path, query, name, value)


# --- the whole path -------------------------------------------------------------------------------------------------


class Wire:
    """A transport without a socket: hands bytes to its connection as a loop would."""

    def __init__(self, connection: WireConnection, rng: random.Random) -> None:
        self.connection = connection
        self.closed = False
        self._paused = False
        self._rng = rng
        connection.connection_made(cast("Any", self))

    def write(self, data: bytes) -> None:
        assert data.endswith(b"\r\n\r\n")

    def pause_reading(self) -> None:
        assert not self._paused
        self._paused = True

    def resume_reading(self) -> None:
        assert self._paused
        self._paused = False

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> None:
        """No TLS: nobody has to announce the end of the connection."""
        assert name == "ssl_object"

    def abort(self) -> None:
        self.closed = True

    async def send(self, data: bytes) -> None:
        """All of `data`, with pauses; waits while reading is paused, and stops when nobody reads any more."""
        turns = 0
        while data and not self.closed:
            if self._paused:
                turns += 1
                if turns > 50:
                    return  # nobody wants more
                await asyncio.sleep(0)
                continue
            turns = 0
            buffer = self.connection.get_buffer(-1)
            size_bytes = min(len(buffer), len(data))
            assert size_bytes > 0
            buffer[:size_bytes] = data[:size_bytes]
            self.connection.buffer_updated(size_bytes)
            data = data[size_bytes:]
            if self._rng.random() < 0.3:
                await asyncio.sleep(0)

    def end(self) -> None:
        """The other side closes."""
        self.closed = True
        self.connection.connection_lost(None)


@dataclass
class OneConnection:
    """A pool of one connection."""

    connection: WireConnection
    given: int = 0
    kept: bool = False

    async def take(self, *_: Any, **__: Any) -> WireConnection:
        return self.connection

    def give(self, connection: WireConnection) -> None:
        self.given += 1
        self.kept = connection.phase is Phase.IDLE and not connection.blind
        if not self.kept:
            connection.abort()


class ElsewhereError(Exception):
    """The general client was asked."""


class Elsewhere:
    """The general client."""

    async def open(self, *_: Any) -> OpenAnswer:
        raise ElsewhereError

    def forget_addresses(self, location: Location) -> None:
        raise NotImplementedError


@dataclass
class Came:
    """What a reader saw."""

    body: bytearray = field(default_factory=bytearray)
    status: int = 0
    complete: bool = False
    end: str = ""


async def read(session: WireSession, rng: random.Random, came: Came) -> None:
    """One exchange, read in any way."""
    place = Location.parse("http://h.example/x")
    try:
        async with await session.open(place, {}, HostPolicy(), "the object") as answer:
            came.status = answer.status
            in_views = answer.status < 300 and rng.random() < 0.7
            while size_bytes := await (into_view(answer, rng, came) if in_views else piece(answer, came)):
                if rng.random() < 0.05:
                    came.end = "left"
                    return
                assert size_bytes > 0
            came.complete = True
    except ElsewhereError:
        came.end = "elsewhere"
    except (TransientError, RefusedError) as error:
        came.end = error.message


async def piece(answer: OpenAnswer, came: Came) -> int:
    data = await answer.read()
    came.body += data
    return len(data)


async def into_view(answer: OpenAnswer, rng: random.Random, came: Came) -> int:
    """Into the middle of something larger, which must stay as it is."""
    size_bytes = rng.choice([1, 3, 100, 1000])
    memory = bytearray(b"\xa5" * (size_bytes + 20))
    try:
        return await answer.read_into(memoryview(memory)[10 : 10 + size_bytes])
    finally:
        assert memory[:10] == memory[-10:] == b"\xa5" * 10
        assert answer.taken <= size_bytes
        came.body += memory[10 : 10 + answer.taken]


async def check_exchange(data: bytes, seed: int) -> None:
    rng = random.Random(seed)
    connection = WireConnection()
    wire, pool = Wire(connection, rng), OneConnection(connection)
    session = WireSession(cast("WirePool", pool), Elsewhere(), Surroundings())
    came = Came()
    reading = asyncio.ensure_future(read(session, rng, came))
    await asyncio.sleep(0)
    for part in pieces(data, seed):
        await wire.send(part)
    for _ in range(rng.choice([0, 10])):
        await asyncio.sleep(0)
    wire.end()
    async with asyncio.timeout(5):
        await reading
    head = parsed(data)
    assert pool.given == 1
    assert connection.received <= len(data)
    assert connection.phase is Phase.CLOSED
    if isinstance(head, ResponseHead) and head.framing is Framing.LENGTH:
        wanted = data[head.end : head.end + head.length]
        assert wanted.startswith(came.body)
        if came.complete:
            assert (came.status, bytes(came.body), len(wanted)) == (head.status, wanted, head.length)
    elif isinstance(head, ResponseHead) and head.status < 300:
        assert came.end == "elsewhere"
    elif not isinstance(head, ResponseHead):
        assert came.end == "elsewhere" or "the object" in came.end


@given(BYTES, SEEDS)
@settings(max_examples=EXAMPLES, deadline=None)
@example(ok(b"x" * 300), 1)
@example(ok(b"x" * 300, length=301), 2)
@example(ok(b"x" * 300, length=299), 3)
@example(ok(b""), 4)
@example(chunked(b"x" * 300, status="404 Not Found"), 5)
@example(chunked(b"x" * 300), 6)
@example(b"HTTP/1.1 404 Not Found\r\n\r\n" + b"x" * 300, 7)
@example(ok(b"x", "X: " + "y" * 100_000), 8)
def test_exchanges(data: bytes, seed: int) -> None:
    asyncio.run(check_exchange(data, seed))


# --- on demand ------------------------------------------------------------------------------------------------------

SOAK = settings(max_examples=SOAK_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.soak
@pytest.mark.timeout(7200)
@given(BYTES, SEEDS)
@SOAK
def test_for_hours(data: bytes, seed: int) -> None:
    check_head(data, seed % (len(data) + 1))
    check_chunks(data, seed)
    asyncio.run(check_exchange(data, seed))
