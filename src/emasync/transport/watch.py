"""Time-outs on silence and on crawling, never on totals (law 7).

Only time spent waiting for the network counts: not the receiver's time, not bandwidth pauses, not the time in which
the loop itself stood still. A heartbeat of the loop looks at all waits at once, so that a wait costs no task. Silence
is what a heartbeat sees: no byte more than at the one before, however much is waited for at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, Protocol, TypeVar

from emasync.errors import StalledError
from emasync.model.clock import Clock
from emasync.settings import HostPolicy

T = TypeVar("T")

HEARTBEAT_S = 0.25
"""How often waits are looked at; time-outs are whole seconds."""

STANDSTILL_S = 2.0
"""A heartbeat that comes this late means that the process was stopped or the loop blocked, not the network."""


class Judge(Protocol):
    """Decides whether a wait has lasted too long."""

    def look(self, now_s: float, forgiven_s: float) -> bool:
        """Whether it has; asked at each heartbeat.

        Parameters
        ----------
        now_s : float
            Of the monotonic clock.
        forgiven_s : float
            Seconds since the last look that are not the network's.
        """
        ...


class Patience:
    """Judges by the clock alone: for an answer that has not begun.

    Parameters
    ----------
    since_s, limit_s : float
    """

    __slots__ = ("_limit_s", "_since_s")

    def __init__(self, since_s: float, limit_s: float) -> None:
        self._since_s = since_s
        self._limit_s = limit_s

    def look(self, now_s: float, forgiven_s: float) -> bool:
        """See :class:`Judge`."""
        self._since_s += forgiven_s
        return now_s - self._since_s >= self._limit_s


class Wait(NamedTuple):
    """One wait for the network that is being measured."""

    scope: asyncio.Timeout
    judge: Judge


class Watch:
    """Looks at all waits of one loop.

    Parameters
    ----------
    clock : Clock
        What silence is measured with; the heartbeat itself comes from the loop.
    heartbeat_s : float
    on_beat : callable
        Called with each heartbeat.
    """

    def __init__(
        self, clock: Clock, *, heartbeat_s: float = HEARTBEAT_S, on_beat: Callable[[], None] = lambda: None
    ) -> None:
        self._on_beat = on_beat
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._waits: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._beat_s = 0.0
        self._seen_s = 0.0

    def __repr__(self) -> str:
        return f"<Watch over {len(self._waits)} waits>"

    def start(self) -> None:
        """Begin the heartbeat on the running loop."""
        loop = asyncio.get_running_loop()
        self._beat_s, self._seen_s = loop.time(), self._clock.monotonic_s()
        self._timer = loop.call_later(self._heartbeat_s, self._beat, loop)

    def stop(self) -> None:
        """End the heartbeat."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        late_s = loop.time() - self._beat_s - self._heartbeat_s
        self._beat_s = loop.time()
        for wait in self.sweep(self._clock.monotonic_s(), stood_still=late_s > STANDSTILL_S):
            wait.scope.reschedule(loop.time())  # cancels what is waited for, as a TimeoutError of that scope
        self._on_beat()
        self._timer = loop.call_later(self._heartbeat_s, self._beat, loop)

    def sweep(self, now_s: float, *, stood_still: bool = False) -> list[Wait]:
        """Waits that took too long, each once.

        Parameters
        ----------
        now_s : float
            Of the monotonic clock.
        stood_still : bool
            The time since the last sweep is not the network's: forgive it.
        """
        forgiven_s = now_s - self._seen_s if stood_still else 0.0
        self._seen_s = now_s
        late = [wait for wait in self._waits if wait.judge.look(now_s, forgiven_s)]
        self._waits.difference_update(late)
        return late

    async def wait(self, awaitable: Awaitable[T], judge: Judge) -> T:
        """Await something of the network until `judge` has had enough.

        Raises
        ------
        TimeoutError
            It has.
        """
        async with asyncio.timeout(None) as scope:
            wait = Wait(scope, judge)
            self._waits.add(wait)
            try:
                return await awaitable
            finally:
                self._waits.discard(wait)


class Manners(Protocol):
    """What is known of an origin, and what it is to be known by."""

    def first_byte_limit_s(self) -> float:
        """How long to wait for an answer to begin: as its policy says, or less."""
        ...

    def silence_limit_s(self) -> float:
        """How long to wait for the next byte of a body: as its policy says, or less."""
        ...

    def cut_short(self) -> None:
        """A wait was ended earlier than the policy says."""
        ...

    def bytes_came(self, size_bytes: int) -> None:
        """Bytes of a large answer came."""
        ...


class Body(Protocol):
    """What a pace is measured by: the body of an answer."""

    taken: int

    @property
    def received(self) -> int:
        """Grows with each byte that comes."""
        ...

    async def read(self) -> bytes:
        """Next bytes; empty at the end."""
        ...

    async def read_into(self, view: memoryview) -> int:
        """Fill `view` as far as the body goes."""
        ...


