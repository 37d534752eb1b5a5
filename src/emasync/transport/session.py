"""One HTTP exchange over aiohttp: opened, read piece by piece, foreign errors translated once. No retries, no rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from emasync.errors import ErrorKind, RefusedError, TransientError
from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.transport import failures
from emasync.transport.resolver import DaemonResolver
from emasync.transport.surroundings import Surroundings, host_of

READ_BUFFER_BYTES = 512 << 10
"""aiohttp pauses the socket at twice this; smaller buffers cost a wake-up every few kilobytes."""

KEEP_ALIVE_S = 4.0
"""S3 closes idle connections after about 5 s; going first avoids resets."""

IDLE_S = 1.5
"""Of the general client, most of whose requests are documents: where an origin takes few connections, one that waits
for the next document is one that moves no data."""

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_LINE_BYTES = 16 << 10
MAX_FIELD_BYTES = 16 << 10
MAX_HEADERS = 128
CLOSE_TIMEOUT_S = 1.5
"""Stopping takes at most 2 s in all (law 16)."""


class OpenAnswer(Protocol):
    """Header of an answer, and its body as it comes. Close it by leaving its context.

    Attributes
    ----------
    status : int
    headers : mapping of str to str
        Lower-case names; repeated fields are one list (RFC 9110, section 5.3).
    name : str
        Of what was asked, for messages.
    taken : int
        Bytes of the view of the last :meth:`read_into` that are valid, also after it failed or was cancelled.
    """

    status: int
    headers: Mapping[str, str]
    name: str
    taken: int

    @property
    def received(self) -> int:
        """Grows with each byte that comes; the stall watch compares it."""
        ...

    async def read(self) -> bytes:
        """Next bytes of the body as sent; empty at its end.

        Raises
        ------
        TransientError
            The body broke off.
        """
        ...

    async def read_into(self, view: memoryview) -> int:
        """Fill `view` as far as the body of a 200 or 206 goes; gives :attr:`taken`.

        Raises
        ------
        TransientError
            The body broke off.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back when the body was read to its end; close it otherwise."""
        ...


class Session(Protocol):
    """Sends requests: no retries, no rules."""

    async def open(self, location: Location, headers: Mapping[str, str], policy: HostPolicy, name: str) -> OpenAnswer:
        """Send a GET and wait for the header of the answer; redirects are answers.

        Raises
        ------
        TransientError
            ``unreachable`` when no connection came about.
        RefusedError
            A certificate that does not hold, a header out of bounds.
        """
        ...

    def forget_addresses(self, location: Location) -> None:
        """Look the host up again for the next connection."""
        ...


class Answer:
    """An :class:`OpenAnswer` of aiohttp."""

    __slots__ = ("_response", "headers", "name", "received", "status", "taken")

    def __init__(self, name: str, response: aiohttp.ClientResponse) -> None:
        self.name = name
        self.status = response.status
        self.headers: Mapping[str, str] = joined(response.headers.items())
        self.received = 0
        self.taken = 0
        self._response = response

    async def read(self) -> bytes:
        """See :class:`OpenAnswer`."""
        with translated(self.name):
            data = await self._response.content.readany()
        self.received += len(data)
        return data

    async def read_into(self, view: memoryview) -> int:
        """See :class:`OpenAnswer`."""
        self.taken = 0
        with translated(self.name):
            while self.taken < len(view) and (data := await self._response.content.read(len(view) - self.taken)):
                view[self.taken : self.taken + len(data)] = data
                self.taken += len(data)
                self.received += len(data)
        return self.taken

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See :class:`OpenAnswer`."""
        if not self._response.content.at_eof():
            self._response.close()
        else:
            self._response.release()


class HttpSession:
    """The connections of one run. Make it inside the running loop and close it there.

    Parameters
    ----------
    surroundings : Surroundings
    resolver : DaemonResolver
    """

    def __init__(self, surroundings: Surroundings, resolver: DaemonResolver) -> None:
        self._surroundings = surroundings
        self._connector = aiohttp.TCPConnector(
            limit=0,  # limits belong to the origin, not to the pool
            resolver=resolver,
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

    async def open(self, location: Location, headers: Mapping[str, str], policy: HostPolicy, name: str) -> Answer:
        """See :class:`Session`."""
        with translated(name):
            response = await self._session.get(
                URL(str(location), encoded=True),
                headers=headers,
                allow_redirects=False,
                proxy=self._surroundings.proxy_for(location),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=policy.connect_timeout_s),
            )
        return Answer(name, response)

    def forget_addresses(self, location: Location) -> None:
        """Look the host up again for the next connection (a stalled one may have had a bad address)."""
        port = urlsplit(str(location)).port or DEFAULT_PORTS[location.scheme]
        self._connector.clear_dns_cache(host_of(location), port)

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
