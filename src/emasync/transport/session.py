"""One HTTP exchange over aiohttp: opened, read piece by piece, foreign errors translated once. No retries, no rules."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Literal, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from emasync.errors import ErrorKind, RefusedError, TransientError
from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.transport import failures
from emasync.transport.answers import OK
from emasync.transport.closure import spoken_over, was_closed
from emasync.transport.dialogue import CLOSE_TIMEOUT_S
from emasync.transport.resolver import AddressInfo, Admit, DaemonResolver, everywhere
from emasync.transport.surroundings import Surroundings, host_and_port

READ_BUFFER_BYTES = 512 << 10
"""aiohttp pauses the socket at twice this; smaller buffers cost a wake-up every few kilobytes."""

IDLE_S = 1.5
"""Where an origin takes few connections, one that waits for the next odd request is one that moves no data."""

MAX_LINE_BYTES = 16 << 10
MAX_FIELD_BYTES = 16 << 10
MAX_HEADERS = 128


class Answer:
    """An :class:`~emasync.transport.dialogue.OpenAnswer` of aiohttp."""

    __slots__ = ("_announced", "_response", "headers", "name", "received", "status", "taken")

    def __init__(self, name: str, response: aiohttp.ClientResponse) -> None:
        self.name = name
        self.status = response.status
        self.headers: Mapping[str, str] = joined(response.headers.items())
        self.received = 0
        self.taken = 0
        self._response = response
        self._announced = _announcement(response)

    async def read(self) -> bytes:
        """See :class:`~emasync.transport.dialogue.OpenAnswer`."""
        with translated(self.name):
            data = await self._response.content.readany()
        self.received += len(data)
        if not data:
            self._check_end()
        return data

    async def read_into(self, view: memoryview) -> int:
        """See :class:`~emasync.transport.dialogue.OpenAnswer`."""
        self.taken = 0
        with translated(self.name):
            while self.taken < len(view) and (data := await self._response.content.read(len(view) - self.taken)):
                view[self.taken : self.taken + len(data)] = data
                self.taken += len(data)
                self.received += len(data)
        if self.taken < len(view):
            self._check_end()
        return self.taken

    def _check_end(self) -> None:
        """Refuse the end of a connection as the end of a body where nobody said that it is one.

        Raises
        ------
        TransientError
        """
        if not self._announced():
            raise failures.broken(self.name, ConnectionError("it ended without TLS saying so: it may be cut short"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See :class:`~emasync.transport.dialogue.OpenAnswer`."""
        if not self._response.content.at_eof():
            self._response.close()
        else:
            self._response.release()


def _announcement(response: aiohttp.ClientResponse) -> Callable[[], bool]:
    """Tells at the end of the body whether it was meant: see :mod:`emasync.transport.closure`."""
    ends_itself = "content-length" in response.headers or "transfer-encoding" in response.headers
    if ends_itself or response.url.scheme != "https" or response.status != OK:
        return lambda: True  # of a 206 Content-Range tells where it ends
    connection = response.connection
    tls = None if connection is None else spoken_over(connection.transport)
    return (lambda: False) if tls is None else partial(was_closed, tls)  # ended already: nobody can tell any more


class _Resolver(AbstractResolver):
    """:class:`DaemonResolver` as aiohttp wants it; the connector caches and rotates the answers."""

    def __init__(self, resolver: DaemonResolver, admit: Admit) -> None:
        self._resolver = resolver
        self._admit = admit

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of `host`, both families unless one is asked for.

        Raises
        ------
        OSError
            The look-up failed.
        RefusedError
            No connection may be made there.
        """
        rows = await self._resolver.look_up(host, port, family)
        self._admit(host.lower(), port, [str(row[4][0]) for row in rows])
        return [_result(host, row) for row in rows]

    async def close(self) -> None:
        """Nothing is kept open."""


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


class HttpSession:
    """The connections of aiohttp in one run. Make it inside the running loop and close it there.

    Parameters
    ----------
    surroundings : Surroundings
    resolver : DaemonResolver
    admit : callable
        Asked about each look-up before a connection is made: the addresses found are the ones connected to.
    """

    def __init__(self, surroundings: Surroundings, resolver: DaemonResolver, admit: Admit = everywhere) -> None:
        self._surroundings = surroundings
        self._connector = aiohttp.TCPConnector(
            limit=0,  # limits belong to the origin, not to the pool
            resolver=_Resolver(resolver, admit),
            ttl_dns_cache=10,  # addresses rotate from one connection to the next
            keepalive_timeout=IDLE_S,
            ssl=surroundings.tls if surroundings.tls is not None else True,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": surroundings.user_agent, "Accept": "*/*"},
            max_field_size=MAX_FIELD_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            read_bufsize=READ_BUFFER_BYTES,
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,  # proxies and netrc come through surroundings: once, not once a request
        )
        # one place retries, and it counts (law 8); aiohttp has no public switch for its own second try
        self._session._retry_connection = False  # noqa: SLF001 - see above

    async def open(
        self,
        location: Location,
        headers: Mapping[str, str],
        policy: HostPolicy,
        name: str,
        *,
        method: Literal["GET", "HEAD"] = "GET",
    ) -> Answer:
        """See :class:`~emasync.transport.dialogue.Session`."""
        try:
            with translated(name):
                response = await self._session.request(
                    method,
                    URL(str(location), encoded=True),
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._surroundings.proxy_for(location),
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=policy.connect_timeout_s),
                )
        except TransientError as error:
            if error.kind == ErrorKind.UNREACHABLE:  # the name may have moved
                self.forget_addresses(location)
            raise
        return Answer(name, response)

    def forget_addresses(self, location: Location) -> None:
        """Look the host up again for the next connection (a stalled one may have had a bad address)."""
        self._connector.clear_dns_cache(*host_and_port(location))

    async def aclose(self) -> None:
        """Close all connections, within :data:`CLOSE_TIMEOUT_S`."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._session.close()
        except TimeoutError:
            return  # the sockets go with the process


def joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields by lower-case name; repeated ones become one list (RFC 9110, section 5.3).

    Google sends ``x-goog-hash`` once for each digest.
    """
    headers: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn aiohttp's and the system's errors into this package's.

    Raises
    ------
    TransientError, RefusedError
    """
    try:
        yield
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch) as error:
        raise failures.certificate_refused(name, getattr(error, "certificate_error", error)) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise failures.unresolved(name, error.os_error) from error
    except aiohttp.ClientConnectorError as error:
        raise failures.no_connection(name, error.os_error) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise failures.no_connection_in_time(name) from error
    except aiohttp.ClientHttpProxyError as error:
        message = f"{name}: the proxy refused the connection (status {error.status}); check the proxy variables"
        raise TransientError(message, kind=ErrorKind.UNREACHABLE, location=name) from error
    except aiohttp.ClientResponseError as error:
        raise failures.no_http(name, error.message) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise RefusedError(f"{name}: this URL cannot be asked for", location=name) from error
    except (aiohttp.ClientError, OSError) as error:
        raise failures.broken(name, error) from error
