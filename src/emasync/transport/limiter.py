"""Limits belong to the origin (law 6): slots, request rate, holds, and whether it answers at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from emasync.errors import ErrorKind, TransientError
from emasync.model.clock import Clock
from emasync.settings import HostPolicy
from emasync.transport.adaptive import SETTLE_S, Controller
from emasync.transport.interface import OriginStatistics
from emasync.transport.meter import Meter
from emasync.transport.remembered import Remembered
from emasync.transport.silences import Silences
from emasync.transport.turnstile import Turnstile

FAIR_RUN = 64
"""Requests that one holder may send in a row while others wait for a slot."""

STANDSTILL_S = 2.0
"""A beat that comes so late: the process was stopped or the loop blocked. What was measured is not the network's."""

FLOWING_S = 1.0
"""So long after the last byte of anybody, silence is no matter of one connection."""


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
    what they say. How many at once is the controller's to find, up to the policy's ``max_connections``; here it is
    fed. Methods without ``await`` change the state.

    Parameters
    ----------
    origin : str
    policy : HostPolicy
    clock : Clock
    remembered : Remembered, optional
        What an earlier run found.

    Attributes
    ----------
    requests, retries, bytes_received, answers : int
        Counters; whoever asks keeps the first three.
    etags_unstable : bool
        Its replicas give one object different entity tags (law 3).
    rate_share : float
        Part of the policy's request rate that is this process's, in (0, 1].
    """

    def __init__(self, origin: str, policy: HostPolicy, clock: Clock, remembered: Remembered | None = None) -> None:
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
        self._controller = Controller(
            policy.max_connections,
            remembered.limit if remembered else policy.start_connections,
            proven=remembered is not None,
        )
        self._limit = self._room = self._controller.limit
        self._share: int | None = None
        self._sharing: Sharing | None = None
        self._slots = Turnstile(self._slots_now, self._wants)
        self._seats = Turnstile(self._seats_now, self._wants)
        self._target: OriginLimiter | None = None
        self._followers: list[OriginLimiter] = []
        self._beat_s = clock.monotonic_s()
        self._settled_s = self._flowing_s = self._beat_s
        self._meter = Meter(self._beat_s)
        self._silences = Silences()
        self._work_seen = self._work_told = 0
        self._work_resumed = 0  # of it, told when requests went out again after a hold
        self._stopped = False
        self._next_start_s = 0.0
        self._held_until_s: float | None = None
        self._silent_since_s: float | None = None
        self._asks_again_s: float | None = None
        self._given_up = False
        self._reason = ""

    def __repr__(self) -> str:
        held = "" if self._hold_s() <= 0 else f", held for {self._hold_s():.1f} s"
        gone = ", given up" if self._given_up else ""
        state = f"{self.in_flight} of {self._room} in flight, {self._slots.waiting} waiting"
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
        if self._slots.waiting or self._seats.waiting:
            self._wants()

    def _admit(self) -> None:
        self._slots.admit()
        for limiter in (self, *self._followers):
            limiter._seats.admit()  # noqa: SLF001 - of the same class

    def _slots_now(self) -> float:
        return float("inf") if self._given_up else self._room

    def _seats_now(self) -> float:
        return max(limiter._slots_now() for limiter in (self, self._target) if limiter is not None)  # noqa: SLF001 - own

    def _wants(self) -> None:
        if self._sharing is not None:
            self._sharing.wants(self)

    @property
    def in_flight(self) -> int:
        """Slots in use."""
        return self._slots.inside

    @property
    def wanted(self) -> int:
        """Slots in use and waited for, as far as the limit goes."""
        waited_for = self._slots.wanted + self._seats.wanted - self._seats.inside
        return max(self.in_flight, min(waited_for, self._limit))

    @property
    def full(self) -> bool:
        """Whether the next one has to wait for a slot."""
        return self.in_flight >= self._room

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """Hold a place of somebody who moves objects: as many as there are slots. Take it before memory (law 4)."""
        await self._seats.enter()
        try:
            yield
        finally:
            self._seats.leave()

    def leads_to(self, target: OriginLimiter) -> None:
        """Redirects lead elsewhere: there are as many seats as that origin has slots, if it has more."""
        if self._target is not target:
            if self._target is not None:
                self._target._followers.remove(self)  # noqa: SLF001 - of the same class
            self._target = target
            target._followers.append(self)
            self._seats.admit()

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
        await self._slots.enter(urgent=urgent)
        try:
            while (delay_s := self._take_turn()) > 0:
                await self._clock.sleep(delay_s)
            self.check()
            if self._stopped:
                self._stopped, self._work_resumed = False, self._work_told
            self.requests += 1
            self._meter.change(1, self._clock.monotonic_s())
            try:
                yield
            finally:
                self._meter.change(-1, self._clock.monotonic_s())
        finally:
            if self._sharing is not None and self.in_flight > self._room:
                self._slots.leave()
                self._sharing.gave_back(self)
            else:
                self._slots.leave()

    def wanted_back(self, served: int) -> bool:
        """Whether a slot that served so many requests in a row should be given back to let others in."""
        slots = self._slots
        return bool(
            (slots.waiting and (served % FAIR_RUN == 0 or slots.in_line(urgent=True)))
            or self._held_until_s is not None
            or self._given_up
            or slots.inside > self._room
        )

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
        self._stopped = True

    def backs_off(self, delay_s: float) -> None:
        """A request failed and goes again after `delay_s` seconds."""
        until_s = self._clock.monotonic_s() + delay_s
        self._asks_again_s = max(self._asks_again_s or until_s, until_s)

    # --- health ------------------------------------------------------------------------------------------------

    def answered(self) -> None:
        """The origin answered something, whatever it was."""
        self.answers += 1
        self._meter.answers += 1
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
        policy, silent_since_s = self.policy, self._silent_since_s
        dying = silent_since_s is not None and not self._given_up
        return OriginStatistics(
            origin=self.origin,
            in_flight=self.in_flight,
            limit=self._room,
            waiting=self._slots.waiting,
            requests=self.requests,
            retries=self.retries,
            bytes_received=self.bytes_received,
            held_until_s=self._held_until_s if self._hold_s() > 0 else None,
            cap=self.policy.max_connections,
            goodput_bytes_per_s=self._controller.goodput_bytes_per_s,
            phase=str(self._controller.phase),
            flowed_s=self._flowing_s,
            asks_again_s=self._asks_again_s,
            gives_up_s=(silent_since_s or 0.0) + policy.give_up_after_s if dying else None,
            patience_s=max(policy.connect_timeout_s + policy.first_byte_timeout_s, policy.stall_timeout_s),
        )

    # --- what the controller is told -----------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Counts the times the limit was lowered; whoever asks keeps it for :meth:`refused`."""
        return self._controller.epoch

    @contextmanager
    def idle(self) -> Iterator[None]:
        """The holder of a slot waits, and not for the network: for memory, the disk, a cap of ours."""
        self._meter.change(-1, self._clock.monotonic_s())
        try:
            yield
        finally:
            self._meter.change(1, self._clock.monotonic_s())

    def bytes_came(self, size_bytes: int) -> None:
        """Bytes of an answer of :data:`~emasync.transport.adaptive.OBJECT_BYTES` or more, or of unknown size."""
        self._work_told += 1
        self._meter.came(size_bytes)

    def object_came(self, size_bytes: int) -> None:
        """A whole answer of known size. Larger ones are told by :meth:`bytes_came`, or here, not in both ways."""
        self._work_told += 1
        self._meter.delivered(size_bytes)

    def served(self, size_bytes: int) -> None:
        """All of a usual answer in one call: :meth:`answered`, :meth:`object_came`, and its bytes."""
        self.answers += 1
        self.bytes_received += size_bytes
        self._silent_since_s = None
        self._work_told += 1
        self._meter.answers += 1
        self._meter.delivered(size_bytes)

    def learn(self, silence_s: float) -> None:
        """A request came to a good end; this was its longest silence."""
        self._silences.learn(silence_s)

    def stalled(self) -> None:
        """A request was given up for its silence."""
        self._meter.stalled += 1

    def first_byte_limit_s(self) -> float:
        """How long to wait for an answer to begin: as the policy says, or less where that is plainly long enough."""
        policy_s = self.policy.first_byte_timeout_s
        return self._silences.first_byte_s(policy_s) if self._flows else policy_s

    def silence_limit_s(self) -> float:
        """How long to wait for the next byte of a body."""
        policy_s = self.policy.stall_timeout_s
        return self._silences.body_s(policy_s) if self._flows else policy_s

    @property
    def _flows(self) -> bool:
        """Whether bytes come over other connections."""
        return self._beat_s - self._flowing_s <= FLOWING_S

    def cut_short(self) -> None:
        """A wait was ended earlier than the policy says."""
        self._silences.spend()

    def refused(self, epoch: int, who: int, *, throttled: bool) -> bool:
        """The origin threw a request back.

        Parameters
        ----------
        epoch : int
            :attr:`epoch` when the request began.
        who : int
            Tells requests apart: one that tries again and again is one.
        throttled : bool
            By an answer that says so (429, 503), not by a reset.

        Returns
        -------
        bool
            Whether the limit has been lowered since then: the request may go again as soon as it has a slot, and it
            is the limiter that was wrong.
        """
        if epoch == self.epoch and (throttled or self._meter.answers):  # a dead host is not a busy one
            limit = self._controller.refused(
                self._clock.monotonic_s(),
                epoch,
                who,
                throttled=throttled,
                held=throttled and self._hold_s() > 0,
                served=self._work_told != self._work_resumed,
            )
            self._apply(limit)
        return epoch != self.epoch

    def beat(self) -> None:
        """To be called a few times a second: closes windows, moves the limit."""
        now_s, last_s = self._clock.monotonic_s(), self._beat_s
        self._beat_s = now_s
        if self._work_told != self._work_seen:
            self._work_seen, self._flowing_s = self._work_told, now_s
        if now_s - last_s > STANDSTILL_S or now_s < self._settled_s or self._hold_s() > 0:
            self._meter.restart(now_s)
            return
        window = self._meter.window(now_s, self._limit)
        if self._controller.ripe(window):
            self._apply(self._controller.observe(window))
            self._meter.restart(now_s)

    def _apply(self, limit: int) -> None:
        if limit != self._limit:
            now_s = self._clock.monotonic_s()
            self._settled_s = now_s + SETTLE_S
            self._meter.restart(now_s)
            self.limit = limit

    @property
    def remembered(self) -> Remembered | None:
        """What the next run may begin with; None when nothing was found out."""
        found = self._controller.found
        return None if found is None else Remembered(found, self._controller.goodput_bytes_per_s)
