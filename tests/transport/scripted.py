"""Servers that send given bytes, and close, reset or wait in given places."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple


class Say(NamedTuple):
    """What a connection does with one request.

    Attributes
    ----------
    data : bytes
    then : str
        ``keep`` the connection, ``close`` or ``reset`` it, or ``hang`` without another word.
    """

    data: bytes
    then: str = "keep"


@dataclass
class Script:
    """What a server was asked, and over how many connections."""

    port: int = 0
    host: str = "127.0.0.1"
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/x"


@asynccontextmanager
async def scripted(
    answer: Callable[[int, bytes], Say] | Sequence[Say], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Script]:
    """A server on this loop that answers request number n as told; the last of a row is said again and again."""
    script = Script(host=host)
    tasks: set[asyncio.Task[None]] = set()

    def say(request: bytes) -> Say:
        number = len(script.asked) - 1
        return answer(number, request) if callable(answer) else answer[min(number, len(answer) - 1)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script.connections += 1
        script.open += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await talk(reader, writer)
        finally:
            script.open -= 1
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            script.asked.append(await reader.readuntil(b"\r\n\r\n"))
            said = say(script.asked[-1])
            writer.write(said.data)
            await writer.drain()
            if said.then == "hang":
                await reader.read()
            if said.then == "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            if said.then != "keep":
                return

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Give way until something happened."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def ok(body: bytes, *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A usual answer."""
    size_bytes = len(body) if length is None else length
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {size_bytes}", *fields, "", ""]).encode() + body


def chunked(body: bytes, *fields: str, status: str = "200 OK", piece_bytes: int = 100) -> bytes:
    """An answer in chunks."""
    head = "\r\n".join([f"HTTP/1.1 {status}", "Transfer-Encoding: chunked", *fields, "", ""]).encode()
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
