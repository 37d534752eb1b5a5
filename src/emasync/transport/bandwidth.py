"""The cap on bytes per second, over all origins."""

from __future__ import annotations

from emasync.model.clock import Clock

BURST_S = 0.25
"""Seconds' worth of bytes that may come at once: small enough for a smooth rate, large enough for big reads."""

MIN_PORTION_BYTES = 16 << 10
MAX_PORTION_BYTES = 1 << 30


class Bandwidth:
    """A token bucket that goes into debt: bytes are counted when they have come, the debt is slept off before more.

    Parameters
    ----------
    bytes_per_s : float or None
        None for no cap.
    clock : Clock
    """

    def __init__(self, bytes_per_s: float | None, clock: Clock) -> None:
        self._whole = self._rate = bytes_per_s
        self._clock = clock
        self._paid_until_s = clock.monotonic_s()

    def __repr__(self) -> str:
        return f"<Bandwidth {'unlimited' if self._rate is None else f'{self._rate:.0f} B/s'}>"

    @property
    def capped(self) -> bool:
        """Whether there is a cap."""
        return self._rate is not None

    def take_share(self, part: float) -> None:
        """Use this part of the cap from now on; the rest belongs to other processes.

        Parameters
        ----------
        part : float
            In (0, 1].
        """
        self._rate = None if self._whole is None else self._whole * part

    @property
    def portion_bytes(self) -> int:
        """Most bytes to ask for at once, so that a cap is kept smoothly; never so few that asking is the work."""
        return MAX_PORTION_BYTES if self._rate is None else max(MIN_PORTION_BYTES, int(self._rate * BURST_S))

    def charge(self, size_bytes: int) -> float:
        """Count `size_bytes`; gives the seconds to wait before more is read."""
        if self._rate is None:
            return 0.0
        now_s = self._clock.monotonic_s()
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + size_bytes / self._rate
        return max(0.0, self._paid_until_s - now_s)

    async def spend(self, size_bytes: int) -> None:
        """Count `size_bytes` and wait until the cap allows more. Call it outside of what the stall watch measures."""
        if (delay_s := self.charge(size_bytes)) > 0:
            await self._clock.sleep(delay_s)
