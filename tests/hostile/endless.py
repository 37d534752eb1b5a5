"""Servers whose answers do not end."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from itertools import chain, repeat

PIECE_BYTES = 64 << 10
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = HEAD + b"Content-Encoding: gzip\r\n"


@cache
def _bomb() -> bytes:
    """64 MiB in 64 KiB."""
    return gzip.compress(bytes(64 << 20), compresslevel=1, mtime=0)


def _times(piece: bytes) -> Iterator[bytes]:
    return repeat(piece * (PIECE_BYTES // len(piece)))


def answers() -> dict[str, Iterator[bytes]]:
    """Endless answers by what they are, each to be sent once."""
    name = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"  # RFC 1952, section 2.3: a file name follows, up to a zero byte
    return {
        "body until close": chain([HEAD + b"\r\n"], _times(b"x")),
        "body of 2^63 bytes": chain([HEAD + b"Content-Length: 9223372036854775807\r\n\r\n"], _times(b"x")),
        "chunks": chain([CHUNKED], _times(b"400\r\n" + b"x" * 1024 + b"\r\n")),
        "chunks of one byte": chain([CHUNKED], _times(b"1\r\nx\r\n")),
        "chunk extensions": chain([CHUNKED, b"1;"], _times(b"x")),
        "trailers": chain([CHUNKED, b"1\r\nx\r\n0\r\n"], _times(b"X-A: b\r\n")),
        "gzip of zeros": chain([GZIP + b"\r\n"], repeat(_bomb())),
        "gzip of nothing": chain([GZIP + b"\r\n"], _times(gzip.compress(b"", mtime=0))),
        "gzip with a name": chain([GZIP + b"\r\n" + name], _times(b"x")),
        "chunks of gzip of nothing": chain(
            [CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")],
            _times(b"14\r\n" + gzip.compress(b"", mtime=0) + b"\r\n"),
        ),
        "header fields": chain([HEAD], _times(b"X-A: b\r\n")),
        "header field": chain([HEAD + b"X-A: "], _times(b"x")),
        "status line": chain([b"HTTP/1.1 200 "], _times(b"x")),
        "interim answers": _times(b"HTTP/1.1 102 Processing\r\n\r\n"),
        "error page": chain([b"HTTP/1.1 404 Not Found\r\n\r\n"], _times(b"x")),
        "redirect": chain([b"HTTP/1.1 302 Found\r\nLocation: /y\r\n\r\n"], _times(b"x")),
    }


class Sent:
    """How much was taken off a server's hands."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.url = ""


@asynccontextmanager
async def endless(kind: str) -> AsyncIterator[Sent]:
    """A server that answers everything with one kind of :func:`answers`, as long as anybody takes it."""
    sent, tasks = Sent(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                for piece in answers()[kind]:
                    writer.write(piece)
                    await writer.drain()
                    sent.size_bytes += len(piece)
        finally:
            writer.transport.abort()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sent.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    try:
        yield sent
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
