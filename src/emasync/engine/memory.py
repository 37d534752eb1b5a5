"""Bytes between socket and disk: a budget that is also the back-pressure of a slow disk (law 4)."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """A view of a budget.

    Attributes
    ----------
    total_bytes, used_bytes, peak_bytes : int
    waiting : int
        Callers in the queue.
    """

    total_bytes: int
    used_bytes: int
    peak_bytes: int
    waiting: int


class MemoryBudget:
    """A fair counter of bytes.

    A request larger than the whole budget is granted when nothing else is out, so every holder can finish. Nobody who
    holds bytes needs more of them to give them back (a full slab goes to the disk at once), so there is no circle.

    Parameters
    ----------
    total_bytes : int
        Most bytes out at a time.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._used = 0
        self._peak = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __repr__(self) -> str:
        return f"<MemoryBudget {self._used}/{self._total} bytes, {len(self._queue)} waiting>"

    def statistics(self) -> MemoryStatistics:
        """Numbers of this moment."""
        return MemoryStatistics(self._total, self._used, self._peak, len(self._queue))

    def _fits(self, size_bytes: int) -> bool:
        return self._used == 0 or self._used + size_bytes <= self._total

    def _take(self, size_bytes: int) -> None:
        self._used += size_bytes
        self._peak = max(self._peak, self._used)

    async def acquire(self, size_bytes: int) -> None:
        """Take `size_bytes`, waiting in line."""
        if not self._queue and self._fits(size_bytes):
            self._take(size_bytes)
            return
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size_bytes, ticket))
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self.release(size_bytes)  # granted in the same turn as the cancellation
            else:
                self._queue.remove((size_bytes, ticket))
                self._grant()
            raise

    def acquire_now(self, size_bytes: int) -> bool:
        """Take `size_bytes` if they are there and nobody stands in line."""
        used = self._used + size_bytes
        if self._queue or (used > self._total and self._used):
            return False
        self._used = used
        self._peak = max(self._peak, used)
        return True

    def release(self, size_bytes: int) -> None:
        """Give `size_bytes` back."""
        self._used -= size_bytes
        if self._queue:
            self._grant()

    def _grant(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            size_bytes, ticket = self._queue.popleft()
            if not ticket.done():
                self._take(size_bytes)
                ticket.set_result(None)


class Slabs:
    """Reusable buffers of one size, counted against a budget.

    Parameters
    ----------
    budget : MemoryBudget
    size_bytes : int
        Of one slab.
    """

    def __init__(self, budget: MemoryBudget, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._budget = budget
        self._free: list[bytearray] = []

    async def take(self) -> bytearray:
        """Wait for memory; gives a slab with old content."""
        await self._budget.acquire(self.size_bytes)
        return self._free.pop() if self._free else bytearray(self.size_bytes)

    def give(self, slab: bytearray) -> None:
        """Take a slab back that nobody reads or writes any more (law 5)."""
        self._free.append(slab)
        self._budget.release(self.size_bytes)


GRAIN_BYTES = 16 << 10
"""Sizes of buffers are multiples of this: few kinds, so that most are used again."""

KEPT_BYTES = 8 << 20
"""Free buffers kept beyond the budget; a fresh one costs a page fault every 4 KiB."""


class Buffers:
    """Reusable buffers of any size for small objects, counted against a budget.

    Parameters
    ----------
    budget : MemoryBudget
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._free: dict[int, list[memoryview]] = {}
        self._kept_bytes = 0

    def take_now(self, size_bytes: int) -> memoryview | None:
        """A buffer of at least `size_bytes` with old content; None while memory is short."""
        capacity = _capacity(size_bytes)
        return self._pick(capacity) if self._budget.acquire_now(capacity) else None

    async def take(self, size_bytes: int) -> memoryview:
        """A buffer of at least `size_bytes` with old content; waits in line for memory."""
        capacity = _capacity(size_bytes)
        await self._budget.acquire(capacity)
        return self._pick(capacity)

    def _pick(self, capacity: int) -> memoryview:
        free = self._free.get(capacity)
        if free:
            self._kept_bytes -= capacity
            return free.pop()
        return memoryview(bytearray(capacity))

    def give(self, buffer: memoryview) -> None:
        """Take a buffer back that nobody reads or writes any more (law 5)."""
        capacity = len(buffer)
        if self._kept_bytes + capacity <= KEPT_BYTES:
            self._kept_bytes += capacity
            self._free.setdefault(capacity, []).append(buffer)
        self._budget.release(capacity)


def _capacity(size_bytes: int) -> int:
    return (size_bytes + GRAIN_BYTES - 1) // GRAIN_BYTES * GRAIN_BYTES or GRAIN_BYTES
