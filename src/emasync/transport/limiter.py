"""Limits belong to the origin (law 6): slots, request rate, holds, and whether it answers at all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from emasync.errors import ErrorKind, TransientError
from emasync.model.clock import Clock
from emasync.settings import HostPolicy
from emasync.transport.interface import OriginStatistics

FAIR_RUN = 64
"""Requests that one holder may send in a row while others wait for a slot."""


class OriginGivenUpError(TransientError):
    """The origin is out for this run: trying again now is pointless."""

    default_kind = ErrorKind.UNREACHABLE


class Sharing(Protocol):
    """Divides limits among processes; told on the loop, without awaiting, what the others must know."""

    def join(self, limiter: OriginLimiter) -> None:
        """A limiter was made; its share is set from now on."""
        ...

    def wants(self, limiter: OriginLimiter) -> None:
        """A caller waits for a slot."""
        ...

    def gave_back(self, limiter: OriginLimiter) -> None:
        """A slot beyond the share is free again."""
        ...

    def held(self, limiter: OriginLimiter, delay_s: float) -> None:
        """The server asked for patience."""
        ...

    def given_up(self, limiter: OriginLimiter, reason: str) -> None:
        """The origin was given up here."""
        ...


class OriginLimiter:
    """Who may ask one origin, and when.

    First come, first served within a class; documents and listings go before bulk data, because others wait for
    what they say. Methods without ``await`` change the state.

    Parameters
    ----------
    origin : str
    policy : HostPolicy
    clock : Clock

    Attributes
    ----------
    requests, retries, bytes_received, answers : int
        Counters; whoever asks keeps the first three.
    etags_unstable : bool
        Its replicas give one object different entity tags (law 3).
    rate_share : float
        Part of the policy's request rate that is this process's, in (0, 1].
    """

    def __init__(self, origin: str, policy: HostPolicy, clock: Clock) -> None:
        self.origin = origin
        self.policy = policy
        self.requests = 0
        self.retries = 0
        self.bytes_received = 0
        self.answers = 0
        self.etags_unstable = False
        self._flaps = 0
        self._clock = clock
        self.rate_share = 1.0
        self._limit = self._room = policy.max_connections
        self._share: int | None = None
        self._sharing: Sharing | None = None
        self._in_flight = 0
        self._waiting: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())
        self._next_start_s = 0.0
        self._held_until_s: float | None = None
        self._silent_since_s: float | None = None
        self._given_up = False
        self._reason = ""

    def __repr__(self) -> str:
        held = "" if self._hold_s() <= 0 else f", held for {self._hold_s():.1f} s"
        gone = ", given up" if self._given_up else ""
        state = f"{self._in_flight} of {self._room} in flight, {sum(map(len, self._waiting))} waiting"
        return f"<OriginLimiter {self.origin}: {state}{held}{gone}>"

    # --- slots -------------------------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Most requests in flight. Lowering it admits nobody until enough holders have ended."""
        return self._limit

    @limit.setter
    def limit(self, value: int) -> None:
        self._limit = max(1, value)
        self._make_room()

    def share_with(self, sharing: Sharing) -> None:
        """Use no slot before `sharing` gives a share, and tell it what other processes must know."""
        self._sharing = sharing
        self.share = 0
        sharing.join(self)

    @property
    def share(self) -> int | None:
        """Slots that are this process's, where the origin is shared with others; 0 admits nobody."""
        return self._share

    @share.setter
    def share(self, value: int | None) -> None:
        self._share = value
        self._make_room()

    def _make_room(self) -> None:
        self._room = self._limit if self._share is None else min(self._limit, self._share)
        self._admit()

    @property
    def in_flight(self) -> int:
        """Slots in use."""
        return self._in_flight

    @property
    def wanted(self) -> int:
        """Slots in use and waited for."""
        return self._in_flight + sum(not turn.done() for queue in self._waiting for turn in queue)

    @asynccontextmanager
    async def slot(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold one slot; waits for its turn, the request rate and any hold.

        Parameters
        ----------
        urgent : bool
            Documents and listings: before bulk data.

        Raises
        ------
        OriginGivenUpError
        """
        self.check()
        await self._enter(urgent=urgent)
        try:
            while (delay_s := self._take_turn()) > 0:
                await self._clock.sleep(delay_s)
            self.check()
            self.requests += 1
            yield
        finally:
            self._leave()

    def wanted_back(self, served: int) -> bool:
        """Whether a slot that served so many requests in a row should be given back to let others in."""
        urgent, bulk = self._waiting
        return bool(
            urgent
            or (bulk and served % FAIR_RUN == 0)
            or self._held_until_s is not None
            or self._given_up
            or self._in_flight > self._room
        )

    async def _enter(self, *, urgent: bool) -> None:
        if self._in_flight < self._room and not any(self._waiting):
            self._in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting[0 if urgent else 1]
        queue.append(turn)
        if self._sharing is not None:
            self._sharing.wants(self)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # admitted and cancelled in the same turn of the loop
                self._leave()
            else:
                with suppress(ValueError):  # whoever left meanwhile may have met the cancelled turn first
                    queue.remove(turn)
            raise

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._sharing is not None and self._in_flight >= self._room:
            self._sharing.gave_back(self)
        self._admit()

    def _admit(self) -> None:
        for queue in self._waiting:
            while queue and (self._in_flight < self._room or self._given_up):
                turn = queue.popleft()
                if not turn.done():
                    self._in_flight += 1
                    turn.set_result(None)

    # --- time --------------------------------------------------------------------------------------------------

    def _hold_s(self) -> float:
        if self._held_until_s is None:
            return 0.0
        left_s = self._held_until_s - self._clock.monotonic_s()
        if left_s <= 0:
            self._held_until_s = None
        return left_s

    def _take_turn(self) -> float:
        """Seconds to wait before asking again for the turn; 0 takes it."""
        now_s = self._clock.monotonic_s()
        delay_s = max(self._hold_s(), self._next_start_s - now_s)
        if delay_s <= 0 and self.policy.requests_per_second:
            self._next_start_s = now_s + 1.0 / (self.policy.requests_per_second * self.rate_share)
        return delay_s

    def hold(self, delay_s: float) -> None:
        """Start no request for `delay_s` seconds: the server asked for it."""
        self.keep_off(delay_s)
        if self._sharing is not None:
            self._sharing.held(self, delay_s)

    def keep_off(self, delay_s: float) -> None:
        """As :meth:`hold`, when another process was asked."""
        until_s = self._clock.monotonic_s() + delay_s
        self._held_until_s = max(self._held_until_s or until_s, until_s)

    # --- health ------------------------------------------------------------------------------------------------

    def answered(self) -> None:
        """The origin answered something, whatever it was."""
        self.answers += 1
        self._silent_since_s = None

    def unanswered(self, reason: str) -> None:
        """A request ended without any answer; long enough without one, the origin is given up for this run."""
        self._reason = reason
        now_s = self._clock.monotonic_s()
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        elif now_s - self._silent_since_s >= self.policy.give_up_after_s:
            self.give_up(reason)
            if self._sharing is not None:
                self._sharing.given_up(self, reason)

    @property
    def silent(self) -> bool:
        """Whether requests end without any answer."""
        return self._silent_since_s is not None

    def alive(self) -> None:
        """The origin answered another process."""
        self._silent_since_s = None

    def give_up(self, reason: str) -> None:
        """The origin is out for this run; whoever waits is told."""
        self._given_up = True
        self._reason = reason
        self._admit()

    def flapped(self) -> None:
        """An entity tag came back after another one was seen for the same object; the second time settles it."""
        self._flaps += 1
        self.etags_unstable = self._flaps > 1

    def check(self) -> None:
        """Fail fast for an origin that was given up.

        Raises
        ------
        OriginGivenUpError
        """
        if self._given_up:
            raise OriginGivenUpError(
                f"{self.origin} answered nothing for {self.policy.give_up_after_s:g} s and was given up for this run; "
                f"check the network and the name, then run again to resume. Last: {self._reason}",
                location=self.origin,
            )

    def statistics(self) -> OriginStatistics:
        """What is going on now."""
        return OriginStatistics(
            origin=self.origin,
            in_flight=self._in_flight,
            limit=self._room,
            waiting=sum(map(len, self._waiting)),
            requests=self.requests,
            retries=self.retries,
            bytes_received=self.bytes_received,
            held_until_s=self._held_until_s if self._hold_s() > 0 else None,
        )
