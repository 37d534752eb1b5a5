"""A server with the manners of far ones: late first bytes, a speed limit a connection, few connections, hangs.

A process of its own (``python bench/shaped.py SHAPE FILES PAGES`` prints its port): bodies go out by ``sendfile`` in
steps of some milliseconds, so that one core serves 64 connections. Plain HTTP only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO

import numpy as np

STEP_S = 0.01
SMALLEST_STEP_BYTES = 16 << 10
HEAD_BYTES = 64 << 10

GONE = (ConnectionError, asyncio.SendfileNotAvailableError)
"""How a client that has left shows; the second stands for any error of a step's first system call."""

_RANGE = re.compile(rb"\r\nrange:\s*bytes=(\d+)-(\d*)\s*\r\n", re.IGNORECASE)
_TOKEN = re.compile(r"(?:^|&)continuation-token=([A-Za-z0-9.]+)(?:&|$)")
_AFTER = re.compile(r"(?:^|&)start-after=([A-Za-z0-9]+)(?:%2[Ff]|/)([A-Za-z0-9.]+)(?:&|$)")
_PREFIX = re.compile(r"(?:^|&)prefix=([A-Za-z0-9]+)(?:%2[Ff]|/)(?:&|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Manners of a server.

    Attributes
    ----------
    first_byte_s : float
        From a request to its answer.
    bytes_per_s : float
        Of one connection.
    max_connections : int or None
        Further ones get 503 and are closed.
    hang_fraction : float
        Of the requests for objects: their body stops somewhere, for ever.
    """

    first_byte_s: float
    bytes_per_s: float
    max_connections: int | None = None
    hang_fraction: float = 0.0


SHAPES = {
    "objectstore": Shape(first_byte_s=0.040, bytes_per_s=85e6),
    "ebi": Shape(first_byte_s=0.080, bytes_per_s=1.5e6, max_connections=8, hang_fraction=0.03),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for (RFC 9112, section 3; RFC 9110, section 14.2: one range with a first byte)."""

    method: str
    path: str
    query: str
    first: int | None = None
    last: int | None = None


def parse(head: bytes) -> Asked:
    """Read a request's head.

    Raises
    ------
    ValueError
        This is no HTTP/1 request.
    """
    method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    path, _, query = target.partition("?")
    if (span := _RANGE.search(head)) is None:
        return Asked(method, path, query)
    return Asked(method, path, query, int(span[1]), int(span[2]) if span[2] else None)


def listing_page(query: str) -> str | None:
    """Name of the page that a listing's query asks for, without suffix."""
    if token := _TOKEN.search(query):
        return token[1]
    if after := _AFTER.search(query):
        return f"{after[1]}.{after[2]}"
    prefix = _PREFIX.search(query)
    return f"{prefix[1]}.first" if prefix else None


def span_of(asked: Asked, size_bytes: int) -> tuple[int, int]:
    """First byte and length of what an answer carries; length 0: the range cannot be satisfied."""
    if asked.first is None:
        return 0, size_bytes
    last = size_bytes - 1 if asked.last is None else min(asked.last, size_bytes - 1)
    return asked.first, max(0, last + 1 - asked.first)


@dataclass(slots=True)
class ShapedServer:
    """Answers GET and HEAD for files and listings.

    Attributes
    ----------
    shape : Shape
    files, pages : Path
        See :mod:`bench.content`; `files` is the root of all paths.
    """

    shape: Shape
    files: Path
    pages: Path
    _open: int = 0
    _draws: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    async def talk(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        """Answer all requests of a connection."""
        self._open += 1
        admitted = self.shape.max_connections is None or self._open <= self.shape.max_connections
        buffer = bytearray()
        try:
            with connection, contextlib.suppress(*GONE):
                while head := await read_head(loop, connection, buffer):
                    if not admitted:
                        await refuse(loop, connection, "503 Service Unavailable", close=True)
                        return
                    await asyncio.sleep(self.shape.first_byte_s)
                    await self.answer(loop, connection, parse(head))
        finally:
            self._open -= 1

    async def answer(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, asked: Asked) -> None:
        """Answer one request, in the server's manner."""
        page = listing_page(asked.query)
        path = self.pages / f"{page}.xml" if page else self.files / asked.path.lstrip("/")
        if ".." in asked.path or not path.is_file():
            await refuse(loop, connection, "404 Not Found")
            return
        with path.open("rb", buffering=0) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            start, length = span_of(asked, size_bytes)
            await loop.sock_sendall(connection, answer_head(asked, file, start, length))
            if asked.method == "GET" and length:
                hangs = page is None and self._draws.random() < self.shape.hang_fraction
                given = int(length * self._draws.random()) if hangs else length
                await self._send(loop, connection, file, start, given)
                while hangs and await loop.sock_recv(connection, HEAD_BYTES):
                    pass

    async def _send(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, file: BinaryIO, start: int, length: int
    ) -> None:
        """Send part of a file; each step goes out when its last byte is due."""
        rate = self.shape.bytes_per_s
        step = max(SMALLEST_STEP_BYTES, int(rate * STEP_S))
        due_s = loop.time()
        for offset in range(start, start + length, step):
            count = min(step, start + length - offset)
            due_s = max(due_s, loop.time() - STEP_S) + count / rate  # what a slow reader left unused is lost
            await asyncio.sleep(due_s - loop.time())
            await loop.sock_sendfile(connection, file, offset, count, fallback=False)


def answer_head(asked: Asked, file: BinaryIO, start: int, length: int) -> bytes:
    """Status line and fields of an answer, as nginx would write them."""
    facts = os.fstat(file.fileno())
    fields = [
        f"Content-Length: {length}",
        "Accept-Ranges: bytes",
        f"Last-Modified: {formatdate(facts.st_mtime, usegmt=True)}",
    ]
    fields.append(f'ETag: "{int(facts.st_mtime):x}-{facts.st_size:x}"')
    status = "200 OK"
    if asked.first is not None:
        status = "206 Partial Content" if length else "416 Range Not Satisfiable"
        span = f"{start}-{start + length - 1}" if length else "*"
        fields.append(f"Content-Range: bytes {span}/{facts.st_size}")
    return "\r\n".join((f"HTTP/1.1 {status}", f"Date: {formatdate(usegmt=True)}", *fields, "", "")).encode()


Talk = Callable[[asyncio.AbstractEventLoop, socket.socket], Coroutine[None, None, None]]


async def serve(listener: socket.socket, talk: Talk) -> None:
    """Accept connections until cancelled, and `talk` on all of them."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    async with asyncio.TaskGroup() as tasks:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tasks.create_task(talk(loop, connection))


async def read_head(loop: asyncio.AbstractEventLoop, connection: socket.socket, buffer: bytearray) -> bytes | None:
    """Next request's head with its empty line; None when the client is done (or sends nonsense)."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        data = await loop.sock_recv(connection, HEAD_BYTES)
        if not data or len(buffer) > HEAD_BYTES:
            return None
        buffer += data
    head = bytes(buffer[: end + 4])
    del buffer[: end + 4]
    return head


async def refuse(
    loop: asyncio.AbstractEventLoop, connection: socket.socket, status: str, *fields: str, close: bool = False
) -> None:
    """Send an answer without body."""
    lines = [f"HTTP/1.1 {status}", "Content-Length: 0", *fields, *(["Connection: close"] if close else [])]
    await loop.sock_sendall(connection, "\r\n".join((*lines, "", "")).encode())


@contextlib.contextmanager
def shaped(shape: str, files: Path, pages: Path, script: Path = Path(__file__)) -> Iterator[str]:
    """Run a shaped server in a process of its own; gives its URL.

    Parameters
    ----------
    shape : str
        Key of :data:`SHAPES`, or what `script` calls its own.
    files, pages : Path
    script : Path
        Another server with the same command line.
    """
    command = [sys.executable, str(script.resolve()), shape, str(files), str(pages)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def main() -> None:
    """Serve; the command line is shape, files, pages."""
    shape, files, pages = sys.argv[1:]
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        asyncio.run(serve(listener, ShapedServer(SHAPES[shape], Path(files), Path(pages)).talk))


if __name__ == "__main__":
    main()
