"""Time-outs on silence and on crawling, never on totals (law 7).

Only time spent waiting for the network counts: not the receiver's time, not bandwidth pauses, not the time in which
the loop itself stood still. A heartbeat of the loop looks at all waits at once, so that a wait costs no task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from emasync.errors import StalledError
from emasync.model.clock import Clock
from emasync.settings import HostPolicy

T = TypeVar("T")

HEARTBEAT_S = 0.25
"""How often waits are looked at; time-outs are whole seconds."""

STANDSTILL_S = 2.0
"""A heartbeat that comes this late means that the process was stopped or the loop blocked, not the network."""


class Wait:
    """One wait for the network that is being measured."""

    __slots__ = ("limit_s", "scope", "since_s")

    def __init__(self, scope: asyncio.Timeout, since_s: float, limit_s: float) -> None:
        self.scope = scope
        self.since_s = since_s
        self.limit_s = limit_s


class Watch:
    """Looks at all waits of one loop.

    Parameters
    ----------
    clock : Clock
        What silence is measured with; the heartbeat itself comes from the loop.
    heartbeat_s : float
    """

    def __init__(self, clock: Clock, *, heartbeat_s: float = HEARTBEAT_S) -> None:
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
        late = []
        for wait in self._waits:
            wait.since_s += forgiven_s
            if now_s - wait.since_s >= wait.limit_s:
                late.append(wait)
        self._waits.difference_update(late)
        return late

    async def wait(self, awaitable: Awaitable[T], limit_s: float) -> T:
        """Await something of the network for at most `limit_s` seconds of silence.

        Raises
        ------
        TimeoutError
            Nothing came.
        """
        async with asyncio.timeout(None) as scope:
            wait = Wait(scope, self._clock.monotonic_s(), limit_s)
            self._waits.add(wait)
            try:
                return await awaitable
            finally:
                self._waits.discard(wait)


class Pace:
    """Silence and crawl of one body.

    Parameters
    ----------
    policy : HostPolicy
    clock : Clock
    watch : Watch
    name : str
        Of the object, for messages.
    """

    __slots__ = ("_bytes", "_clock", "_name", "_policy", "_spent_s", "_watch")

    def __init__(self, policy: HostPolicy, clock: Clock, watch: Watch, name: str) -> None:
        self._policy = policy
        self._clock = clock
        self._watch = watch
        self._name = name
        self._bytes = 0
        self._spent_s = 0.0

    async def answer(self, opening: Awaitable[T]) -> T:
        """Await connection and header of an answer.

        Raises
        ------
        StalledError
        """
        limit_s = self._policy.connect_timeout_s + self._policy.first_byte_timeout_s
        try:
            return await self._watch.wait(opening, limit_s)
        except TimeoutError as error:
            raise StalledError(f"{self._name}: no answer within {limit_s:g} s", location=self._name) from error

    async def piece(self, reading: Awaitable[bytes]) -> bytes:
        """Await the next bytes of a body.

        Raises
        ------
        StalledError
            Silence for the stall time-out, or a crawl over twice that.
        """
        began_s = self._clock.monotonic_s()
        try:
            data = await self._watch.wait(reading, self._policy.stall_timeout_s)
        except TimeoutError as error:
            raise StalledError(
                f"{self._name}: no byte for {self._policy.stall_timeout_s:g} s in the middle of the body",
                location=self._name,
            ) from error
        self._count(len(data), self._clock.monotonic_s() - began_s)
        return data

    def _count(self, size_bytes: int, spent_s: float) -> None:
        self._bytes += size_bytes
        self._spent_s += spent_s
        if self._spent_s < 2 * self._policy.stall_timeout_s:
            return
        rate = self._bytes / self._spent_s
        self._bytes, self._spent_s = 0, 0.0
        if rate < self._policy.crawl_bytes_per_s and size_bytes:
            raise StalledError(
                f"{self._name}: crawls at {rate:.0f} B/s, expected at least {self._policy.crawl_bytes_per_s:.0f} B/s",
                location=self._name,
            )
