"""One request and its answer: what the two HTTP clients of this package have in common, and where they stop."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from emasync.model.location import Location
from emasync.settings import HostPolicy

KEEP_ALIVE_S = 4.0
"""S3 closes idle connections after about 5 s; going first avoids resets."""

CLOSE_TIMEOUT_S = 1.5
"""Stopping takes at most 2 s in all (law 16)."""

DEFAULT_PORTS = {"http": 80, "https": 443}


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
