"""Addresses of hosts: looked up once for all who ask at a time, kept for a while, given out in turn."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from emasync.model.clock import Clock
from emasync.transport.resolver import AddressInfo, DaemonResolver

TTL_S = 10.0
"""Large services rotate their addresses every few seconds; the system's resolver knows the real lifetime."""

MAX_HOSTS = 1024

HostPort = tuple[str, int]


@dataclass(slots=True)
class _Entry:
    """One look-up, under way or done."""

    found: asyncio.Future[list[AddressInfo]]
    good_until_s: float
    turn: int = 0


class AddressBook:
    """Look-ups of one loop.

    Parameters
    ----------
    resolver : DaemonResolver
    clock : Clock
    """

    def __init__(self, resolver: DaemonResolver, clock: Clock) -> None:
        self._resolver = resolver
        self._clock = clock
        self._entries: dict[HostPort, _Entry] = {}

    def __repr__(self) -> str:
        return f"<AddressBook of {len(self._entries)} hosts>"

    async def find(self, host: str, port: int) -> list[AddressInfo]:
        """Addresses of `host`, beginning with another one at each call: connections spread over all of them.

        Parameters
        ----------
        host : str
            Name or address, without brackets.
        port : int

        Raises
        ------
        OSError
            The look-up failed, or found nothing.
        """
        if (literal := _literal(host, port)) is not None:
            return [literal]
        entry = self._entry((host, port))
        try:
            await asyncio.wait([entry.found])  # leaves it to the others when this one is cancelled
            rows = entry.found.result()
        except OSError:
            self.forget(host, port)
            raise
        if not rows:
            self.forget(host, port)
            raise OSError(f"{host} has no address")
        turn, entry.turn = entry.turn % len(rows), entry.turn + 1
        return rows[turn:] + rows[:turn]

    def _entry(self, place: HostPort) -> _Entry:
        now_s = self._clock.monotonic_s()
        entry = self._entries.get(place)
        if entry is None or (entry.found.done() and now_s >= entry.good_until_s):
            turn = 0 if entry is None else entry.turn
            if len(self._entries) >= MAX_HOSTS:
                self._entries.clear()
            found = self._resolver.look_up(*place, socket.AF_UNSPEC)
            entry = self._entries[place] = _Entry(found, now_s + TTL_S, turn)
        return entry

    def forget(self, host: str, port: int) -> None:
        """Look `host` up again for the next connection, even if a look-up is stuck."""
        self._entries.pop((host, port), None)


def _literal(host: str, port: int) -> AddressInfo | None:
    """The row of an IP address; None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:  # noqa: PLR2004 - the protocol's name
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))
    if "%" in host:  # a zone has a number, which the system knows
        return None
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0))
