"""The end of a large object: who has nothing else to do races its slowest range, within a budget (law 7).

A range is slow when it takes twice as long as the others took. The rest of it is asked for once more, over another
connection; who comes first ends the other. Both write the same bytes: nobody races without a strong validator. What
the slow one had brought by then is kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Protocol

import anyio

from emasync.model.clock import Clock
from emasync.model.digest import Span

SLOW: Final = 2.0
"""Times the usual duration."""

LEAST_S: Final = 1.0
"""Whatever is usual: a shorter wait is noise."""

LEAST_SAMPLES: Final = 3
"""Ranges that ended, before it is known what is usual."""

KEPT_SAMPLES: Final = 32

LEAST_BYTES: Final = 64 << 10
"""A shorter rest is not worth a request."""


class Landing(Protocol):
    """What receives a range."""

    @property
    def landed(self) -> int:
        """The first byte that was not handed to the disk yet."""
        ...


@dataclass(slots=True, eq=False)
class Flight:
    """One range under way (mutable: it is raced, and lost or won).

    Attributes
    ----------
    span : Span
    receiver : Landing
    began_s : float
        Monotonic.
    scope : CancelScope
        Ends the request.
    rival : Flight or None
        Who races it, or whom it races.
    races : bool
        It is the one that began later.
    lost_at : int or None
        Where the rival's bytes begin, who was first; bytes from there on are the rival's.
    """

    span: Span
    receiver: Landing
    began_s: float
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    rival: Flight | None = None
    races: bool = False
    lost_at: int | None = None

    @property
    def lost(self) -> bool:
        """Whether the rival was first."""
        return self.lost_at is not None

    def win(self) -> None:
        """All bytes are there: end the rival."""
        rival, self.rival = self.rival, None
        if rival is not None:
            rival.lost_at = self.span.start if self.races else rival.span.start
            rival.rival = None
            rival.scope.cancel()


@dataclass(slots=True)
class HedgeBudget:
    """Bytes of one origin that may be asked for twice. Mutable: counts.

    Attributes
    ----------
    share : float
        Of what was received of large objects; 0 forbids races.
    races, won, raced_bytes : int
        Races begun; those that the later request won; bytes that were asked for twice.
    """

    share: float
    races: int = 0
    won: int = 0
    raced_bytes: int = 0
    _received_bytes: int = 0

    def earn(self, size_bytes: int) -> None:
        """A range came."""
        self._received_bytes += size_bytes

    def spend(self, size_bytes: int, part_bytes: int) -> bool:
        """Whether so many bytes may be asked for again; counts them. One part may always."""
        if not self.share or self.raced_bytes + size_bytes > part_bytes + self.share * self._received_bytes:
            return False
        self.raced_bytes += size_bytes
        self.races += 1
        return True


class Flights:
    """Ranges of one object that are under way, and how long they usually take.

    Parameters
    ----------
    budget : HedgeBudget
    part_bytes : int
    clock : Clock
    """

    def __init__(self, budget: HedgeBudget, part_bytes: int, clock: Clock) -> None:
        self._budget = budget
        self._part_bytes = part_bytes
        self._clock = clock
        self._flying: list[Flight] = []
        self._durations_s: deque[float] = deque(maxlen=KEPT_SAMPLES)

    def __repr__(self) -> str:
        return f"<Flights {len(self._flying)} under way, {self._budget!r}>"

    def begin(self, span: Span, receiver: Landing, slow: Flight | None = None) -> Flight:
        """A request goes out; it races `slow`, if that is given."""
        flight = Flight(span, receiver, self._clock.monotonic_s(), rival=slow, races=slow is not None)
        if slow is not None:
            slow.rival = flight
        self._flying.append(flight)
        return flight

    def end(self, flight: Flight, *, whole: bool) -> None:
        """It ended; `whole`: with all its bytes. The rival is ended, or goes on alone."""
        self._flying.remove(flight)
        first = whole and not flight.lost
        if first:
            flight.win()
            self._durations_s.append(self._clock.monotonic_s() - flight.began_s)
            self._budget.earn(flight.span.size_bytes)
            self._budget.won += flight.races
        elif flight.rival is not None:
            flight.rival.rival = None
            flight.rival = None

    def rest_to_race(self) -> tuple[Flight, Span] | None:
        """The slowest range that may be raced now, and what is missing of it; the budget is charged."""
        if len(self._durations_s) < LEAST_SAMPLES:
            return None
        limit_s = self._clock.monotonic_s() - max(SLOW * median(self._durations_s), LEAST_S)
        for flight in self._flying:  # the oldest first
            rest = Span(flight.receiver.landed, flight.span.stop)
            alone = flight.rival is None and not flight.races and not flight.lost
            if not alone or flight.began_s > limit_s or rest.size_bytes < LEAST_BYTES:
                continue
            return (flight, rest) if self._budget.spend(rest.size_bytes, self._part_bytes) else None
        return None
