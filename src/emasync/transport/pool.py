"""Kept connections of the wire path: taken and given back, closed before the server would."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from urllib.parse import urlsplit

import aiohappyeyeballs
import anyio.to_thread

from emasync.errors import EmasyncError, TransientError
from emasync.model.clock import Clock
from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.transport import failures
from emasync.transport.addresses import AddressBook
from emasync.transport.dialogue import CLOSE_TIMEOUT_S, DEFAULT_PORTS, KEEP_ALIVE_S
from emasync.transport.resolver import AddressInfo, Admit, DaemonResolver, everywhere
from emasync.transport.surroundings import Surroundings
from emasync.transport.wire import Phase, WireConnection

NEXT_ADDRESS_S = 0.25
"""After so long without a connection the next address is tried beside it (RFC 8305, section 5)."""

SWEEP_S = 1.0
"""How often idle connections are looked at."""

Place = tuple[str, str]
"""Scheme and authority."""


class WirePool:
    """Connections of one run, by scheme and authority. Make it inside the running loop and close it there.

    Parameters
    ----------
    surroundings : Surroundings
        For certificates. Its TLS context is told to speak HTTP/1.1 only (RFC 7301).
    resolver : DaemonResolver
    clock : Clock
        What idleness is measured with.
    admit : callable
        Asked about each connection before it is made.
    """

    def __init__(
        self, surroundings: Surroundings, resolver: DaemonResolver, clock: Clock, admit: Admit = everywhere
    ) -> None:
        self._admit = admit
        self._tls = surroundings.tls
        self._tls_told = False
        self._clock = clock
        self._addresses = AddressBook(resolver, clock)
        self._idle: dict[Place, deque[WireConnection]] = {}
        self._open: set[WireConnection] = set()
        self._all_gone: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<WirePool {len(self._open)} open, {self.idle} idle>"

    @property
    def idle(self) -> int:
        """Connections that wait to be taken."""
        return sum(map(len, self._idle.values()))

    # --- taking and giving -------------------------------------------------------------------------------------

    def take_idle(self, location: Location) -> WireConnection | None:
        """A kept connection to the place of `location`, the one used last; None when there is none."""
        place = (location.scheme, location.authority)
        idle = self._idle.get(place)
        if idle is None:
            return None
        oldest_s = self._clock.monotonic_s() - KEEP_ALIVE_S
        while idle:
            connection = idle.pop()
            if connection.phase is Phase.IDLE and connection.idle_since_s > oldest_s:
                return connection
            connection.abort()
        del self._idle[place]
        return None

    async def take(self, location: Location, policy: HostPolicy, name: str, *, fresh: bool = False) -> WireConnection:
        """A connection to the place of `location`; :attr:`WireConnection.answers` is 0 for a new one.

        Every connection taken must be given back, whatever state it is in.

        Parameters
        ----------
        location : Location
            http(s).
        policy : HostPolicy
            For ``connect_timeout_s``: TCP and TLS together, over all addresses.
        name : str
            What messages call it.
        fresh : bool
            A new one in any case.

        Raises
        ------
        TransientError
            ``unreachable`` when no connection came about.
        RefusedError
            A certificate that does not hold; a place that must not be reached.
        """
        kept = None if fresh else self.take_idle(location)
        return kept or await self._connect((location.scheme, location.authority), policy, name)

    def give(self, connection: WireConnection) -> None:
        """Take a connection back; it is kept when it may carry another request, and closed otherwise.

        A blind one (see :class:`~emasync.transport.wire.WireConnection`) may not: what came behind the last answer
        would be taken for the beginning of the next one.
        """
        if connection.phase is not Phase.IDLE or connection.blind or self._closed:
            connection.abort()
            return
        connection.idle_since_s = self._clock.monotonic_s()
        self._idle.setdefault(connection.place, deque()).append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def forget_addresses(self, location: Location) -> None:
        """Look the host up again for the next connection (a stalled one may have had a bad address)."""
        self._addresses.forget(*_host_and_port((location.scheme, location.authority)))

    # --- connecting --------------------------------------------------------------------------------------------

    async def _connect(self, place: Place, policy: HostPolicy, name: str) -> WireConnection:
        host, port = _host_and_port(place)
        tls = await self._context() if place[0] == "https" else None
        try:
            rows = await self._addresses.find(host, port)
        except OSError as error:
            raise failures.unresolved(name, error) from error
        self._admit(host, port, [str(row[4][0]) for row in rows])
        try:
            async with asyncio.timeout(policy.connect_timeout_s):
                connection = await self._reach(rows, tls, host, name)
        except TimeoutError as error:
            self._addresses.forget(host, port)
            raise failures.no_connection_in_time(name) from error
        except EmasyncError:
            self._addresses.forget(host, port)
            raise
        return self._adopted(connection, place, name)

    async def _reach(self, rows: list[AddressInfo], tls: ssl.SSLContext | None, host: str, name: str) -> WireConnection:
        """Connect to the first address that lets us in."""
        while True:
            try:
                return await self._try(rows, tls, host)
            except _HandshakeError as error:
                rows = [] if error.peer is None else [row for row in rows if row[4][:2] != error.peer]
                if rows:
                    continue
                if isinstance(error.cause, ssl.CertificateError):
                    raise failures.certificate_refused(name, error.cause) from error.cause
                raise failures.no_connection(name, error.cause) from error.cause
            except (OSError, RuntimeError) as error:  # uvloop raises the latter for addresses it cannot use
                raise failures.no_connection(name, error) from error

    async def _try(self, rows: list[AddressInfo], tls: ssl.SSLContext | None, host: str) -> WireConnection:
        loop = asyncio.get_running_loop()
        sock = await aiohappyeyeballs.start_connection(
            [(row[0], row[1], row[2], row[3], row[4]) for row in rows], happy_eyeballs_delay=NEXT_ADDRESS_S, loop=loop
        )
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = sock.getpeername()[:2]
        except OSError as error:  # reset at once
            sock.close()
            raise _HandshakeError(None, error) from error
        try:  # from here on the socket is the transport's to close
            _, connection = await loop.create_connection(
                self._new, sock=sock, ssl=tls, server_hostname=host.rstrip(".") if tls else None
            )
        except OSError as error:  # no TLS: another address may do better
            raise _HandshakeError(peer, error) from error
        return connection

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await anyio.to_thread.run_sync(ssl.create_default_context)
        if not self._tls_told:
            self._tls.set_alpn_protocols(["http/1.1"])
            self._tls_told = True
        return self._tls

    def _new(self) -> WireConnection:
        return WireConnection(self._gone)

    def _adopted(self, connection: WireConnection, place: Place, name: str) -> WireConnection:
        if connection.phase is Phase.CLOSED:
            raise failures.no_connection(name, ConnectionResetError("the other side closed it at once"))
        self._open.add(connection)
        connection.place = place
        if self._closed:
            connection.abort()
            raise TransientError(f"{name}: the fetcher was closed", location=name)
        return connection

    # --- ending ------------------------------------------------------------------------------------------------

    def _gone(self, connection: WireConnection) -> None:
        self._open.discard(connection)
        if self._all_gone is not None and not self._open and not self._all_gone.done():
            self._all_gone.set_result(None)

    def _sweep(self) -> None:
        """Close what was idle for too long; in each queue the oldest come first."""
        oldest_s = self._clock.monotonic_s() - KEEP_ALIVE_S
        for place, idle in list(self._idle.items()):
            while idle and (idle[0].phase is not Phase.IDLE or idle[0].idle_since_s <= oldest_s):
                idle.popleft().abort()
            if not idle:
                del self._idle[place]
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep) if self._idle else None

    async def aclose(self) -> None:
        """Close all connections, those in use too, within :data:`~emasync.transport.dialogue.CLOSE_TIMEOUT_S`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._idle.clear()
        for connection in list(self._open):
            connection.abort()
        if self._open:
            self._all_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_gone], timeout=CLOSE_TIMEOUT_S)  # else the sockets go with the process


class _HandshakeError(Exception):
    """A connection came about and ended before it could be used."""

    def __init__(self, peer: tuple[str, int] | None, cause: OSError) -> None:
        super().__init__(str(cause))
        self.peer = peer
        self.cause = cause


def _host_and_port(place: Place) -> tuple[str, int]:
    parts = urlsplit(f"//{place[1]}")
    return (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS[place[0]]
