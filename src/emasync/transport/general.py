"""The general client, made when something first needs it: to import it takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.to_thread

from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.transport.dialogue import OpenAnswer
from emasync.transport.resolver import Admit, DaemonResolver, everywhere
from emasync.transport.surroundings import Surroundings

if TYPE_CHECKING:
    from emasync.transport.session import HttpSession


class GeneralSession:
    """A :class:`~emasync.transport.dialogue.Session` that reads what the wire path does not: aiohttp, once needed.

    Parameters
    ----------
    surroundings : Surroundings
    resolver : DaemonResolver
    admit : callable
        As for :class:`~emasync.transport.session.HttpSession`.
    """

    def __init__(self, surroundings: Surroundings, resolver: DaemonResolver, admit: Admit = everywhere) -> None:
        self._admit = admit
        self._surroundings = surroundings
        self._resolver = resolver
        self._making = anyio.Lock()
        self._made: HttpSession | None = None

    def __repr__(self) -> str:
        return f"<GeneralSession {'in use' if self._made is not None else 'not needed so far'}>"

    async def open(
        self,
        location: Location,
        headers: Mapping[str, str],
        policy: HostPolicy,
        name: str,
        *,
        method: Literal["GET", "HEAD"] = "GET",
    ) -> OpenAnswer:
        """See :class:`~emasync.transport.dialogue.Session`."""
        async with self._making:
            if self._made is None:
                made = await anyio.to_thread.run_sync(_session_class)
                self._made = made(self._surroundings, self._resolver, self._admit)
        return await self._made.open(location, headers, policy, name, method=method)

    def forget_addresses(self, location: Location) -> None:
        """See :class:`~emasync.transport.dialogue.Session`."""
        if self._made is not None:
            self._made.forget_addresses(location)

    async def aclose(self) -> None:
        """Close all connections, within :data:`~emasync.transport.dialogue.CLOSE_TIMEOUT_S`."""
        if self._made is not None:
            await self._made.aclose()


class HeaderSession:
    """A :class:`~emasync.transport.dialogue.Session` that asks for headers only (HEAD: RFC 9110, section 9.3.2).

    Parameters
    ----------
    general : GeneralSession
        Asked for so little cannot be worth a second way over the wire path.
    """

    def __init__(self, general: GeneralSession) -> None:
        self._general = general

    async def open(self, location: Location, headers: Mapping[str, str], policy: HostPolicy, name: str) -> OpenAnswer:
        """See :class:`~emasync.transport.dialogue.Session`."""
        return await self._general.open(location, headers, policy, name, method="HEAD")

    def forget_addresses(self, location: Location) -> None:
        """See :class:`~emasync.transport.dialogue.Session`."""
        self._general.forget_addresses(location)


def _session_class() -> type[HttpSession]:
    from emasync.transport.session import HttpSession  # noqa: PLC0415 - see the module

    return HttpSession
