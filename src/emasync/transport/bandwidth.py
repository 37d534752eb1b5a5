"""The cap on bytes per second, over all origins."""

from __future__ import annotations

from emasync.model.clock import Clock
from emasync.model.timetable import BandwidthHours, bandwidth_at

BURST_S = 0.25
"""Seconds' worth of bytes that may come at once: small enough for a smooth rate, large enough for big reads."""

MIN_PORTION_BYTES = 16 << 10
MAX_PORTION_BYTES = 1 << 30
TIMETABLE_PORTION_BYTES = 1 << 20

LOOK_S = 1.0
"""Between two looks at the clock on the wall."""


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
        if rate is None:
            return 0.0
        now_s = self._clock.monotonic_s()
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + size_bytes / rate
        return max(0.0, self._paid_until_s - now_s)

    @property
    def debt_s(self) -> float:
        """Seconds until what came is paid for; nothing more is read before."""
        return max(0.0, self._paid_until_s - self._clock.monotonic_s()) if self.capped else 0.0

    async def spend(self, size_bytes: int) -> None:
        """Count `size_bytes` and wait until the cap allows more. Call it outside of what the stall watch measures."""
        if (delay_s := self.charge(size_bytes)) > 0:
            await self._clock.sleep(delay_s)
