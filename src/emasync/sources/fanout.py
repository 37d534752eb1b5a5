"""Parallel listing in key order: one long listing as many short ones, side by side.

A bucket lists one page after the other, about a tenth of a second each. The key space behind the first page is cut
at folder names into half-open intervals; each is listed from its lower end to its upper. Where the cuts lie is a
matter of speed alone: every key lies in exactly one interval, and pages come out in key order, so that one key
still says where a listing stands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from emasync.transport.interface import ListPage

LANES = 8
"""Intervals listed at the same time; the origin's limiter may allow fewer."""

PAGES_AHEAD = 4
"""Pages that an interval may wait with before its turn (law 4): 8 x 4 pages of 1,000 rows are about 12 MB."""

LONG_PAGES, SHORT_PAGES = 16, 2
"""Intervals longer or shorter than this are made shorter or longer: a short one wastes half a page."""

MOST_MERGED = 256
"""Most folders of one interval."""

BEHIND_ALL = "\U0010ffff"
"""Greatest character in UTF-8 order."""

Listing = Callable[[str], AsyncGenerator[ListPage, None]]
"""Lists in key order what comes after a key."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open stretch of the key space.

    Attributes
    ----------
    start_after : str
        What a listing of it starts after; keys below `low` that come along are dropped.
    low : str
        Inclusive.
    high : str or None
        Exclusive; None: to the end.
    """

    start_after: str
    low: str
    high: str | None

    def holds(self, key: str) -> bool:
        """Whether `key` belongs here."""
        return key >= self.low and not self.behind(key)

    def behind(self, key: str) -> bool:
        """Whether `key` and all that follow lie behind this interval."""
        return self.high is not None and key >= self.high


def just_before(folder: str) -> str:
    """A key that sorts before all of `folder` (with its slash) and behind nearly all that comes earlier.

    The dot is the character before the slash.
    """
    return f"{folder.removesuffix('/')}.{BEHIND_ALL}"


class Cuts:
    """Hands out neighbouring intervals, and learns how many folders make a good one.

    Parameters
    ----------
    last : str
        Key that has been listed; all intervals lie behind it.
    names : iterable of str
        Sorted folder names behind `last`, each with a slash at its end.
    """

    def __init__(self, last: str, names: Iterable[str]) -> None:
        self._names = deque(names)
        self._next: tuple[str, str] | None = (last, last)
        self._merged = 1

    def __repr__(self) -> str:
        return f"<Cuts {len(self._names)} left, {self._merged} at once>"

    def next(self) -> Interval | None:
        """The interval after the last one given; None behind the end."""
        if self._next is None:
            return None
        start_after, low = self._next
        for _ in range(min(self._merged, len(self._names)) - 1):
            self._names.popleft()
        high = self._names.popleft() if self._names else None
        self._next = None if high is None else (just_before(high), high)
        return Interval(start_after, low, high)

    def learn(self, pages: int) -> None:
        """Take note of how many pages an interval had."""
        if pages < SHORT_PAGES:
            self._merged = min(2 * self._merged, MOST_MERGED)
        elif pages > LONG_PAGES:
            self._merged = max(1, self._merged // 2)


Item = ListPage | Exception | None
"""What a lane brings: pages, then its end (None) or why it broke."""


class Lane:
    """One interval under way."""

    def __init__(self, interval: Interval, listing: Listing) -> None:
        self._interval = interval
        self._listing = listing
        self._items: asyncio.Queue[Item] = asyncio.Queue(PAGES_AHEAD)

    async def run(self) -> None:
        """List the interval; an error waits for its turn like a page, so that what comes before it is kept."""
        end: Item = None
        try:
            async with aclosing(self._listing(self._interval.start_after)) as pages:
                async for page in pages:
                    if own := self._own(page):
                        await self._items.put(own)
                    if page.objects and self._interval.behind(page.objects[-1].key):
                        break
        except Exception as error:  # noqa: BLE001  # raised again by whoever takes the items, in key order
            end = error
        await self._items.put(end)

    def _own(self, page: ListPage) -> ListPage | None:
        objects = tuple(item for item in page.objects if self._interval.holds(item.key))
        return ListPage(objects=objects, last=False) if objects else None

    async def pages(self) -> AsyncIterator[ListPage]:
        """Pages of the interval, as they come."""
        while (item := await self._items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item


async def list_in_lanes(listing: Listing, cuts: Cuts, *, lanes: int = LANES) -> AsyncGenerator[ListPage, None]:
    """List all intervals of `cuts`, `lanes` of them at the same time, pages in key order.

    Close it (``aclosing``) when leaving early: the lanes end with it.

    Parameters
    ----------
    listing : callable
        Lists what comes after a key.
    cuts : Cuts
    lanes : int

    Raises
    ------
    TransportError
        As the listing, after all pages that come before it in key order.
    """
    running: deque[tuple[Lane, asyncio.Task[None]]] = deque()
    # No TaskGroup: around a yield it would wrap GeneratorExit, and cancel the consumer amid work of its own.
    try:
        while True:
            while len(running) < lanes and (interval := cuts.next()) is not None:
                lane = Lane(interval, listing)
                running.append((lane, asyncio.create_task(lane.run())))
            if not running:
                return
            count = 0
            async for page in running[0][0].pages():
                count += 1
                yield page
            running.popleft()
            cuts.learn(count)
    finally:
        await end_all(task for _, task in running)


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until all of them are over."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
