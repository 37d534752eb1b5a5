"""The cap on bytes per second, over all origins."""

from __future__ import annotations

from emasync.model.clock import Clock
from emasync.model.timetable import BandwidthHours, bandwidth_at, resumes_at

BURST_S = 0.25
"""Seconds' worth of bytes that may come at once: small enough for a smooth rate, large enough for big reads."""

MIN_PORTION_BYTES = 16 << 10
MAX_PORTION_BYTES = 1 << 30
TIMETABLE_PORTION_BYTES = 1 << 20

LOOK_S = 1.0
"""Between two looks at the clock on the wall."""

LOOK_AGAIN_S = 60.0
"""Longest sleep in a pause: clocks are set, and machines are suspended."""


class Bandwidth:
    """A token bucket that goes into debt: bytes are counted when they have come, the debt is slept off before more.

    Parameters
    ----------
    bytes_per_s : float or None
        None for no cap.
    clock : Clock
    timetable : tuple of BandwidthHours
        Hours at which another cap holds.
    """

    def __init__(self, bytes_per_s: float | None, clock: Clock, timetable: tuple[BandwidthHours, ...] = ()) -> None:
        self._usual = self._whole = bytes_per_s
        self._share = 1.0
        self._clock = clock
        self._timetable = timetable
        self._looked_s = self._paid_until_s = clock.monotonic_s()
        self._look()

    def __repr__(self) -> str:
        rate = self._rate
        return f"<Bandwidth {'unlimited' if rate is None else f'{rate:.0f} B/s'}>"

    @property
    def capped(self) -> bool:
        """Whether there is a cap, now or at some hour."""
        return self._usual is not None or bool(self._timetable)

    @property
    def _rate(self) -> float | None:
        if self._timetable and self._clock.monotonic_s() - self._looked_s >= LOOK_S:
            self._look()
        return None if self._whole is None else self._whole * self._share

    def _look(self) -> None:
        """What the clock on the wall says; it may jump, at the next look it is right again."""
        self._looked_s = self._clock.monotonic_s()
        if self._timetable:
            self._whole = bandwidth_at(self._timetable, self._clock.time_s(), self._usual)

    def take_share(self, part: float) -> None:
        """Use this part of the cap from now on; the rest belongs to other processes.

        Parameters
        ----------
        part : float
            In (0, 1].
        """
        self._share = part

    @property
    def portion_bytes(self) -> int:
        """Most bytes to ask for at once, so that a cap is kept smoothly; never so few that asking is the work."""
        rate = self._rate
        if rate is None:  # where a cap may begin before the portion has come, it is no larger than need be
            return TIMETABLE_PORTION_BYTES if self._timetable else MAX_PORTION_BYTES
        return max(MIN_PORTION_BYTES, int(rate * BURST_S))

    def charge(self, size_bytes: int) -> float:
        """Count `size_bytes`; gives the seconds to wait before more is read."""
        rate = self._rate
        if not rate:  # no cap; or what was under way when a pause began, which is waited for otherwise
            return 0.0
        now_s = self._clock.monotonic_s()
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + size_bytes / rate
        return max(0.0, self._paid_until_s - now_s)

    @property
    def resumes_at_s(self) -> float | None:
        """Seconds since 1970-01-01 UTC until which the timetable lets nothing through; None while it does."""
        if self._rate != 0:
            return None
        now_s = self._clock.time_s()
        resumes_s = resumes_at(self._timetable, now_s, self._usual)
        if resumes_s is None:
            return now_s + LOOK_AGAIN_S  # never, as it stands; a clock that was set may say something else
        return resumes_s if resumes_s > now_s else None

    @property
    def pause_s(self) -> float:
        """Seconds until :attr:`resumes_at_s`."""
        resumes_s = self.resumes_at_s
        return 0.0 if resumes_s is None else max(0.0, resumes_s - self._clock.time_s())

    async def opened(self) -> None:
        """Wait while the timetable lets nothing through. Call it before a request is made."""
        while (pause_s := self.pause_s) > 0:
            await self._clock.sleep(min(pause_s, LOOK_AGAIN_S))

    @property
    def debt_s(self) -> float:
        """Seconds until what came is paid for; nothing more is read before."""
        owed_s = max(0.0, self._paid_until_s - self._clock.monotonic_s()) if self.capped else 0.0
        return max(owed_s, self.pause_s)

    async def spend(self, size_bytes: int) -> None:
        """Count `size_bytes` and wait until the cap allows more. Call it outside of what the stall watch measures."""
        if (delay_s := self.charge(size_bytes)) > 0:
            await self._clock.sleep(delay_s)
        await self.opened()
