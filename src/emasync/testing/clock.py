"""A clock that tests move by hand, or that jumps when everyone waits."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from itertools import count

_IDLE_ROUNDS = 50
"""Rounds of the loop without a new sleeper after which everyone is taken to wait."""


@dataclass(frozen=True, slots=True, order=True)
class _Sleeper:
    due_s: float
    number: int
    wake: asyncio.Future[None] = field(compare=False)


class ManualClock:
    """Implements :class:`emasync.model.clock.Clock` without waiting. Belongs to one event loop.

    Parameters
    ----------
    start_s : float
        First value of :meth:`monotonic_s`.
    epoch_s : float
        First value of :meth:`time_s`, seconds since 1970-01-01 UTC.
    autojump_s : float, optional
        Jump to the next sleeper once nothing touched the clock for so many real seconds. With 0 it jumps as soon as
        the loop has turned some rounds without news: right where nothing but this clock is waited for (no sockets,
        no threads). None: time stands still until :meth:`advance`.
    """

    def __init__(
        self, *, start_s: float = 1_000.0, epoch_s: float = 1_750_000_000.0, autojump_s: float | None = None
    ) -> None:
        self._now_s = start_s
        self._offset_s = epoch_s - start_s
        self._autojump_s = autojump_s
        self._sleepers: list[_Sleeper] = []
        self._numbers = count()
        self._timer: asyncio.Handle | None = None

    def __repr__(self) -> str:
        return f"<ManualClock at {self._now_s:g} s, {len(self._sleepers)} asleep>"

    @property
    def sleepers(self) -> int:
        """How many tasks sleep by this clock."""
        return sum(not sleeper.wake.done() for sleeper in self._sleepers)

    @property
    def next_due_s(self) -> float | None:
        """When the first sleeper is due, in :meth:`monotonic_s` time; None when nobody sleeps."""
        self._drop_cancelled()
        return self._sleepers[0].due_s if self._sleepers else None

    def monotonic_s(self) -> float:
        """Seconds that only grow, by hand."""
        return self._now_s

    def time_s(self) -> float:
        """Seconds since 1970-01-01 UTC, by hand."""
        return self._now_s + self._offset_s

    def set_time_s(self, time_s: float) -> None:
        """Set the wall clock (as NTP or a user would); the monotonic clock does not notice."""
        self._offset_s = time_s - self._now_s

    async def sleep(self, delay_s: float) -> None:
        """Wait until the clock was moved by `delay_s` seconds; gives way once when that is no time."""
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        sleeper = _Sleeper(self._now_s + delay_s, next(self._numbers), loop.create_future())
        heapq.heappush(self._sleepers, sleeper)
        self._arm(loop)
        await sleeper.wake

    def advance(self, delay_s: float) -> None:
        """Move both clocks forward and wake who is due, in order. They run when the caller next waits.

        Parameters
        ----------
        delay_s : float
            Not negative.

        Raises
        ------
        ValueError
            Time would run backwards.
        """
        if delay_s < 0:
            raise ValueError(f"time cannot go back by {-delay_s} s")
        self._wake_until(self._now_s + delay_s)

    async def run_for(self, delay_s: float) -> None:
        """Move forward step by step: each sleeper runs, and may sleep again, at the moment it was due."""
        end_s = self._now_s + delay_s
        await self._settle()
        while (due_s := self.next_due_s) is not None and due_s <= end_s:
            self._wake_until(due_s)
            await self._settle()
        self._wake_until(end_s)
        await self._settle()

    def _wake_until(self, now_s: float) -> None:
        self._now_s = max(self._now_s, now_s)
        while self._sleepers and self._sleepers[0].due_s <= self._now_s:
            sleeper = heapq.heappop(self._sleepers)
            if not sleeper.wake.done():
                sleeper.wake.set_result(None)

    def _drop_cancelled(self) -> None:
        while self._sleepers and self._sleepers[0].wake.done():
            heapq.heappop(self._sleepers)

    async def _settle(self) -> None:
        for _ in range(_IDLE_ROUNDS):
            await asyncio.sleep(0)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._autojump_s is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self._autojump_s > 0:
            self._timer = loop.call_later(self._autojump_s, self._jump, loop)
        else:
            self._timer = loop.call_soon(self._count_down, loop, _IDLE_ROUNDS)

    def _count_down(self, loop: asyncio.AbstractEventLoop, rounds: int) -> None:
        if rounds:
            self._timer = loop.call_soon(self._count_down, loop, rounds - 1)
        else:
            self._jump(loop)

    def _jump(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if (due_s := self.next_due_s) is not None:
            self._wake_until(due_s)
        if self.next_due_s is not None:
            self._arm(loop)
