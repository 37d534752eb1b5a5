"""Which hosts lie inside: loopback, private and link-local addresses, and who must not reach them (law 14).

Names are judged where they are resolved for a connection: the addresses that were looked at are the ones connected to,
whatever the name says a moment later (DNS rebinding).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable
from enum import Flag, auto
from typing import Final

from emasync.errors import RefusedError
from emasync.model.location import Location
from emasync.transport.redirects import is_private
from emasync.transport.resolver import DaemonResolver
from emasync.transport.surroundings import Surroundings, host_and_port, host_of

MAX_REMEMBERED: Final = 16_384
"""Hosts; beyond them, which no honest run meets, every name is confined."""

Judge = Callable[[str], bool | None]
"""As :func:`~emasync.transport.redirects.is_private`."""


class _Side(Flag):
    """Where connections to one host went so far."""

    INSIDE = auto()
    OUTSIDE = auto()


class Neighbourhood:
    """Knows where hosts lie, and refuses connections to the inside that nobody who may has named.

    Parameters
    ----------
    resolver : DaemonResolver
    surroundings : Surroundings
        A host behind a proxy is the proxy's to judge, but for what is inside by its very name.
    allow_private : bool
        Whether locations may name addresses inside; a redirect from outside never may.
    named : collection of (str, int)
        Hosts and ports that this user named (mirrors): allowed in any case.
    judge : callable
    """

    def __init__(
        self,
        resolver: DaemonResolver,
        surroundings: Surroundings,
        *,
        allow_private: bool = True,
        named: Collection[tuple[str, int]] = (),
        judge: Judge = is_private,
    ) -> None:
        self._resolver = resolver
        self._surroundings = surroundings
        self._allow_private = allow_private
        self._named = frozenset((*named, *surroundings.proxy_places()))
        self._judge = judge
        self._met: dict[str, _Side] = {}
        self._confined: set[str] = set()
        self._full = False

    def admit(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Take note that a connection is about to be made to one of `addresses`, or refuse it.

        Parameters
        ----------
        host : str
            Name or address as it was asked for, lower case.
        port : int
        addresses : iterable of str
            All that it was resolved to.

        Raises
        ------
        RefusedError
            One of them lies inside, and `host` must not.
        """
        inside = ""
        for address in addresses:
            side = _Side.INSIDE if self._judge(address) else _Side.OUTSIDE
            inside = address if side is _Side.INSIDE else inside
            if host in self._met or self._has_room(self._met):
                self._met[host] = self._met.get(host, side) | side
        if inside and (self._full or host in self._confined):
            raise RefusedError(f"a redirect led from a public host to {host}, a private address ({inside}); refused")
        if inside and not self._allow_private and (host, port) not in self._named:
            where = host if host == inside else f"{host} ({inside})"
            raise RefusedError(
                f"{where} is a loopback, private or link-local address, which what comes from somebody else must not "
                "reach; refused. --allow-private allows it"
            )

    def admit_location(self, location: Location) -> None:
        """:meth:`admit` for a location whose very host says where it lies: it may be asked without a look-up.

        Raises
        ------
        RefusedError
        """
        if not self._allow_private and self._judge(host_of(location)):
            host, port = host_and_port(location)
            self.admit(host, port, [host])

    def admit_file(self, location: Location) -> None:
        """Refuse a local path that somebody else names.

        Raises
        ------
        RefusedError
        """
        if not self._allow_private:
            raise RefusedError(
                f"{location} is a path of this machine, which what comes from somebody else must not read; refused. "
                "--allow-private allows it",
                location=str(location),
            )

    async def may_lead(self, came: Iterable[Location], there: Location) -> bool:
        """Whether a redirect may lead from `came` to `there`; if so, and from outside, `there` is confined.

        Parameters
        ----------
        came : iterable of Location
            http(s), asked just before: where the request began, and where the redirect came from.
        there : Location
            http(s).
        """
        if all(self._was_inside(place) for place in came):
            return True
        if await self.lies_inside(there):
            return False
        if self._has_room(self._confined):
            self._confined.add(host_of(there))
        return True

    def _has_room(self, names: Collection[str]) -> bool:
        self._full = self._full or len(names) >= MAX_REMEMBERED
        return not self._full

    def _was_inside(self, location: Location) -> bool:
        """Whether all connections to the host of `location` went inside: what its name says by now is no proof."""
        literal = self._judge(host_of(location))
        return self._met.get(host_of(location)) is _Side.INSIDE if literal is None else literal

    async def lies_inside(self, location: Location) -> bool:
        """Whether any address of the location's host is loopback, private or link-local, or was.

        Parameters
        ----------
        location : Location
            http(s).
        """
        host = host_of(location)
        literal = self._judge(host)
        if literal is not None:
            return literal
        if self._surroundings.proxy_for(location) is not None:
            return False
        met = self._met.get(host)
        return await self._look_up(host) if met is None else _Side.INSIDE in met

    async def _look_up(self, host: str) -> bool:
        try:
            rows = await self._resolver.look_up(host, 0, socket.AF_UNSPEC)
        except OSError:
            return False  # it cannot be connected to either; that error says more
        return any(self._judge(str(address[0])) for *_, address in rows)
