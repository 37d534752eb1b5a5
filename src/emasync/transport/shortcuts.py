"""Where redirects led, so that the other ranges of an object need not ask again. Nothing here is ever written down."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from emasync.model.clock import Clock
from emasync.model.location import Location

MAX_SHORTCUTS = 4096

MAX_LIFE_S = 600.0
"""A target without an end of its own is asked for anew after this: temporary redirects are temporary."""

RENEW_AT = 0.8
"""Part of a presigned URL's life after which a new one is fetched."""

_MOMENT = "%Y%m%dT%H%M%SZ"


def life_s(target: Location, now_s: float) -> float:
    """Seconds for which `target` may be asked from now on.

    Signature Version 4 of Amazon and Google name their beginning and life in the query, older signatures and
    CloudFront's only their end. A clock that is off makes a life shorter, never longer than it was told.

    Parameters
    ----------
    target : Location
        http(s).
    now_s : float
        Seconds since 1970-01-01 UTC.
    """
    told = {name.lower(): value for name, value in parse_qsl(target.query)}
    for prefix in ("x-amz-", "x-goog-"):
        began_s, whole_s = _moment_s(told.get(prefix + "date")), _number(told.get(prefix + "expires"))
        if began_s is not None and whole_s is not None:
            return min(MAX_LIFE_S, RENEW_AT * whole_s - max(0.0, now_s - began_s))
    end_s = _number(told.get("expires"))
    return MAX_LIFE_S if end_s is None else min(MAX_LIFE_S, RENEW_AT * (end_s - now_s))


def _moment_s(text: str | None) -> float | None:
    try:
        return datetime.strptime(text or "", _MOMENT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 12 else None  # noqa: PLR2004 - 30,000 years


@dataclass(slots=True)
class _Entry:
    """One known target; `renewed` while somebody finds out anew."""

    target: Location
    good_until_s: float
    renewed: asyncio.Event | None = None


class Shortcuts:
    """Targets by the location that was asked, the last used ones.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: OrderedDict[Location, _Entry] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Shortcuts for {len(self._entries)} locations>"

    async def take(self, asked: Location) -> Location | None:
        """Where to ask instead of `asked`; None: ask there.

        The first who meets a target at its end finds out anew (:meth:`renewing` holds when this has returned) and must
        :meth:`keep` or :meth:`give_up`; the others wait for that, and one of them takes over from whom it failed.
        """
        waited = False
        while (entry := self._entries.get(asked)) is not None:
            self._entries.move_to_end(asked)
            if entry.renewed is not None:
                await entry.renewed.wait()
                waited = True
            elif self._clock.monotonic_s() < entry.good_until_s:
                return entry.target
            else:
                entry.renewed = asyncio.Event()
                return None
        if waited:
            self._entries[asked] = _Entry(asked, 0.0, asyncio.Event())
        return None

    def renewing(self, asked: Location) -> bool:
        """Whether somebody finds out anew where `asked` leads."""
        entry = self._entries.get(asked)
        return entry is not None and entry.renewed is not None

    def give_up(self, asked: Location) -> None:
        """Whoever was to find out anew has ended; nothing happens if it did find out."""
        if self.renewing(asked):
            self.drop(asked)

    def keep(self, asked: Location, target: Location) -> None:
        """An answer for `asked` was accepted from `target`."""
        if target == asked:
            self.drop(asked)
            return
        entry = self._entries.get(asked)
        if entry is not None and entry.target == target and entry.renewed is None:
            return
        left_s = life_s(target, self._clock.time_s())
        self.drop(asked)
        if left_s > 0:
            self._entries[asked] = _Entry(target, self._clock.monotonic_s() + left_s)
            if len(self._entries) > MAX_SHORTCUTS:
                self.drop(next(iter(self._entries)))

    def drop(self, asked: Location) -> None:
        """Something went wrong on the way, or nobody wants to know any more: ask at `asked` the next time."""
        entry = self._entries.pop(asked, None)
        if entry is not None and entry.renewed is not None:
            entry.renewed.set()
