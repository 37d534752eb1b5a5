"""A shaped server that refuses: more requests a second than it likes, or all of them for a while; it keeps count.

A process of its own, as :mod:`bench.shaped`; ``GET /log`` gives what happened in each second (JSON).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, this folder is no package

from bench.shaped import (
    GONE,
    Asked,
    Shape,
    ShapedServer,
    listing_page,
    parse,
    read_head,
    refuse,
    serve,
    shaped,
    span_of,
)

LOG_PATH = "/log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """When requests for objects are refused with 503; times count from the first of them.

    Attributes
    ----------
    requests_per_s : float
        More are refused, but for a burst of half a second's worth; without Retry-After, as S3 says SlowDown.
    storm_from_s, storm_s : float
        All are refused for so long.
    retry_after_s : int
        What is said in the storm.
    hang_fraction : float
        Of the answers stop somewhere, for ever.
    bytes_per_s : float
        Of one connection.
    """

    requests_per_s: float = float("inf")
    storm_from_s: float = float("inf")
    storm_s: float = 0.0
    retry_after_s: int = 2
    hang_fraction: float = 0.0
    bytes_per_s: float = 85e6


GATES = {
    "calm": Gate(),
    "stalls": Gate(hang_fraction=0.02),
    "storm": Gate(storm_from_s=10.0, storm_s=3.0),
    "capped": Gate(requests_per_s=200.0),
    "line": Gate(bytes_per_s=15e6),
}
"""By name. First bytes take 40 ms."""


@dataclass(slots=True)
class Second:
    """What happened in one second: requests that were served and refused, bytes that were sent."""

    served: int = 0
    refused: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class GatedServer:
    """Answers as a shaped server does, or refuses.

    Attributes
    ----------
    gate : Gate
    inner : ShapedServer
    """

    gate: Gate
    inner: ShapedServer
    seconds: dict[int, Second] = field(default_factory=dict)
    last_refusal_s: float = 0.0
    _began_s: float | None = None
    _tokens: float = 0.0
    _filled_s: float = 0.0

    async def talk(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        """Answer all requests of a connection."""
        buffer = bytearray()
        with connection, contextlib.suppress(*GONE):
            while head := await read_head(loop, connection, buffer):
                asked = parse(head)
                if asked.path == LOG_PATH:
                    await self._tell(loop, connection)
                    continue
                await asyncio.sleep(self.inner.shape.first_byte_s)
                await self._answer(loop, connection, asked)

    async def _tell(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        seconds = {number: asdict(second) for number, second in self.seconds.items()}
        body = json.dumps({"seconds": seconds, "last_refusal_s": self.last_refusal_s}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        await loop.sock_sendall(connection, head.encode() + body)

    async def _answer(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, asked: Asked) -> None:
        path = self.inner.files / asked.path.lstrip("/")
        if asked.method != "GET" or listing_page(asked.query) or not path.is_file():
            await self.inner.answer(loop, connection, asked)
            return
        now_s = self._since(loop.time())
        if (fields := self.refusal(now_s)) is not None:
            self._second(now_s).refused += 1
            self.last_refusal_s = now_s
            await refuse(loop, connection, "503 Slow Down", *fields)
            return
        await self.inner.answer(loop, connection, asked)
        second = self._second(self._since(loop.time()))
        second.served += 1
        second.size_bytes += span_of(asked, path.stat().st_size)[1]

    def _since(self, now_s: float) -> float:
        if self._began_s is None:
            self._began_s = now_s
        return now_s - self._began_s

    def _second(self, now_s: float) -> Second:
        return self.seconds.setdefault(int(now_s), Second())

    def refusal(self, now_s: float) -> tuple[str, ...] | None:
        """Header lines of a refusal; None: come in."""
        gate = self.gate
        if 0 <= now_s - gate.storm_from_s < gate.storm_s:
            return (f"Retry-After: {gate.retry_after_s}",)
        rate = gate.requests_per_s
        if rate == float("inf"):
            return None
        self._tokens = min(rate / 2, self._tokens + (now_s - self._filled_s) * rate)
        self._filled_s = now_s
        if self._tokens < 1:
            return ()
        self._tokens -= 1
        return None


@dataclass(frozen=True, slots=True)
class Log:
    """What a gated server did.

    Attributes
    ----------
    seconds : dict of int to Second
        Since the first request for an object.
    last_refusal_s : float
    """

    seconds: dict[int, Second]
    last_refusal_s: float

    def span(self, first: float, stop: float) -> Second:
        """Sum of whole seconds."""
        rows = [row for number, row in self.seconds.items() if first <= number < stop]
        return Second(
            sum(row.served for row in rows), sum(row.refused for row in rows), sum(row.size_bytes for row in rows)
        )


def read_log(url: str) -> Log:
    """Ask a gated server what happened."""
    with urlopen(f"{url}{LOG_PATH}", timeout=10) as answer:  # noqa: S310 - http, on this machine
        document = json.load(answer)
    seconds = {int(number): Second(**row) for number, row in document["seconds"].items()}
    return Log(seconds, document["last_refusal_s"])


@contextlib.contextmanager
def gated(gate: str, files: Path, pages: Path) -> Iterator[str]:
    """Run a gated server in a process of its own; gives its URL.

    Parameters
    ----------
    gate : str
        Key of :data:`GATES`.
    files, pages : Path
    """
    with shaped(gate, files, pages, Path(__file__)) as url:
        yield url


def main() -> None:
    """Serve; the command line is gate, files, pages."""
    name, files, pages = sys.argv[1:]
    gate = GATES[name]
    shape = Shape(first_byte_s=0.040, bytes_per_s=gate.bytes_per_s, hang_fraction=gate.hang_fraction)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        server = GatedServer(gate, ShapedServer(shape, Path(files), Path(pages)))
        asyncio.run(serve(listener, server.talk))


if __name__ == "__main__":
    main()
