"""Hours of the day at which something else holds than usual. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

DAY_S: Final = 86_400
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY: Final = frozenset(range(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthHours:
    """A cap on bytes per second at certain hours.

    Attributes
    ----------
    start_s, stop_s : int
        Seconds of the local day; the hours go over midnight where they stop before they start, and are the whole day
        where both are equal.
    bytes_per_s : float
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
    second = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec
    return next((item.bytes_per_s for item in hours if item.hold(local.tm_wday, second)), otherwise)
