"""The loop around one fetch: slot, request, rules, body, back-off. The only place that retries (law 8)."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from emasync.errors import (
    ErrorKind,
    PreconditionFailedError,
    RangeNotSatisfiedError,
    RefusedError,
    StalledError,
    ThrottledError,
    TransientError,
    TransportError,
)
from emasync.model.clock import Clock
from emasync.model.events import Event, OnEvent
from emasync.model.location import Location
from emasync.transport import answers
from emasync.transport.adaptive import OBJECT_BYTES
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.delivery import Delivery, ReceiverError, put_down
from emasync.transport.dialogue import OpenAnswer, Session
from emasync.transport.interface import Head, Receiver
from emasync.transport.limiter import OriginGivenUpError, OriginLimiter
from emasync.transport.neighbourhood import Neighbourhood
from emasync.transport.object_store import Ask, ObjectStores
from emasync.transport.patience import rate_hold_s
from emasync.transport.pursuit import Pursuit
from emasync.transport.redirects import Trail
from emasync.transport.shortcuts import Shortcuts
from emasync.transport.watch import Pace, Watch
from emasync.transport.wire import BrokenConnectionError
from emasync.transport.wire_answer import WireAnswer, translated

ERROR_BODY_BYTES = 64 << 10
"""An error's body is read this far, for its code; what is longer costs its connection."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that an express lane has sent, and that did not go as usual.

    Attributes
    ----------
    take_answer : callable
        Told the object's name; the answer, or None when its header did not come.
    broken : BrokenConnectionError or None
        What became of the connection, if it broke.
    slot : AsyncExitStack
        Holds the origin's slot and the connection.
    epoch : int
        Of the limiter, when the request was sent.
    """

    take_answer: Callable[[str], WireAnswer | None]
    broken: BrokenConnectionError | None
    slot: AsyncExitStack
    epoch: int

    async def open(self, name: str) -> OpenAnswer:
        """As a session's: the answer.

        Raises
        ------
        TransientError
            There is none.
        """
        answer = self.take_answer(name)
        if answer is None:
            raise translated(name, self.broken or BrokenConnectionError("the connection was given up"))
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hop:
    """One request on its way: what for, to whom, at what pace."""

    pursuit: Pursuit
    receiver: Receiver
    session: Session
    asked: Location
    here: Location
    ask: Ask
    limiter: OriginLimiter
    pace: Pace
    trail: Trail
    epoch: int
    begun: Begun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Fetches what pursuits ask for, with the services of one run.

    Attributes
    ----------
    documents, data, headers : Session
        What asks for each.
    stores : ObjectStores
    watch : Watch
    bandwidth : Bandwidth
    clock : Clock
    rng : random.Random
    on_event : callable
    limiter_of : callable
        Limiter of a location's origin.
    neighbours : Neighbourhood
        Where requests and redirects may lead.
    shortcuts : Shortcuts
        Where redirects of data led.
    """

    documents: Session
    data: Session
    headers: Session
    stores: ObjectStores
    watch: Watch
    bandwidth: Bandwidth
    clock: Clock
    rng: random.Random
    on_event: OnEvent
    limiter_of: Callable[[Location], OriginLimiter]
    neighbours: Neighbourhood
    shortcuts: Shortcuts

    async def fetch(
        self, pursuit: Pursuit, asked: Location, receiver: Receiver, *, urgent: bool, begun: Begun | None = None
    ) -> Head:
        """Bring `pursuit` to its end.

        Parameters
        ----------
        pursuit : Pursuit
        asked : Location
            Where to begin; redirects lead on from there.
        receiver : Receiver
        urgent : bool
            A document: before bulk data, and whether its length is told or not.
        begun : Begun, optional
            The first request is under way.

        Raises
        ------
        EmasyncError
            A final answer, spent tries, or what the receiver raised.
        """
        if urgent or begun is not None:
            return await self._pursue(pursuit, asked, receiver, urgent=urgent, begun=begun)
        short = await self.shortcuts.take(asked)
        leads = short is None and self.shortcuts.renewing(asked)
        try:
            return await self._pursue(pursuit, asked, receiver, short=short)
        finally:
            if leads:
                self.shortcuts.give_up(asked)

    async def _pursue(
        self,
        pursuit: Pursuit,
        asked: Location,
        receiver: Receiver,
        *,
        urgent: bool = False,
        begun: Begun | None = None,
        short: Location | None = None,
    ) -> Head:
        """Hop by hop, try by try; `short` is where the redirects of `asked` led before."""
        here, trail = short or asked, None
        while True:
            limiter = self.limiter_of(here)
            try:
                if begun is None and self.bandwidth.capped:
                    await self.bandwidth.opened()
                async with limiter.slot(urgent=urgent) if begun is None else begun.slot:
                    ask = await self.stores.prepare(here, "HEAD" if pursuit.header_only else "GET")
                    self.neighbours.admit_location(ask.location)
                    trail = trail or Trail(pursuit.name, ask.location)
                    hop = _Hop(
                        pursuit=pursuit,
                        receiver=receiver,
                        session=self.headers if pursuit.header_only else self.documents if urgent else self.data,
                        asked=asked,
                        here=here,
                        ask=ask,
                        limiter=limiter,
                        pace=Pace(limiter.policy, self.clock, self.watch, pursuit.name, None if urgent else limiter),
                        trail=trail,
                        epoch=limiter.epoch if begun is None else begun.epoch,
                        begun=begun,
                    )
                    begun = None
                    there = await self._believed(hop)
            except ReceiverError as wrapped:
                raise wrapped.error from None
            except TransportError as error:
                self.shortcuts.drop(asked)
                if isinstance(error, TransientError) and not isinstance(error, OriginGivenUpError):
                    await self._back_off(hop, error)
                elif short is None:
                    raise
                here, trail, short = asked, None, None  # a redirect's target may have expired: begin where it began
                continue
            if there is None:
                assert pursuit.head is not None  # noqa: S101 - the exchange ended with an accepted answer
                return pursuit.head
            if there.origin != asked.origin and not urgent:
                self.limiter_of(asked).leads_to(self.limiter_of(there))
            here = there

    async def _back_off(self, hop: _Hop, error: TransientError) -> None:
        """The slot was given back; wait before the next try, or raise `error` when the tries are spent."""
        limiter, pursuit = hop.limiter, hop.pursuit
        if isinstance(error, ThrottledError) and error.retry_after_s:
            limiter.hold(error.retry_after_s)
        if isinstance(error, StalledError):
            limiter.stalled()
            hop.session.forget_addresses(hop.ask.location)
        if _blames_the_limit(error, hop) and pursuit.excuse():
            delay_s = 0.0
        else:
            delay_s = pursuit.failed(
                error, limiter.policy, answers_seen=limiter.answers, now_s=self.clock.monotonic_s(), rng=self.rng
            )
        limiter.retries += 1
        self.on_event(_failed_event(hop, error, delay_s))
        await put_down(hop.receiver)
        limiter.backs_off(delay_s)
        await self.clock.sleep(delay_s)

    async def _believed(self, hop: _Hop) -> Location | None:
        """:meth:`_exchange`; an answer that says that the object changed must say so more than once."""
        hop.pursuit.by_date = hop.limiter.etags_unstable
        try:
            return await self._exchange(hop)
        except PreconditionFailedError:
            if not hop.pursuit.doubt():
                raise
            return hop.here

    async def _exchange(self, hop: _Hop) -> Location | None:
        """One request and its answer; gives the place to ask next, None at the end."""
        headers = {**hop.pursuit.request_headers(), **hop.ask.headers}
        if hop.begun is None:
            opening = hop.session.open(hop.ask.location, headers, hop.limiter.policy, hop.pursuit.name)
        else:
            opening = hop.begun.open(hop.pursuit.name)
        try:
            answer = await hop.pace.answer(opening)
        except TransientError as error:
            hop.limiter.unanswered(error.message)
            raise
        hop.limiter.answered()
        async with answer:
            hold_s = rate_hold_s(answer.headers, self.clock.time_s())
            if hold_s is not None and hop.limiter.policy.rate_headers:
                hop.limiter.hold(hold_s)
            if answer.status in (answers.OK, answers.PARTIAL):
                if hop.pursuit.header_only:
                    hop.pursuit.accept(answer.status, answer.headers)
                else:
                    await self._body(hop, answer)
                return None
            return await self._other(hop, answer)

    async def _other(self, hop: _Hop, answer: OpenAnswer) -> Location | None:
        """An answer that is not the object."""
        body = await _error_body(answer, hop.pace)
        authorized = "Authorization" in hop.ask.headers
        if self.stores.learn(hop.here, answer.status, answer.headers, body, authorized=authorized):
            return hop.here
        if answer.status in answers.REDIRECTS:
            return await self._redirect(hop.trail, answer)
        error = answers.failure(
            answer.status, answer.headers, body, hop.pursuit.name, now_s=self.clock.time_s(), tried=hop.ask.tried
        )
        if isinstance(error, RangeNotSatisfiedError) and hop.pursuit.complete_at(error.total_bytes):
            return None
        raise error

    async def _redirect(self, trail: Trail, answer: OpenAnswer) -> Location:
        came = (trail.start, trail.here)
        there = trail.follow(answer.headers.get("location"))
        if there.authority != trail.start.authority and not await self.neighbours.may_lead(came, there):
            message = f"{trail.name}: a redirect from a public host to a private address ({there.authority}); refused"
            raise RefusedError(message, location=trail.name)
        return there

    async def _body(self, hop: _Hop, answer: OpenAnswer) -> None:
        """Read the body of a 200 or 206 into the receiver."""
        head = hop.pursuit.accept(answer.status, answer.headers)
        if hop.pursuit.dispelled():
            hop.limiter.flapped()
        if hop.session is self.data:
            self.shortcuts.keep(hop.asked, hop.here)
        delivery = Delivery(
            pursuit=hop.pursuit,
            receiver=hop.receiver,
            pace=hop.pace,
            limiter=hop.limiter,
            bandwidth=self.bandwidth,
        )
        size_bytes = None if head.stop is None else head.stop - head.start
        hop.pace.large = size_bytes is None or size_bytes >= OBJECT_BYTES
        await delivery.deliver(answer, head, hop.here)
        hop.limiter.learn(hop.pace.longest_s)
        if size_bytes is not None and not hop.pace.large:
            hop.limiter.object_came(size_bytes)


def _blames_the_limit(error: TransientError, hop: _Hop) -> bool:
    """Tell the limiter that a request was thrown back; whether it had let too many in."""
    throttled = isinstance(error, ThrottledError)
    cause = error.__cause__
    broke = isinstance(cause, OSError) or (
        isinstance(cause, BrokenConnectionError) and not (cause.malformed or cause.silent)
    )
    return (throttled or broke) and hop.limiter.refused(hop.epoch, id(hop.pursuit), throttled=throttled)


def _failed_event(hop: _Hop, error: TransientError, delay_s: float) -> Event:
    return Event(
        "stalled" if error.kind == ErrorKind.STALLED else "retry",
        {
            "origin": hop.limiter.origin,
            "location": hop.pursuit.name,
            "kind": str(error.kind),
            "message": error.message,
            "failures": hop.pursuit.failures,
            "delay_s": round(delay_s, 3),
        },
    )


async def _error_body(answer: OpenAnswer, pace: Pace) -> bytes:
    """The beginning of an error's body; what cannot be read of it is not missed."""
    data = b""
    try:
        while len(data) < ERROR_BODY_BYTES and (more := await pace.read(answer)):
            data += more
    except TransientError:
        return data
    return data[:ERROR_BODY_BYTES]
