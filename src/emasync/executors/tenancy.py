"""A process's part in the limits it shares with others; the owner has one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emasync.executors.messages import GivenUp, Held, Share, Slots
from emasync.executors.rows import OriginRow
from emasync.executors.values import clean
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.limiter import OriginLimiter

BANDWIDTH = ""
"""Stands for the cap on bytes per second where an origin is named."""

PARTS = 1024
"""The bandwidth is divided in so many parts."""

SPARE_PARTS = 64
"""Parts beyond those: a process that was offered none may still finish what it reads, at one part."""

TELL_AT_LEAST_S = 0.05
"""A hold that was longer by less than this is not told again."""

Note = Slots | Held | GivenUp


class Tenancy:
    """Asks for shares of limits and uses what it is offered; implements :class:`~emasync.transport.limiter.Sharing`.

    Parameters
    ----------
    tell : callable
        Takes what the owner must know.
    bandwidth_capped : bool
        Whether the bandwidth is divided too.
    """

    def __init__(self, tell: Callable[[Note], None], *, bandwidth_capped: bool) -> None:
        self._tell = tell
        self._limiters: dict[str, OriginLimiter] = {}
        self._serials: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._capped = bandwidth_capped
        self._bandwidth: Bandwidth | None = None
        self._parts = 0

    def __repr__(self) -> str:
        return f"<Tenancy {list(self._limiters.values())}>"

    def govern(self, bandwidth: Bandwidth) -> None:
        """Set the share of `bandwidth` from now on."""
        self._bandwidth = bandwidth
        bandwidth.take_share(1 / (PARTS + SPARE_PARTS))

    # --- what the limiters say ---------------------------------------------------------------------------------

    def join(self, limiter: OriginLimiter) -> None:
        """See :class:`~emasync.transport.limiter.Sharing`."""
        self._limiters[limiter.origin] = limiter

    def wants(self, limiter: OriginLimiter) -> None:
        """See :class:`~emasync.transport.limiter.Sharing`."""
        if limiter.wanted > self._told.get(limiter.origin, 0):
            self._mark(limiter.origin)
            if self._capped and not self._told.get(BANDWIDTH):
                self._mark(BANDWIDTH)

    def gave_back(self, limiter: OriginLimiter) -> None:
        """See :class:`~emasync.transport.limiter.Sharing`."""
        self._mark(limiter.origin)

    def held(self, limiter: OriginLimiter, delay_s: float) -> None:
        """See :class:`~emasync.transport.limiter.Sharing`."""
        if delay_s >= TELL_AT_LEAST_S:
            self._tell(Held(limiter.origin, delay_s))

    def given_up(self, limiter: OriginLimiter, reason: str) -> None:
        """See :class:`~emasync.transport.limiter.Sharing`."""
        self._tell(GivenUp(limiter.origin, clean(reason)))

    def _mark(self, origin: str) -> None:
        if not self._dirty:  # what many callers want in one turn of the loop is said once
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.add(origin)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for origin in sorted(dirty):  # the bandwidth first
            serial = self._serials.get(origin, 0)
            if origin == BANDWIDTH:
                wanted, held = self._wanted_parts(), self._parts
            else:
                limiter = self._limiters[origin]
                wanted, held = limiter.wanted, max(limiter.share or 0, limiter.in_flight)
            self._told[origin] = wanted
            self._tell(Slots(origin, wanted, held, serial))

    def _wanted_parts(self) -> int:
        return PARTS if any(limiter.wanted for limiter in self._limiters.values()) else 0

    # --- what the owner says -----------------------------------------------------------------------------------

    def offer(self, share: Share) -> None:
        """Use this much from now on; what is beyond it is given back as requests end."""
        self._serials[share.origin] = share.serial
        if share.origin == BANDWIDTH:
            lowered, self._parts = share.slots < self._parts, share.slots
            if self._bandwidth is not None:
                self._bandwidth.take_share(max(share.slots, 1) / (PARTS + SPARE_PARTS))
        elif (limiter := self._limiters.get(share.origin)) is not None:
            lowered = share.slots < (limiter.share or 0)
            limiter.rate_share = max(share.slots, 1) / share.capacity
            limiter.share = share.slots
        else:
            return
        if lowered:
            self._mark(share.origin)

    def hold(self, origin: str, delay_s: float) -> None:
        """The origin asked another process for patience."""
        if (limiter := self._limiters.get(origin)) is not None:
            limiter.keep_off(delay_s)

    def give_up(self, origin: str, reason: str) -> None:
        """The origin was given up by another process."""
        if (limiter := self._limiters.get(origin)) is not None:
            limiter.give_up(reason)

    def alive(self, origin: str) -> None:
        """The origin answered another process."""
        if (limiter := self._limiters.get(origin)) is not None:
            limiter.alive()

    # --- now and then ------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Say what is wanted no more, or newly wanted."""
        for origin, limiter in self._limiters.items():
            if limiter.wanted != self._told.get(origin, 0):
                self._mark(origin)
        if self._capped and self._wanted_parts() != self._told.get(BANDWIDTH, 0):
            self._mark(BANDWIDTH)

    def rows(self) -> list[OriginRow]:
        """Counts of all origins."""
        return [_row(limiter) for limiter in self._limiters.values()]


def _row(limiter: OriginLimiter) -> OriginRow:
    seen = limiter.statistics()
    return OriginRow(
        origin=seen.origin,
        in_flight=seen.in_flight,
        limit=seen.limit,
        waiting=seen.waiting,
        requests=seen.requests,
        retries=seen.retries,
        bytes_received=seen.bytes_received,
        answers=limiter.answers,
        silent=limiter.silent,
    )
