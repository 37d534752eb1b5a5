"""Time as an argument, so that tests need not wait."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Source of time and of waiting."""

    def monotonic_s(self) -> float:
        """Seconds that only grow; no meaning of their own."""
        ...

    def time_s(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait for `delay_s` seconds."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_s(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def time_s(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        """Wait for `delay_s` seconds of the running loop."""
        await asyncio.sleep(delay_s)