class Pace:
    """Silence and crawl of one answer: the :class:`Judge` of all waits for it.

    Parameters
    ----------
    policy : HostPolicy
    clock : Clock
    watch : Watch
    name : str
        Of the object, for messages.
    manners : Manners, optional
        Of the origin; without them only the policy counts.

    Attributes
    ----------
    large : bool
        The bytes of the body are told to the origin's manners as they come.
    longest_s : float
        The longest silence so far, the one before the answer included.
    """

    __slots__ = (
        "_body",
        "_clock",
        "_manners",
        "_name",
        "_policy",
        "_progress_s",
        "_seen",
        "_seen_s",
        "_told",
        "_verdict",
        "_watch",
        "_window_bytes",
        "_window_s",
        "large",
        "longest_s",
    )

    def __init__(
        self, policy: HostPolicy, clock: Clock, watch: Watch, name: str, manners: Manners | None = None
    ) -> None:
        self.large = False
        self.longest_s = 0.0
        self._manners = manners
        self._policy = policy
        self._clock = clock
        self._watch = watch
        self._name = name
        self._body: Body | None = None
        self._seen = 0  # bytes at the last look
        self._seen_s = 0.0  # when that was
        self._progress_s = 0.0  # when bytes had come for the last time
        self._told = 0  # bytes of the body that the manners know of
        self._window_bytes = 0  # bytes when the present span of judging a crawl began
        self._window_s = 0.0  # seconds waited in it
        self._verdict = ""

    async def answer(self, opening: Awaitable[T]) -> T:
        """Await connection and header of an answer.

        Raises
        ------
        StalledError
        """
        policy_s = self._policy.connect_timeout_s + self._policy.first_byte_timeout_s
        limit_s = self._first_byte_limit_s(policy_s)
        began_s = self._clock.monotonic_s()
        try:
            answer = await self._watch.wait(opening, Patience(began_s, limit_s))
        except TimeoutError as error:
            if self._manners is not None and limit_s < policy_s:
                self._manners.cut_short()
            raise StalledError(f"{self._name}: no answer within {limit_s:.3g} s", location=self._name) from error
        self.longest_s = self._clock.monotonic_s() - began_s
        return answer

    def _first_byte_limit_s(self, policy_s: float) -> float:
        """`policy_s`, unless the origin is known to be quicker; connections included."""
        limit_s = policy_s if self._manners is None else self._manners.first_byte_limit_s()
        return limit_s if limit_s < self._policy.first_byte_timeout_s else policy_s

    async def read(self, body: Body) -> bytes:
        """Await the next bytes of a body.

        Raises
        ------
        StalledError
            Silence for the stall time-out, or a crawl over twice that.
        """
        return await self._measured(body, body.read())

    async def fill(self, body: Body, view: memoryview) -> int:
        """Await the next bytes of a body in `view`, as many as fit; ``body.taken`` holds whatever happens.

        Raises
        ------
        StalledError
            As for :meth:`read`.
        """
        body.taken = 0
        return await self._measured(body, body.read_into(view))

    async def _measured(self, body: Body, reading: Coroutine[Any, Any, T]) -> T:
        if self._body is not body:
            self._body, self._window_bytes, self._window_s = body, body.received, 0.0
            self._told = 0
        if self._verdict:
            reading.close()
            raise self._stalled()
        self._seen, self._seen_s = body.received, self._clock.monotonic_s()
        self._progress_s = self._seen_s
        try:
            return await self._watch.wait(reading, self)
        except TimeoutError as error:
            raise self._stalled() from error
        finally:
            self.look(self._clock.monotonic_s(), 0.0)

    def _stalled(self) -> StalledError:
        return StalledError(f"{self._name}: {self._verdict}", location=self._name)

    def look(self, now_s: float, forgiven_s: float) -> bool:
        """See :class:`Judge`; what comes in the last moment is judged when more is waited for."""
        if self._body is None:
            return False
        self._window_s += max(0.0, now_s - self._seen_s - forgiven_s)
        self._progress_s += forgiven_s
        received, self._seen_s = self._body.received, now_s
        if received != self._seen:
            self.longest_s = max(self.longest_s, now_s - self._progress_s)
            self._seen, self._progress_s = received, now_s
        if self.large and self._manners is not None and received > self._told:
            self._manners.bytes_came(received - self._told)
            self._told = received
        self._verdict = self._verdict or self._silence(now_s) or self._crawl(received)
        return bool(self._verdict)

    def _silence(self, now_s: float) -> str:
        policy_s = self._policy.stall_timeout_s
        limit_s = policy_s if self._manners is None else min(policy_s, self._manners.silence_limit_s())
        if now_s - self._progress_s < limit_s:
            return ""
        if self._manners is not None and limit_s < policy_s:
            self._manners.cut_short()
        return f"no byte for {limit_s:.3g} s in the middle of the body"

    def _crawl(self, received: int) -> str:
        if self._window_s < 2 * self._policy.stall_timeout_s:
            return ""
        rate, least = (received - self._window_bytes) / self._window_s, self._policy.crawl_bytes_per_s
        self._window_bytes, self._window_s = received, 0.0
        return f"crawls at {rate:.0f} B/s, expected at least {least:.0f} B/s" if rate < least else ""
