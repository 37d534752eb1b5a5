"""Name look-ups in daemon threads: a stuck one must not hold the exit (law 16)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from threading import Thread

from aiohttp.abc import AbstractResolver, ResolveResult

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""A row of ``socket.getaddrinfo``; raw bytes as address only where Python has no IPv6."""

Lookup = Callable[[str, int, int], list[AddressInfo]]


def system_lookup(host: str, port: int, family: int) -> list[AddressInfo]:
    """Ask the system, blocking.

    Raises
    ------
    OSError
        ``socket.gaierror`` among them.
    """
    return list(socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))


class DaemonResolver(AbstractResolver):
    """One short-lived daemon thread a look-up; the connector caches and rotates the answers.

    Parameters
    ----------
    lookup : callable
        Blocking; :func:`system_lookup` by default.
    """

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of `host`, both families unless one is asked for.

        Raises
        ------
        OSError
            The look-up failed.
        """
        return [_result(host, row) for row in await self.look_up(host, port, family)]

    def look_up(self, host: str, port: int, family: socket.AddressFamily) -> asyncio.Future[list[AddressInfo]]:
        """Begin a look-up; nothing waits for it but whoever awaits the future.

        Parameters
        ----------
        host : str
        port : int
        family : socket.AddressFamily
            ``AF_UNSPEC`` for both.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[AddressInfo]] = loop.create_future()
        found.add_done_callback(_told)

        def deliver(rows: list[AddressInfo] | None, error: OSError | None) -> None:
            if found.done():
                return
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(rows or [])

        def work() -> None:
            rows, failure = None, None
            try:
                rows = self._lookup(host, port, family)
            except OSError as error:
                failure = error
            except UnicodeError as error:  # a label that IDNA cannot write
                failure = OSError(f"{host!r} is no host name: {error}")
            try:
                loop.call_soon_threadsafe(deliver, rows, failure)
            except RuntimeError:
                return  # the loop has gone while the look-up was stuck: nobody waits any more

        Thread(target=work, name=f"emasync-dns-{host}", daemon=True).start()
        return found

    async def close(self) -> None:
        """Nothing is kept open."""


def _told(found: asyncio.Future[list[AddressInfo]]) -> None:
    """Take note of a failure that nobody waited for: it is no defect."""
    if not found.cancelled():
        found.exception()


def _result(host: str, row: AddressInfo) -> ResolveResult:
    family, _, protocol, _, address = row
    return ResolveResult(
        hostname=host,
        host=str(address[0]),
        port=int(address[1]),
        family=family,
        proto=protocol,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
