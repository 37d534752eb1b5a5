"""Name look-ups in daemon threads: a stuck one must not hold the exit (law 16)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from threading import Thread

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""A row of ``socket.getaddrinfo``; raw bytes as address only where Python has no IPv6."""

Lookup = Callable[[str, int, int], list[AddressInfo]]


Admit = Callable[[str, int, Iterable[str]], None]
"""Told host, port and addresses before a connection is made; raises RefusedError where none may be."""


def everywhere(_host: str, _port: int, _addresses: Iterable[str]) -> None:
    """No connection is refused."""


def system_lookup(host: str, port: int, family: int) -> list[AddressInfo]:
    """Ask the system, blocking.

    Raises
    ------
    OSError
        ``socket.gaierror`` among them.
    """
    return list(socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))


class DaemonResolver:
    """One short-lived daemon thread a look-up; who asks caches the answers.

    Parameters
    ----------
    lookup : callable
        Blocking; :func:`system_lookup` by default.
    """

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup

    def look_up(self, host: str, port: int, family: socket.AddressFamily) -> asyncio.Future[list[AddressInfo]]:
        """Begin a look-up; nothing waits for it but whoever awaits the future.

        Parameters
        ----------
        host : str
        port : int
        family : socket.AddressFamily
            ``AF_UNSPEC`` for both.

        Returns
        -------
        asyncio.Future
            Fails with OSError when the look-up does.
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


def _told(found: asyncio.Future[list[AddressInfo]]) -> None:
    """Take note of a failure that nobody waited for: it is no defect."""
    if not found.cancelled():
        found.exception()
