"""Load on one origin at one setting: requests are sent, bytes go to memory, what comes of it is counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from emasync.api.bench_ladder import Measured, Setting
from emasync.api.bench_sample import Item, Sample
from emasync.errors import EmasyncError, RefusedError
from emasync.model.clock import Clock
from emasync.model.digest import Span, Validator
from emasync.model.location import Location
from emasync.settings import KIB
from emasync.transport.governed import GovernedFetcher
from emasync.transport.interface import HEAD_ROOM_BYTES, Head, LendingReceiver

ROOM_BYTES: Final = 256 * KIB
"""Memory of one connection: bytes are counted and overwritten."""

DRAIN_S: Final = 5.0
"""How long requests may go on behind their window; then their connections are closed."""

MOST_ERRORS: Final = 20
"""Errors in a row after which a setting is given up."""

MOST_TIMES: Final = 10_000


@dataclass(slots=True)
class Purse:
    """A budget of bytes. Each request pays before it is sent, so that it is never overdrawn."""

    left_bytes: int

    def pay(self, size_bytes: int) -> bool:
        """Take `size_bytes` out; False when there is not so much."""
        if size_bytes > self.left_bytes:
            return False
        self.left_bytes -= size_bytes
        return True


@dataclass(slots=True)
class Window:
    """What is counted of one setting, and whether there is more to be sent.

    Attributes
    ----------
    purse : Purse
        Of all settings.
    left_bytes : int
        Of this setting's share.
    ended : asyncio.Event
        Nothing is sent any more.
    """

    purse: Purse
    left_bytes: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    bytes: int = 0
    requests: int = 0
    errors: int = 0
    in_a_row: int = 0
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_TIMES))

    def admits(self, size_bytes: int, *, first: bool) -> bool:
        """Whether a request of `size_bytes` may be sent; it is paid for then. The window ends where it may not.

        Parameters
        ----------
        first : bool
            Of its connection: goes beyond the share, not beyond the budget.
        """
        fits = not self.ended.is_set() and (first or size_bytes <= self.left_bytes) and self.purse.pay(size_bytes)
        if fits:
            self.left_bytes -= size_bytes
        else:
            self.ended.set()
        return fits

    def came(self) -> None:
        """A request came to its good end."""
        self.requests += 1
        self.in_a_row = 0

    def failed(self) -> None:
        """A request did not."""
        self.errors += 1
        self.in_a_row += 1
        if self.in_a_row >= MOST_ERRORS:
            self.ended.set()

    def measured(self, setting: Setting, seconds: float, retries: int) -> Measured:
        """What it came to so far."""
        times = sorted(self.times_s)
        return Measured(
            setting=setting,
            seconds=seconds,
            bytes=self.bytes,
            requests=self.requests,
            errors=self.errors,
            retries=retries,
            first_byte_p50_s=_quantile(times, 0.5),
            first_byte_p95_s=_quantile(times, 0.95),
        )


def _quantile(times_s: list[float], part: float) -> float | None:
    return times_s[min(len(times_s) - 1, int(part * len(times_s)))] if times_s else None


class Counting(LendingReceiver):
    """Counts a body into a window and forgets it.

    Parameters
    ----------
    window : Window
    clock : Clock
    room : memoryview
        Overwritten again and again.
    span : Span or None
        What was asked for.
    """

    def __init__(self, window: Window, clock: Clock, room: memoryview, span: Span | None = None) -> None:
        self._window = window
        self._clock = clock
        self._room = room
        self._span = span
        self._asked_s: float | None = clock.monotonic_s()

    def begin(self, head: Head) -> None:
        """See :class:`~emasync.transport.interface.Receiver`."""
        if self._asked_s is not None:
            self._window.times_s.append(self._clock.monotonic_s() - self._asked_s)
            self._asked_s = None
        if self._span is not None and head.stop != self._span.stop:
            raise RefusedError(
                "the server answers a range with something else; large objects cannot be fetched in parts"
            )

    async def feed(self, data: bytes | memoryview) -> None:
        """See :class:`~emasync.transport.interface.Receiver`."""
        self._window.bytes += len(data)

    async def room(self) -> memoryview:
        """See :class:`~emasync.transport.interface.LendingReceiver`."""
        return self._room

    def took(self, size_bytes: int) -> None:
        """See :class:`~emasync.transport.interface.LendingReceiver`."""
        self._window.bytes += size_bytes

    async def put_down(self) -> None:
        """See :class:`~emasync.transport.interface.LendingReceiver`."""


@dataclass(slots=True)
class Sip:
    """A small object on its way; a :class:`~emasync.transport.interface.Parcel`."""

    item: Item
    key: str
    space: memoryview
    asked_s: float

    @property
    def size_bytes(self) -> int:
        """Announced size."""
        return self.item.size_bytes


class Sips:
    """Deals small objects to one connection; a :class:`~emasync.transport.interface.ParcelSource`.

    Parameters
    ----------
    items : iterator of Item
        Shared by all connections.
    window : Window
    clock : Clock
    space_bytes : int
        Of the largest object.
    """

    def __init__(self, items: Iterator[Item], window: Window, clock: Clock, space_bytes: int) -> None:
        self._items = items
        self._window = window
        self._clock = clock
        self._space = memoryview(bytearray(space_bytes + HEAD_ROOM_BYTES))
        self._first = True

    def next(self) -> Sip | None:
        """See :class:`~emasync.transport.interface.ParcelSource`; the next one comes after the last one arrived."""
        item = next(self._items)
        if not self._window.admits(item.size_bytes, first=self._first):
            return None
        self._first = False
        return Sip(item, key_of(item.location), self._space, self._clock.monotonic_s())

    def enlarge(self, _sip: Sip, _size_bytes: int) -> memoryview | None:
        """See :class:`~emasync.transport.interface.ParcelSource`: an object that grew goes the general way."""
        return None

    def arrived(self, sip: Sip, body: memoryview, _validator: Validator) -> None:
        """See :class:`~emasync.transport.interface.ParcelSource`."""
        self._window.bytes += len(body)
        self._window.times_s.append(self._clock.monotonic_s() - sip.asked_s)
        self._window.came()


def base_of(location: Location) -> Location:
    """The place that :func:`key_of` is appended to."""
    return Location(location.scheme, location.authority, "/" if location.scheme in ("http", "https") else "")


def key_of(location: Location) -> str:
    """Path below :func:`base_of`: the raw key of s3 and gs, the path as sent of http(s)."""
    return str(location).removeprefix(str(base_of(location)))


class Load:
    """Measures settings on one sample, one after the other; each goes on behind the last one's objects.

    Parameters
    ----------
    sample : Sample
    fetcher : GovernedFetcher
    clock : Clock
    purse : Purse
    end_s : float
        Monotonic time at which everything ends.
    """

    def __init__(self, sample: Sample, fetcher: GovernedFetcher, clock: Clock, purse: Purse, *, end_s: float) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._purse = purse
        self._end_s = end_s
        self._items = cycle(sample.items)
        self._largest_bytes = max(item.size_bytes for item in sample.items)
        self._ranges = Ranges(self._items)
        self.problem: EmasyncError | None = None

    async def measure(self, setting: Setting, *, share_bytes: int, share_s: float) -> Measured:
        """Load the origin until either share is used up.

        Parameters
        ----------
        setting : Setting
        share_bytes : int
            Each connection's first request may go beyond it.
        share_s : float
            Requests under way then are waited for :data:`DRAIN_S` more, not beyond the end of everything.
        """
        window = Window(self._purse, share_bytes)
        work = self._in_parts if setting.part_bytes is not None else self._whole
        began_s, retries = self._clock.monotonic_s(), self._retries()
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work(window, setting)) for _ in range(setting.connections)]
            timer = group.create_task(self._end(window, share_s))
            await window.ended.wait()
            measured = window.measured(setting, self._clock.monotonic_s() - began_s, self._retries() - retries)
            timer.cancel()
            left_s = min(DRAIN_S, self._end_s - self._clock.monotonic_s())
            await _drained(workers, group.create_task(self._clock.sleep(left_s)))
        return measured

    def _retries(self) -> int:
        return sum(origin.retries for origin in self._fetcher.statistics().values())

    async def _end(self, window: Window, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
        window.ended.set()

    async def _in_parts(self, window: Window, setting: Setting) -> None:
        """Fetch one range after the other."""
        room, first = memoryview(bytearray(ROOM_BYTES)), True
        while True:
            location, span = self._ranges.next(setting.part_bytes or self._largest_bytes)
            if not window.admits(span.size_bytes, first=first):
                return
            first = False
            receiver = Counting(window, self._clock, room, span)
            await self._counted(window, lambda: self._fetcher.transfer(location, receiver, span=span))  # noqa: B023 - awaited here

    async def _whole(self, window: Window, _setting: Setting) -> None:
        """Fetch small objects as a run does: over the express lane, and what it does not carry the general way."""
        sips = Sips(self._items, window, self._clock, self._largest_bytes)
        room = memoryview(bytearray(ROOM_BYTES))
        while (sip := sips.next()) is not None:
            place = sip.item.location
            encoded = place.scheme in ("http", "https")
            detour = await self._fetcher.express(base_of(place), sip, sips, encoded=encoded)
            if detour is not None:
                there, receiver = detour.parcel.item.location, Counting(window, self._clock, room)
                await self._counted(window, lambda: detour.transfer(there, receiver))  # noqa: B023 - awaited here

    async def _counted(self, window: Window, fetch: Callable[[], Awaitable[Head]]) -> None:
        try:
            await fetch()
        except EmasyncError as error:
            self.problem = error
            window.failed()
        else:
            window.came()


class Ranges:
    """Parts of objects, one behind the other, round and round.

    Parameters
    ----------
    items : iterator of Item
        Endless.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._item = next(items)
        self._offset = 0

    def next(self, part_bytes: int) -> tuple[Location, Span]:
        """The next part of up to `part_bytes`; the last one of an object is shorter."""
        if self._offset >= self._item.size_bytes:
            self._item, self._offset = next(self._items), 0
        start = self._offset
        self._offset = min(start + part_bytes, self._item.size_bytes)
        return self._item.location, Span(start, self._offset)


async def _drained(workers: list[asyncio.Task[None]], patience: asyncio.Task[None]) -> None:
    """Wait for the workers, as long as `patience` lasts."""
    while left := [worker for worker in workers if not worker.done()]:
        await asyncio.wait((*left, patience), return_when=asyncio.FIRST_COMPLETED)
        if patience.done():
            break
    for task in (*left, patience):
        task.cancel()
