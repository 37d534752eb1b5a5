"""The express lane: small whole objects of one place, one after the other over one connection, by plain calls.

A lane carries usual answers only: 200, with a length, as it was announced. Whatever else comes (another status, an
encoding, a broken connection, silence) ends the lane, and the object goes the general way
(:meth:`~emasync.transport.interface.Fetcher.transfer`), where all rules live. So the usual case costs neither a task
nor a future an object (law 11), and there is still one place that retries (law 8).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from enum import Enum
from typing import Generic
from urllib.parse import quote

from emasync.model.clock import Clock
from emasync.model.location import Location
from emasync.transport.answers import OK, suspicious, validator_of
from emasync.transport.interface import P, ParcelSource
from emasync.transport.limiter import OriginLimiter
from emasync.transport.patience import rate_hold_s
from emasync.transport.response_head import Framing, ResponseHead
from emasync.transport.wire import BrokenConnectionError, WireConnection
from emasync.transport.wire_answer import WireAnswer

CHECK_S = 0.5
"""How often a lane looks whether anything came."""

LEARN_EVERY = 8
"""How often the time of an object is remembered."""

STANDSTILL_S = 2.0
"""A look that comes this late means that the process was stopped or the loop blocked, not the network (law 7)."""

_LENGTH = Framing.LENGTH  # looked up for every answer
_PLAIN_KEY = re.compile(r"[A-Za-z0-9/._~\-]*")


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the requests of a lane go.

    Attributes
    ----------
    location : Location
        http(s) place.
    path : str
        What keys are appended to.
    safe : str
        Characters of a key that are not escaped there.
    encoded : bool
        Keys are URL paths already.
    suffix : str
        What follows the path in a request: version and fields, to the empty line.
    """

    location: Location
    path: str
    safe: str
    encoded: bool
    suffix: str

    def request(self, key: str) -> bytes | None:
        """The request for `key`; None for a key that cannot be sent this way."""
        if _PLAIN_KEY.fullmatch(key) is None:
            if self.encoded:
                return None
            key = quote(key, safe=self.safe)
        return f"GET {self.path}{key}{self.suffix}".encode("ascii")


class LaneEnd(Enum):
    """Why a lane ended."""

    DRY = "the source has nothing now"
    YIELD = "others have to be let in"
    CLOSED = "the connection carries no more requests"
    RESET = "a kept connection was closed before the answer began"
    ODD = "an object has to go the general way"


