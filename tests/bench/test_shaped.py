from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bench.content import Dataset
from bench.shaped import SHAPES, Asked, Shape, ShapedServer, listing_page, parse, serve, shaped, span_of

QUICK = Shape(first_byte_s=0.0, bytes_per_s=1e9)


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """The server under test is a process of its own in use, and opens files on its loop."""


@pytest.mark.parametrize(
    ("head", "asked"),
    [
        (b"GET /bench/a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", Asked("GET", "/bench/a", "b=c")),
        (b"HEAD /a HTTP/1.1\r\nrange: bytes=5-9\r\n\r\n", Asked("HEAD", "/a", "", 5, 9)),
        (b"GET /a HTTP/1.1\r\nRange: bytes=5-\r\nHost: x\r\n\r\n", Asked("GET", "/a", "", 5, None)),
    ],
)
def test_requests_are_read(head: bytes, asked: Asked) -> None:
    assert parse(head) == asked


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("list-type=2&max-keys=1000&prefix=ebi%2F", "ebi.first"),
        ("delimiter=%2F&prefix=ebi/&list-type=2", "ebi.first"),
        ("continuation-token=ebi.a000999.bin&list-type=2&prefix=ebi%2F", "ebi.a000999.bin"),
        ("list-type=2&prefix=ebi%2F&start-after=ebi%2Fa000999.bin", "ebi.a000999.bin"),
        ("list-type=2&prefix=", None),
        ("prefix=..%2F", None),
        ("", None),
    ],
)
def test_listings_are_told_from_objects(query: str, page: str | None) -> None:
    assert listing_page(query) == page


def test_spans_are_cut_at_the_end() -> None:
    assert span_of(Asked("GET", "", ""), 10) == (0, 10)
    assert span_of(Asked("GET", "", "", 4, 100), 10) == (4, 6)
    assert span_of(Asked("GET", "", "", 4, 5), 10) == (4, 2)
    assert span_of(Asked("GET", "", "", 10), 10)[1] == 0


class Line:
    """One connection to a shaped server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def get(self, target: str, fields: str = "", method: str = "GET") -> tuple[int, bytes, bytes]:
        """Status, head, body."""
        self.ask(target, fields, method)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        body = b"" if method == "HEAD" else await self._reader.readexactly(length)
        return int(head.split()[1]), head, body

    def ask(self, target: str, fields: str = "", method: str = "GET") -> None:
        self._writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())

    async def abort(self) -> None:
        """Leave with the answer unread: the server's next step meets a reset."""
        await self._reader.readuntil(b"\r\n\r\n")
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


Connect = Callable[[], Awaitable[Line]]


async def with_server(dataset: Dataset, shape: Shape, visit: Callable[[Connect], Awaitable[None]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lines: list[Line] = []

        async def connect() -> Line:
            lines.append(Line(*await asyncio.open_connection(*listener.getsockname())))
            return lines[-1]

        server = ShapedServer(shape, dataset.folder.parent, dataset.folder.parent.parent / "pages")
        serving = asyncio.create_task(serve(listener, server.talk))
        try:
            await visit(connect)
        finally:
            for line in lines:
                await line.close()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_objects_ranges_and_pages_come_byte_for_byte(dataset: Dataset) -> None:
    name = dataset.names[-1]
    whole = (dataset.folder / name).read_bytes()

    async def visit(connect: Connect) -> None:
        line = await connect()
        assert (await line.get(f"/tiny/{name}"))[::2] == (200, whole)
        status, head, body = await line.get(f"/tiny/{name}", "Range: bytes=10-19\r\n")
        assert (status, body) == (206, whole[10:20])
        assert b"Content-Range: bytes 10-19/100000\r\n" in head
        assert (await line.get(f"/tiny/{name}", "Range: bytes=100000-\r\n"))[0] == 416
        assert (await line.get(f"/tiny/{name}", method="HEAD"))[0] == 200
        assert (await line.get("/tiny/none"))[0] == 404
        assert (await line.get("/../pages/tiny.first.xml"))[0] == 404
        status, _, page = await line.get("/bench?list-type=2&prefix=tiny%2F")
        assert (status, page.count(b"<Contents>")) == (200, 1000)

    await with_server(dataset, QUICK, visit)


async def test_connections_beyond_the_limit_are_refused_until_one_ends(dataset: Dataset) -> None:
    target = f"/tiny/{dataset.names[0]}"

    async def visit(connect: Connect) -> None:
        first, second = await connect(), await connect()
        assert (await first.get(target))[0] == (await second.get(target))[0] == 200
        assert (await (await connect()).get(target))[0] == 503
        await first.close()
        while (await (await connect()).get(target))[0] == 503:  # the server sees the end of a connection a turn later
            pass

    await with_server(dataset, replace(QUICK, max_connections=2), visit)


async def test_a_hanging_body_stops_and_listings_never_hang(dataset: Dataset) -> None:
    async def visit(connect: Connect) -> None:
        line = await connect()
        assert (await line.get("/bench?prefix=tiny%2F"))[0] == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.get(f"/tiny/{dataset.names[-1]}"), 0.3)

    await with_server(dataset, replace(QUICK, hang_fraction=1.0), visit)


async def test_a_client_that_leaves_in_the_middle_harms_nobody_else(dataset: Dataset) -> None:
    async def visit(connect: Connect) -> None:
        rude, polite = await connect(), await connect()
        await rude.get(f"/tiny/{dataset.names[-1]}", method="HEAD")
        rude.ask(f"/tiny/{dataset.names[-1]}")
        await rude.abort()
        for _ in range(3):
            assert (await polite.get(f"/tiny/{dataset.names[-1]}"))[0] == 200

    await with_server(dataset, Shape(first_byte_s=0.02, bytes_per_s=5e6), visit)


async def test_a_body_takes_the_time_of_its_size_after_the_wait(dataset: Dataset) -> None:
    loop = asyncio.get_running_loop()  # a lower bound: no machine is too slow for it

    async def visit(connect: Connect) -> None:
        line = await connect()
        started_s = loop.time()
        await line.get(f"/tiny/{dataset.names[-1]}")
        assert loop.time() - started_s >= 0.05 + 100_000 / 1e6 - 0.01

    await with_server(dataset, Shape(first_byte_s=0.05, bytes_per_s=1e6), visit)


def test_the_process_serves_and_ends(dataset: Dataset, tmp_path: Path) -> None:
    with shaped("objectstore", tmp_path / "files", tmp_path / "pages") as url:
        host = url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", f"/tiny/{dataset.names[0]}")
        assert connection.getresponse().read() == (dataset.folder / dataset.names[0]).read_bytes()
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host.partition(":")[0], int(host.partition(":")[2])), timeout=5)
    assert SHAPES["ebi"].max_connections == 8
