"""No run is silent: when nothing moves, an event says why, and until when that is endured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from emasync.disk.writers import WriterStatistics
from emasync.engine.activities import Activity
from emasync.model.clock import Clock
from emasync.model.events import Event, EventValue, OnEvent
from emasync.transport.interface import OriginStatistics

LOOK_S: Final = 1.0

SILENT_S: Final = 12.0
"""Without news for so long, and for each further time as long, the cause is told: with a look a second that is within
the 15 s that are promised, also on a busy loop."""

MOST_CAUSES: Final = 3
"""Told at once; the others wait for the same things, as a rule."""

Why = Literal[
    "bandwidth",
    "checking",
    "hashing",
    "disk",
    "held",
    "unanswered",
    "no_bytes",
    "back_off",
    "no_slot",
    "listing",
    "step",
]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why nothing moves.

    Attributes
    ----------
    why : str
        Stable name.
    message : str
    until_s : float or None
        Monotonic time until which that is endured; None where nothing is given up for it.
    """

    why: Why
    message: str
    until_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a run is about at one moment.

    Attributes
    ----------
    origins : mapping of str to OriginStatistics
    disk : WriterStatistics or None
    activities : tuple of Activity
    bandwidth_debt_s : float
        For so long the cap on the bandwidth lets nothing more be read.
    resumes_at_s : float or None
        Seconds since 1970-01-01 UTC until which the timetable of the bandwidth lets nothing through.
    """

    origins: Mapping[str, OriginStatistics] = field(default_factory=dict)
    disk: WriterStatistics | None = None
    activities: tuple[Activity, ...] = ()
    bandwidth_debt_s: float = 0.0
    resumes_at_s: float | None = None


@dataclass(slots=True)
class _Disk:
    """Since when no job of the disk has ended."""

    done: int = -1
    since_s: float = 0.0

    def waits_s(self, disk: WriterStatistics | None, now_s: float) -> float:
        if disk is None or disk.done != self.done or not disk.running:
            self.done, self.since_s = -1 if disk is None else disk.done, now_s
        return now_s - self.since_s


class Heartbeat:
    """An :data:`~emasync.model.events.OnEvent` that passes on what it hears, and speaks when it hears nothing new.

    Parameters
    ----------
    on_event : callable
    clock : Clock

    Attributes
    ----------
    step : str
        What the run is at, for when nothing else is known.
    """

    def __init__(self, on_event: OnEvent, clock: Clock) -> None:
        self.step = "starting"
        self._on_event = on_event
        self._clock = clock
        self._ask: Callable[[], Vitals] = Vitals
        self._disk = _Disk()
        self._news_s = self._told_s = clock.monotonic_s()
        self._progress: Mapping[str, EventValue] = {}

    def __repr__(self) -> str:
        return f"<Heartbeat {self.step!r}, silent for {self._clock.monotonic_s() - self._news_s:.0f} s>"

    def __call__(self, event: Event) -> None:
        """Hear and pass on."""
        if self._is_news(event):
            self._news_s = self._told_s = self._clock.monotonic_s()
        self._on_event(event)

    def _is_news(self, event: Event) -> bool:
        if event.event == "host":
            return False
        if event.event != "progress":
            return True
        before, self._progress = self._progress, event.fields
        return any(event.fields.get(name) != before.get(name) for name in event.fields if name != "bytes_per_s")

    def watch(self, ask: Callable[[], Vitals]) -> None:
        """Ask here what the run is about."""
        self._ask = ask

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Look once a second until the block ends."""
        looking = asyncio.create_task(self._run())  # a task group would wrap what the block raises
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})
        if not looking.cancelled():
            looking.result()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Tell why, when it is time to."""
        now_s, vitals = self._clock.monotonic_s(), self._ask()
        disk_s = self._disk.waits_s(vitals.disk, now_s)
        if now_s - self._told_s < SILENT_S:
            return
        self._told_s = now_s
        causes = [*causes_of(vitals, disk_s, now_s), *self._unseen()]
        self._on_event(Event("waiting", self._fields(causes[:MOST_CAUSES], now_s)))

    def _unseen(self) -> Iterator[Cause]:
        """What no count shows."""
        if self._progress and not self._progress.get("planned"):
            yield Cause("listing", f"listing; {self._progress.get('objects_total', 0):,} objects so far")
        yield Cause("step", self.step)

    def _fields(self, causes: list[Cause], now_s: float) -> dict[str, EventValue]:
        limits = [cause.until_s - now_s for cause in causes if cause.until_s is not None]
        silent_s = round(now_s - self._news_s, 1)
        words = "; ".join(f"{cause.message}{_until(cause, now_s)}" for cause in causes)
        return {
            "silent_s": silent_s,
            "causes": [cause.why for cause in causes],
            "deadline_s": round(max(0.0, min(limits)), 1) if limits else None,
            "message": f"nothing new for {silent_s:.0f} s: {words}",
        }


def _until(cause: Cause, now_s: float) -> str:
    if cause.until_s is None:
        return ""
    return f" (for {max(0.0, cause.until_s - now_s):.0f} s more at most)"


def causes_of(vitals: Vitals, disk_s: float, now_s: float) -> Iterator[Cause]:
    """Why nothing moves, what decides first.

    Parameters
    ----------
    vitals : Vitals
    disk_s : float
        How long no job of the disk has ended.
    now_s : float
        Monotonic.
    """
    if vitals.bandwidth_debt_s >= LOOK_S:
        yield Cause("bandwidth", _of_bandwidth(vitals.resumes_at_s), now_s + vitals.bandwidth_debt_s)
    for activity in vitals.activities:
        yield Cause(activity.doing, f"{activity.doing} {activity.what}")
    disk = vitals.disk
    if disk is not None and disk.running and disk_s >= LOOK_S:
        yield Cause("disk", f"the disk has ended none of {disk.running + disk.waiting} jobs for {disk_s:.0f} s")
    if vitals.resumes_at_s is not None:
        return  # nobody is asked anything
    for origin in vitals.origins.values():
        cause = _of_origin(origin, now_s)
        if cause is not None:
            yield cause


def _of_bandwidth(resumes_at_s: float | None) -> str:
    if resumes_at_s is None:
        return "the cap on the bandwidth"
    moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(resumes_at_s))
    return f"the timetable of the bandwidth lets nothing through until {moment}"


def _of_origin(seen: OriginStatistics, now_s: float) -> Cause | None:
    if seen.held_until_s is not None and seen.held_until_s > now_s:
        return Cause("held", f"{seen.origin} asked for patience", seen.held_until_s)
    if seen.gives_up_s is not None:
        return Cause("unanswered", f"{seen.origin} answers nothing", seen.gives_up_s)
    if seen.in_flight:
        flowed_s = now_s - (now_s if seen.flowed_s is None else seen.flowed_s)
        limit_s = None if seen.patience_s is None else now_s + seen.patience_s
        return Cause("no_bytes", f"{seen.origin}: {seen.in_flight} requests, no byte for {flowed_s:.0f} s", limit_s)
    if seen.asks_again_s is not None and seen.asks_again_s > now_s:
        return Cause("back_off", f"{seen.origin} is asked again after a failure", seen.asks_again_s)
    if seen.waiting:
        return Cause("no_slot", f"{seen.origin}: {seen.waiting} requests wait for one of {seen.limit} slots")
    return None
