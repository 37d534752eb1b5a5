"""Which hosts lie inside: loopback and private addresses, which redirects from outside must not reach (law 14)."""

from __future__ import annotations

import socket

from emasync.model.location import Location
from emasync.transport.redirects import is_private
from emasync.transport.resolver import DaemonResolver
from emasync.transport.surroundings import Surroundings, host_of

MAX_REMEMBERED = 1024


class Neighbourhood:
    """Answers for hosts, remembering them.

    Parameters
    ----------
    resolver : DaemonResolver
    surroundings : Surroundings
        A host behind a proxy is the proxy's to judge.
    """

    def __init__(self, resolver: DaemonResolver, surroundings: Surroundings) -> None:
        self._resolver = resolver
        self._surroundings = surroundings
        self._known: dict[str, bool] = {}

    async def lies_inside(self, location: Location) -> bool:
        """Whether any address of the location's host is loopback, private or link-local.

        Parameters
        ----------
        location : Location
            http(s).
        """
        host = host_of(location)
        literal = is_private(host)
        if literal is not None:
            return literal
        if self._surroundings.proxy_for(location) is not None:
            return False
        if host not in self._known:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[host] = await self._look_up(host)
        return self._known[host]

    async def _look_up(self, host: str) -> bool:
        try:
            rows = await self._resolver.look_up(host, 0, socket.AF_UNSPEC)
        except OSError:
            return False  # it cannot be connected to either; that error says more
        return any(is_private(str(address[0])) for *_, address in rows)
