"""Limits of all origins, divided among the owner and its workers (law 6: all processes together)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from emasync.executors.messages import Alive, GivenUp, Hold, Share, Slots
from emasync.executors.rows import OriginRow
from emasync.executors.shares import Offer, ShareBook
from emasync.executors.tenancy import BANDWIDTH, PARTS
from emasync.model.clock import Clock
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.transport.interface import OriginStatistics

OWNER = 0
"""The owner's own requests (documents, listings): served before those of workers, who wait for what they say."""

Word = Share | Hold | GivenUp | Alive


class Hosts:
    """Who may use how much of each origin, and what the processes learnt about origins.

    Parameters
    ----------
    settings : Settings
        Host policies.
    clock : Clock
    send : callable
        Takes a tenant and what it must know.
    """

    def __init__(self, settings: Settings, clock: Clock, send: Callable[[int, Word], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._send = send
        self._books: dict[str, ShareBook] = {}
        self._met: set[tuple[int, str]] = set()
        self._held_until_s: dict[str, float] = {}
        self._given_up: dict[str, str] = {}
        self._rows: dict[int, dict[str, OriginRow]] = {}

    def __repr__(self) -> str:
        return f"<Hosts {self._books}>"

    def _book(self, origin: str) -> ShareBook:
        found = self._books.get(origin)
        if found is None:
            found = self._books[origin] = ShareBook(self._capacity(origin), first=OWNER)
        return found

    def _capacity(self, origin: str) -> int:
        if origin == BANDWIDTH:
            return PARTS
        return self._settings.policy(Location.parse(origin + "/")).max_connections

    def _offer(self, origin: str, offers: Iterable[Offer]) -> None:
        capacity = self._book(origin).capacity
        for tenant, slots, serial in offers:
            self._send(tenant, Share(origin, slots, capacity, serial))

    # --- what tenants say --------------------------------------------------------------------------------------

    def hear(self, tenant: int, said: Slots) -> None:
        """A tenant says what it wants and holds."""
        if (tenant, said.origin) not in self._met:
            self._met.add((tenant, said.origin))
            self._introduce(tenant, said.origin)
        book = self._book(said.origin)
        self._offer(said.origin, book.hear(tenant, wanted=said.wanted, held=said.held, serial=said.serial))

    def _introduce(self, tenant: int, origin: str) -> None:
        """What others learnt of an origin before this tenant came to it."""
        left_s = self._held_until_s.get(origin, 0.0) - self._clock.monotonic_s()
        if left_s > 0:
            self._send(tenant, Hold(origin, left_s))
        if origin in self._given_up:
            self._send(tenant, GivenUp(origin, self._given_up[origin]))

    def held(self, tenant: int, origin: str, delay_s: float) -> None:
        """An origin asked a tenant for patience: it holds all."""
        until_s = self._clock.monotonic_s() + delay_s
        self._held_until_s[origin] = max(until_s, self._held_until_s.get(origin, until_s))
        self._tell_others(tenant, Hold(origin, delay_s))

    def gave_up(self, tenant: int, origin: str, reason: str) -> None:
        """A tenant gave an origin up: it is out for all."""
        if origin not in self._given_up:
            self._given_up[origin] = reason
            self._tell_others(tenant, GivenUp(origin, reason))

    def report(self, tenant: int, rows: Iterable[OriginRow]) -> None:
        """Counts of a tenant; an origin that answered it is not dead to the others."""
        known = self._rows.setdefault(tenant, {})
        for row in rows:
            before = known.get(row.origin)
            known[row.origin] = row
            if row.answers > (0 if before is None else before.answers):
                self._revive(tenant, row.origin)

    def _revive(self, answered: int, origin: str) -> None:
        for tenant, rows in self._rows.items():
            if tenant != answered and (tenant, origin) in self._met and origin in rows and rows[origin].silent:
                self._send(tenant, Alive(origin))

    def _tell_others(self, tenant: int, word: Hold | GivenUp) -> None:
        for other, origin in self._met:
            if origin == word.origin and other != tenant:
                self._send(other, word)

    def leave(self, tenant: int) -> None:
        """A tenant is gone; its counts stay."""
        self._met = {(other, origin) for other, origin in self._met if other != tenant}
        for origin, book in self._books.items():
            self._offer(origin, book.leave(tenant))
        rows = self._rows.get(tenant, {})
        for origin, row in rows.items():
            rows[origin] = _at_rest(row)

    # --- what is asked -----------------------------------------------------------------------------------------

    def statistics(self) -> Mapping[str, OriginStatistics]:
        """State of each origin, all processes together."""
        origins: dict[str, list[OriginRow]] = {}
        for rows in self._rows.values():
            for origin, row in rows.items():
                origins.setdefault(origin, []).append(row)
        return {origin: self._sum(origin, rows) for origin, rows in origins.items()}

    def _sum(self, origin: str, rows: list[OriginRow]) -> OriginStatistics:
        held_until_s = self._held_until_s.get(origin, 0.0)
        return OriginStatistics(
            origin=origin,
            in_flight=sum(row.in_flight for row in rows),
            limit=self._book(origin).capacity,
            waiting=sum(row.waiting for row in rows),
            requests=sum(row.requests for row in rows),
            retries=sum(row.retries for row in rows),
            bytes_received=sum(row.bytes_received for row in rows),
            held_until_s=held_until_s if held_until_s > self._clock.monotonic_s() else None,
        )


def _at_rest(row: OriginRow) -> OriginRow:
    return OriginRow(
        origin=row.origin,
        in_flight=0,
        limit=0,
        waiting=0,
        requests=row.requests,
        retries=row.retries,
        bytes_received=row.bytes_received,
        answers=row.answers,
        silent=False,
    )
