"""Hours of the day at which something else holds than usual. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

DAY_S: Final = 86_400
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY: Final = frozenset(range(7))
_A_WEEK_AND_TODAY: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthHours:
    """A cap on bytes per second at certain hours.

    Attributes
    ----------
    start_s, stop_s : int
        Seconds of the local day; the hours go over midnight where they stop before they start, and are the whole day
        where both are equal.
    bytes_per_s : float
        0: nothing is asked for.
    days : frozenset of int
        Weekdays on which they start, Monday is 0.
    """

    start_s: int
    stop_s: int
    bytes_per_s: float
    days: frozenset[int] = EVERY_DAY

    def hold(self, weekday: int, second: int) -> bool:
        """Whether it is such an hour."""
        if self.start_s < self.stop_s:
            return weekday in self.days and self.start_s <= second < self.stop_s
        yesterday = (weekday - 1) % 7
        return (weekday in self.days and second >= self.start_s) or (yesterday in self.days and second < self.stop_s)


def bandwidth_at(hours: Iterable[BandwidthHours], time_s: float, otherwise: float | None) -> float | None:
    """The cap at a moment: that of the first hours that hold.

    Parameters
    ----------
    hours : iterable of BandwidthHours
    time_s : float
        Seconds since 1970-01-01 UTC; hours are those of this machine's time zone.
    otherwise : float or None
        Outside of all hours.
    """
    local = time.localtime(time_s)
    return _cap(hours, local.tm_wday, local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec, otherwise)


def _cap(hours: Iterable[BandwidthHours], weekday: int, second: int, otherwise: float | None) -> float | None:
    return next((item.bytes_per_s for item in hours if item.hold(weekday, second)), otherwise)


def ever_open(hours: Sequence[BandwidthHours]) -> bool:
    """Whether there is a moment of the week at which something may come."""
    edges = {0, *(second % DAY_S for item in hours for second in (item.start_s, item.stop_s))}
    return any(_cap(hours, weekday, second, None) != 0 for weekday in EVERY_DAY for second in edges)


def resumes_at(hours: Sequence[BandwidthHours], time_s: float, otherwise: float | None) -> float | None:
    """When something may come (again): `time_s` itself where it may now; None for never.

    Parameters
    ----------
    hours, time_s, otherwise
        As for :func:`bandwidth_at`.
    """
    edges = sorted(edge for edge in _edges(hours, time_s) if edge > time_s)
    return next((moment for moment in (time_s, *edges) if bandwidth_at(hours, moment, otherwise) != 0), None)


def _edges(hours: Sequence[BandwidthHours], time_s: float) -> Iterator[float]:
    """Moments of a week at which hours begin or end, by the clock on the wall."""
    today = time.localtime(time_s)
    for days, item in product(range(_A_WEEK_AND_TODAY), hours):
        for second in (item.start_s, item.stop_s):
            hour, minute = divmod(second // 60, 60)
            yield time.mktime((today.tm_year, today.tm_mon, today.tm_mday + days, hour, minute, 0, 0, 0, -1))