class Lane(Generic[P]):
    """One run over one connection; implements :class:`~emasync.transport.wire.Taker`.

    Parameters
    ----------
    connection : WireConnection
        Idle; the caller's again when :meth:`run` ended.
    source : ParcelSource
    aim : Aim
    limiter : OriginLimiter
        Whose slot the caller holds.
    clock : Clock

    Attributes
    ----------
    parcel : P or None
        Under way; after the end, the one that still has to be fetched (``RESET``, ``ODD``).
    delivered : int
        Parcels that arrived.
    head : ResponseHead or None
        After an odd end: header of the answer that did not fit, if it came.
    broken : BrokenConnectionError or None
        After an odd end: what became of the connection, if it broke; `kept` is what of the body had come by then.
    epoch : int
        Of the limiter, when the last request began.
    """

    def __init__(
        self, connection: WireConnection, source: ParcelSource[P], aim: Aim, limiter: OriginLimiter, clock: Clock
    ) -> None:
        self.parcel: P | None = None
        self.delivered = 0
        self.head: ResponseHead | None = None
        self.broken: BrokenConnectionError | None = None
        self.kept = b""
        self.epoch = limiter.epoch
        self._connection = connection
        self._source = source
        self._aim = aim
        self._limiter = limiter
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[LaneEnd] = self._loop.create_future()
        self._asked_at = 0
        self._asked_s = 0.0
        self._judged = (-1, 0, 0.0)  # request, bytes of the connection and moment that a crawl is counted from
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Lane {self._aim.location}: {self.delivered} delivered, {self._connection!r}>"

    async def run(self, first: P) -> LaneEnd:
        """Fetch `first`, then what the source gives, until the lane ends.

        Parameters
        ----------
        first : P
        """
        self._look_again(self._connection.received, self._clock.monotonic_s())
        try:
            self._ask(first)
            return await self._ended
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def take_answer(self, name: str) -> WireAnswer | None:
        """The odd answer, to be read on by the general way; None when no header came.

        Parameters
        ----------
        name : str
            Of the object, for messages.
        """
        if self.head is None:
            return None
        return WireAnswer.of_begun(name, self._connection, self.head, lambda *_: None, lost=self.broken, kept=self.kept)

    # --- asking ------------------------------------------------------------------------------------------------

    def _ask(self, parcel: P) -> None:
        self.parcel = parcel
        request = self._aim.request(parcel.key)
        if request is None:
            self._end(LaneEnd.ODD)
            return
        connection = self._connection
        self._asked_at = connection.received
        if (self.delivered + 1) % LEARN_EVERY == 0:
            self._asked_s = self._loop.time()
        self.epoch = self._limiter.epoch
        try:
            connection.ask(request, parcel.space, self)
        except BrokenConnectionError:
            self._end(LaneEnd.RESET)

    def _end(self, end: LaneEnd) -> None:
        if not self._ended.done():
            self._ended.set_result(end)

    # --- what the connection tells -------------------------------------------------------------------------------

    def on_head(self, head: ResponseHead) -> None:
        """See :class:`~emasync.transport.wire.Taker`."""
        parcel = self.parcel
        fields = head.fields
        if (
            parcel is None
            or head.status != OK
            or head.framing is not _LENGTH
            or "content-encoding" in fields
            or (parcel.size_bytes is not None and head.length != parcel.size_bytes)
            or suspicious(fields, parcel.key)
        ):
            self._odd(head)
            return
        if (
            ("ratelimit-remaining" in fields or "x-ratelimit-remaining" in fields)
            and (hold_s := rate_hold_s(fields, self._clock.time_s())) is not None
            and self._limiter.policy.rate_headers
        ):
            self._limiter.hold(hold_s)
        if head.end + head.length > len(parcel.space):
            space = self._source.enlarge(parcel, head.end + head.length)
            if space is None:
                self._odd(head)
            else:
                self._connection.move(space)

    def on_filled(self) -> None:
        """See :class:`~emasync.transport.wire.Taker`."""
        connection, parcel, head = self._connection, self.parcel, self._connection.head
        if parcel is None or head is None or self._ended.done():
            return  # an odd answer waits for its next taker
        self.parcel = None
        self.delivered += 1
        limiter = self._limiter
        limiter.served(head.length)
        if self.delivered % LEARN_EVERY == 0:
            limiter.learn(self._loop.time() - self._asked_s)
        body = connection.body
        usable = connection.release()
        self._source.arrived(parcel, body, validator_of(head.fields))
        if not usable:
            self._end(LaneEnd.CLOSED)
        elif limiter.wanted_back(self.delivered):
            self._end(LaneEnd.YIELD)
        elif (following := self._source.next()) is None:
            self._end(LaneEnd.DRY)
        else:
            limiter.requests += 1
            self._ask(following)

    def on_broken(self, error: BrokenConnectionError) -> None:
        """See :class:`~emasync.transport.wire.Taker`."""
        connection = self._connection
        self.head, self.broken, self.kept = connection.head, error, bytes(connection.body)
        untouched = connection.received == self._asked_at and not (error.malformed or error.silent)
        self._end(LaneEnd.RESET if untouched and connection.answers else LaneEnd.ODD)

    def _odd(self, head: ResponseHead) -> None:
        self.head = head
        self._end(LaneEnd.ODD)

    # --- silence ---------------------------------------------------------------------------------------------------

    def _look_again(self, received: int, since_s: float) -> None:
        self._timer = self._loop.call_later(CHECK_S, self._check, received, since_s, self._loop.time() + CHECK_S)

    def _check(self, received: int, since_s: float, due_s: float) -> None:
        """Abort a connection over which nothing came for too long, or next to nothing."""
        now_s = self._clock.monotonic_s()
        stood_still = self._loop.time() - due_s > STANDSTILL_S
        if received != self._connection.received or stood_still or self.parcel is None:
            received, since_s = self._connection.received, now_s
        limiter, waiting = self._limiter, self._connection.head is None
        limit_s = limiter.first_byte_limit_s() if waiting else limiter.silence_limit_s()
        if now_s - since_s >= limit_s:
            if limit_s < (limiter.policy.first_byte_timeout_s if waiting else limiter.policy.stall_timeout_s):
                limiter.cut_short()
            where = "before the answer" if waiting else "in the middle of the body"
            self._connection.abort(BrokenConnectionError(f"no byte for {limit_s:g} s {where}", silent=True))
        elif crawl := self._crawl(now_s, anew=stood_still or waiting or self.parcel is None):
            self._connection.abort(BrokenConnectionError(crawl, silent=True))
        elif not self._ended.done():
            self._look_again(received, since_s)

    def _crawl(self, now_s: float, *, anew: bool) -> str:
        """What is wrong with the speed of one body over twice the silence (law 7); empty when nothing is.

        Parameters
        ----------
        now_s : float
        anew : bool
            What was counted so far does not count.
        """
        policy, (request, before, since_s) = self._limiter.policy, self._judged
        if not anew and request == self._asked_at and now_s - since_s < 2 * policy.stall_timeout_s:
            return ""
        received = self._connection.received
        self._judged = (self._asked_at, received, now_s)
        if anew or request != self._asked_at:
            return ""
        rate, least = (received - before) / (now_s - since_s), policy.crawl_bytes_per_s
        return f"crawls at {rate:.0f} B/s, expected at least {least:.0f} B/s" if rate < least else ""
