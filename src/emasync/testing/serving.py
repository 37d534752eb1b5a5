"""The archive's server: one loop, one listening socket, one task group."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from emasync.testing.connection import Connection
from emasync.testing.faults import FaultBook
from emasync.testing.messages import Answer, Asked, of_bytes
from emasync.testing.misbehaviour import FaultySite
from emasync.testing.requestlog import RequestLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What an archive serves and how fast; handed to the thread or process that does it.

    Attributes
    ----------
    site : FaultySite
    latency_s : float
        Before each answer.
    rate_bytes_per_s : float or None
        Per connection, bodies only.
    log_limit : int
        Requests kept in the log.
    tls : SSLContext or None
        For https.
    address : str
        IPv4 address of this machine's loopback.
    port : int
        0 for a free one.
    """

    site: FaultySite
    latency_s: float = 0.0
    rate_bytes_per_s: float | None = None
    log_limit: int = 100_000
    tls: SSLContext | None = None
    address: str = "127.0.0.1"
    port: int = 0


class ArchiveServer:
    """Serves until stopped. All methods belong to its loop, except where they say otherwise.

    Parameters
    ----------
    serving : Serving
    log : RequestLog
    """

    def __init__(self, serving: Serving, log: RequestLog) -> None:
        self.log = log
        self.rate_bytes_per_s = serving.rate_bytes_per_s
        self.crashes: list[Exception] = []
        self._serving = serving
        self._open = asyncio.Event()
        self._open.set()
        self._stopped = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._connections: set[Connection] = set()
        self.prompt = False
        self._settle()

    def _settle(self) -> None:
        self.prompt = self._open.is_set() and not self._serving.latency_s and self.rate_bytes_per_s is None

    def answer(self, asked: Asked) -> Answer:
        """Answer one request; a defect of the archive answers 500 and is kept for :attr:`crashes`."""
        try:
            answer = self._serving.site.answer(asked)
        except Exception as error:  # noqa: BLE001  # re-raised when the archive is closed
            self.crashed(error)
            answer = of_bytes(500, (("Content-Type", "text/plain"),), repr(error).encode("utf-8", "replace"))
        self.log.seen(asked, answer.status)
        return answer

    def crashed(self, error: Exception) -> None:
        """Keep a defect of the archive."""
        self.crashes.append(error)

    def joined(self, connection: Connection) -> None:
        """A connection was accepted."""
        self._connections.add(connection)
        self.log.opened()

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self.log.closed()

    def set_faults(self, book: FaultBook) -> None:
        """Replace all faults."""
        self._serving.site.book = book

    async def gate(self) -> None:
        """Wait for the latency, and while the archive is held."""
        if self._serving.latency_s:
            await asyncio.sleep(self._serving.latency_s)
        await self._open.wait()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the server's task group (Any: nothing is sent into it)."""
        return self._tasks.create_task(work)

    def hold(self) -> None:
        """Let requests come and answer none until :meth:`release`."""
        self._open.clear()
        self._settle()

    def release(self) -> None:
        """Answer again."""
        self._open.set()
        self._settle()

    def stop(self) -> None:
        """End :meth:`run`; connections are cut."""
        self._stopped.set()

    async def run(self, ready: Callable[[int], None]) -> None:
        """Serve until :meth:`stop`.

        Parameters
        ----------
        ready : callable
            Told the port once connections are accepted.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self),
            self._serving.address,
            self._serving.port,
            family=socket.AF_INET,
            backlog=4096,
            ssl=self._serving.tls,
        )
        try:
            async with asyncio.TaskGroup() as self._tasks:
                ready(server.sockets[0].getsockname()[1])
                await self._stopped.wait()
                raise _Stop  # noqa: TRY301  # the way to end a task group
        except* _Stop:
            server.close()
            for connection in tuple(self._connections):
                connection.abort()
            await asyncio.sleep(0)  # lets connection_lost run before the loop ends


class _Stop(Exception):  # noqa: N818  # ends the task group, is no error
    """The archive is closed: cancels answers that are still under way."""
