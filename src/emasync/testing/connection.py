"""One HTTP/1.1 connection of the archive: small answers in one write, others block by block."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from emasync.testing.messages import HEADER_LIMIT_BYTES, PLAIN, Answer, Asked, BadRequest, Wire, of_bytes, parse_head
from emasync.testing.requestlog import RequestLog

SMALL_BYTES = 64 << 10
"""Bodies up to here leave with their head in one write."""

BLOCK_BYTES = 256 << 10
_ENDLESS = 1 << 62


class Server(Protocol):
    """What a connection needs of the server it belongs to."""

    log: RequestLog
    rate_bytes_per_s: float | None
    prompt: bool
    """Whether answers need not wait at the gate."""

    def answer(self, asked: Asked) -> Answer:
        """Answer one request."""
        ...

    def joined(self, connection: Connection) -> None:
        """A connection was accepted."""
        ...

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        ...

    def crashed(self, error: Exception) -> None:
        """The archive itself failed; told when it is closed."""
        ...

    async def gate(self) -> None:
        """Wait for the archive's latency, and while it is held."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the server's task group."""
        ...


class Connection(asyncio.Protocol):
    """Reads requests one after the other and answers them in order."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._buffer = b""
        self._skip_bytes = 0
        self._deaf = False
        self._sending: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BLOCK_BYTES)
        self._writable.set()
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """End; whoever waits for the client finds out."""
        self._gone.set()
        self._writable.set()
        self._server.left(self)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def pause_writing(self) -> None:
        """Stop sending until the client has read."""
        self._writable.clear()
        self._transport.pause_reading()  # a client that pipelines without reading waits, too

    def resume_writing(self) -> None:
        """Go on sending."""
        self._writable.set()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take request bytes."""
        if self._deaf:
            self._transport.close()
            return
        self._buffer = self._buffer + data if self._buffer else data
        self._serve()
        if self._sending is not None and len(self._buffer) > HEADER_LIMIT_BYTES:
            self._transport.pause_reading()  # bounded, however much a client pipelines

    def _serve(self) -> None:
        while self._sending is None and self._buffer and not self._transport.is_closing():
            if self._skip_bytes:
                skipped = min(self._skip_bytes, len(self._buffer))
                self._buffer, self._skip_bytes = self._buffer[skipped:], self._skip_bytes - skipped
                continue
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0 or end > HEADER_LIMIT_BYTES:
                if len(self._buffer) > HEADER_LIMIT_BYTES:
                    self._refuse(BadRequest(431, "request head too long"))
                return
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            try:
                asked = parse_head(head)
            except BadRequest as refusal:
                self._refuse(refusal)
                return
            self._skip_bytes = asked.body_bytes
            self._begin(asked)

    def _refuse(self, refusal: BadRequest) -> None:
        answer = of_bytes(refusal.status, (("Content-Type", "text/plain"),), f"{refusal}\n".encode())
        self._transport.write(answer.head(close=True) + bytes(answer.read(0, answer.stop)))
        self._transport.close()

    def _begin(self, asked: Asked) -> None:
        server = self._server
        server.log.began()
        answer = server.answer(asked)
        if server.prompt and answer.wire is PLAIN and answer.stop - answer.start <= SMALL_BYTES:
            self._send_small(asked, answer)
            server.log.ended()
            return
        self._sending = server.spawn(self._send(asked, answer))

    def _send_small(self, asked: Asked, answer: Answer) -> None:
        close = not asked.keep_alive
        head = answer.head(close=close)
        if answer.bodiless:
            self._transport.write(head)
        else:
            self._transport.write(head + answer.read(answer.start, answer.stop))
            self._server.log.sent(answer.stop - answer.start)
        if close:
            self._transport.close()

    async def _send(self, asked: Asked, answer: Answer) -> None:
        try:
            await self._server.gate()
            if answer.wire.delay_s:
                await asyncio.sleep(answer.wire.delay_s)
            if not self._transport.is_closing():  # else the client did not wait so long
                await self._send_large(asked, answer)
        except Exception as error:  # noqa: BLE001  # one bad file must not end the archive; it is told at close
            self._server.crashed(error)
            self._transport.abort()
        finally:
            self._server.log.ended()
            self._sending = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._serve()

    async def _send_large(self, asked: Asked, answer: Answer) -> None:
        wire = answer.wire
        if wire.then == "drop":
            self._reset()
            return
        close = not asked.keep_alive or wire.framing == "close"
        await self._send_head(answer.head(close=close), wire)
        if not answer.bodiless:
            await self._send_body(answer)
        await self._end(wire, close=close)

    async def _send_head(self, head: bytes, wire: Wire) -> None:
        if wire.stall_head:
            self._transport.write(head[: len(head) // 2])
            await self._gone.wait()
        pace = Pacer(wire.head_rate_bytes_per_s)
        for at in range(0, len(head), pace.block_bytes):
            if self._transport.is_closing():
                return
            part = head[at : at + pace.block_bytes]
            self._transport.write(part)
            await pace.sent(len(part))

    async def _end(self, wire: Wire, *, close: bool) -> None:
        if wire.then == "stall":
            await self._gone.wait()
        elif wire.then == "reset":
            await self._until_sent()
            self._reset()
        elif wire.then == "cut":
            await self._until_sent()
            self._shut_down()
            await self._gone.wait()
        elif close or wire.then == "close":
            self._transport.close()
        self._deaf = wire.then == "vanish"

    async def _send_body(self, answer: Answer) -> None:
        wire = answer.wire
        chunked = wire.framing == "chunked"
        stop = min(answer.stop, answer.start + wire.cut_at_bytes) if wire.cut_at_bytes is not None else answer.stop
        pace = Pacer(_slower(wire.rate_bytes_per_s, self._server.rate_bytes_per_s))
        at = answer.start
        while at < stop and not self._transport.is_closing():
            until = min(stop, at + pace.block_bytes)
            data = bytes(answer.read(at, until))
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            self._server.log.sent(until - at)
            await self._writable.wait()
            await pace.sent(until - at)
            at = until
        if chunked and wire.cut_at_bytes is None:
            self._transport.write(b"0\r\n\r\n")
        if wire.extra_bytes:
            self._transport.write(b"!" * wire.extra_bytes)

    async def _until_sent(self) -> None:
        """Wait until the client's kernel has all bytes, as a reset throws away what is still under way."""
        for _ in range(5000):  # bounded: a client that does not read is cut anyway
            unsent = self._transport.get_write_buffer_size() or _unsent_bytes(self._transport)
            if self._gone.is_set() or not unsent:
                return
            await asyncio.sleep(0.001)

    def _shut_down(self) -> None:
        """Say FIN below whatever lies above TCP."""
        connected = self._transport.get_extra_info("socket")
        if connected is not None and not self._transport.is_closing():
            with socket.socket(fileno=os.dup(connected.fileno())) as below:  # loops hand out views without shutdown()
                below.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        """Close with RST instead of FIN (SO_LINGER with a linger time of zero)."""
        connected = self._transport.get_extra_info("socket")
        if connected is not None and not self._transport.is_closing():  # else the client was faster
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class Pacer:
    """Keeps a body at a rate.

    Parameters
    ----------
    rate_bytes_per_s : float or None
        None for as fast as it goes.
    """

    def __init__(self, rate_bytes_per_s: float | None) -> None:
        self._rate = rate_bytes_per_s
        self._begin_s = time.monotonic()
        self._sent_bytes = 0
        self.block_bytes = (
            BLOCK_BYTES if rate_bytes_per_s is None else max(1, min(BLOCK_BYTES, int(rate_bytes_per_s / 50)))
        )

    async def sent(self, size_bytes: int) -> None:
        """Wait until `size_bytes` more bytes are due."""
        if self._rate is None:
            return
        self._sent_bytes += size_bytes
        due_s = self._begin_s + self._sent_bytes / self._rate
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))


def _slower(one: float | None, other: float | None) -> float | None:
    rates = [rate for rate in (one, other) if rate is not None]
    return min(rates) if rates else None


def _unsent_bytes(transport: asyncio.Transport) -> int:
    """Bytes the peer has not acknowledged (Linux, SIOCOUTQ); 0 where the system does not tell."""
    import fcntl  # noqa: PLC0415  # not on every platform
    import termios  # noqa: PLC0415  # as above

    connected = transport.get_extra_info("socket")
    if connected is None or connected.fileno() < 0:
        return 0
    return int(struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
