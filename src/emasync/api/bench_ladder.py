"""Which setting is measured next, and which one was the best. Pure: measurements in, settings out."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from emasync.settings import MIB

PART_SIZES: Final = (1 * MIB, 4 * MIB, 8 * MIB, 16 * MIB, 32 * MIB)

GROWTH: Final = 1.05
"""A setting is better from here on; less is noise on most networks."""

TROUBLED: Final = 0.05
"""Part of the requests that fail or are tried again, beyond which a setting is too much for the server."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured.

    Attributes
    ----------
    connections : int
        Requests in flight.
    part_bytes : int or None
        Size of the ranges of large objects; None where objects are fetched whole.
    """

    connections: int
    part_bytes: int | None = None

    @property
    def least_bytes(self) -> int:
        """One part for each connection."""
        return self.connections * (self.part_bytes or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one setting came to.

    Attributes
    ----------
    setting : Setting
    seconds : float
        Of the window that was measured; what was still under way at its end is not in the counts.
    bytes : int
    requests : int
        Objects, or ranges of objects, that came whole.
    errors, retries : int
    first_byte_p50_s, first_byte_p95_s : float or None
        From a request to the header of its answer; to the last byte of small objects, whose header and body are one
        packet. None: nothing was answered.
    """

    setting: Setting
    seconds: float
    bytes: int
    requests: int
    errors: int = 0
    retries: int = 0
    first_byte_p50_s: float | None = None
    first_byte_p95_s: float | None = None

    @property
    def goodput_bytes_per_s(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0

    @property
    def requests_per_s(self) -> float:
        """Objects, or ranges of them, per second."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    @property
    def pace(self) -> float:
        """What settings are compared by: objects a second where they are fetched whole, else bytes."""
        return self.requests_per_s if self.setting.part_bytes is None else self.goodput_bytes_per_s

    @property
    def troubled(self) -> bool:
        """Whether the server did not take it well."""
        return self.errors + self.retries > TROUBLED * (self.requests + self.errors)


Steps = Generator[Setting, Measured | None, None]


class Ladder:
    """Climbs from one connection to as many as pay, then through the sizes of parts.

    Parameters
    ----------
    cap : int
        Most connections.
    first_part_bytes : int or None
        Size of the parts while connections grow; None where objects are fetched whole.
    part_sizes : sequence of int
        Growing.

    Attributes
    ----------
    best : Measured or None
        The fastest so far, and no faster one was troubled.
    left : int
        Settings that may still come.
    """

    def __init__(self, *, cap: int, first_part_bytes: int | None, part_sizes: Sequence[int] = PART_SIZES) -> None:
        self.best: Measured | None = None
        self._rungs = tuple(rungs(cap))
        self._others = (
            () if first_part_bytes is None else tuple(size for size in part_sizes if size != first_part_bytes)
        )
        self.left = len(self._rungs) + len(self._others)
        self._steps = self._climb(first_part_bytes)
        self._begun = False

    def next(self, last: Measured | None = None) -> Setting | None:
        """The next setting; None at the end.

        Parameters
        ----------
        last : Measured or None
            What the setting before came to; None when it could not be measured.
        """
        try:
            setting = self._steps.send(last if self._begun else None)
        except StopIteration:
            self.left = 0
            return None
        self._begun = True
        return setting

    def _climb(self, part_bytes: int | None) -> Steps:
        yield from self._rise([Setting(count, part_bytes) for count in self._rungs], len(self._others))
        if self.best is None or part_bytes is None:
            return
        count = self.best.setting.connections
        larger = [Setting(count, size) for size in self._others if size > part_bytes]
        smaller = [Setting(count, size) for size in reversed(self._others) if size < part_bytes]
        yield from self._rise(larger, len(smaller))
        if self.best.setting.part_bytes == part_bytes:
            yield from self._rise(smaller, 0)

    def _rise(self, settings: Sequence[Setting], more: int) -> Steps:
        """Take `settings` in turn as long as each is better than the best; `more` may come behind them."""
        for number, setting in enumerate(settings):
            self.left = len(settings) - number + more
            measured = yield setting
            if measured is None or not self._better(measured):
                return
            self.best = measured

    def _better(self, measured: Measured) -> bool:
        if measured.pace <= 0 or (self.best is not None and measured.troubled):
            return False
        return self.best is None or measured.pace >= GROWTH * self.best.pace


def rungs(cap: int) -> Iterator[int]:
    """1, 2, 4, ... and `cap` itself."""
    count = 1
    while count < cap:
        yield count
        count *= 2
    yield cap


def first_part(budget_bytes: int, *, cap: int, part_bytes: int, part_sizes: Sequence[int] = PART_SIZES) -> int:
    """Size of the parts while connections grow: that of the policy, or less where the budget asks for it.

    All connections together get through two rounds with it, on an eighth of the budget.

    Parameters
    ----------
    budget_bytes : int
    cap : int
        Most connections.
    part_bytes : int
        Of the policy.
    part_sizes : sequence of int
        Growing.
    """
    affordable = budget_bytes // (16 * cap)
    return max((size for size in part_sizes if size <= min(affordable, part_bytes)), default=part_sizes[0])
