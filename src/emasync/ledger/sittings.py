"""When a root was written to: a file changed at any other time was changed by somebody else."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass

MAX_SITTINGS = 200
"""More than these, and the two oldest become one: what was changed between them is not noticed by its time."""

SLACK_S = 5
"""Clocks of file servers and of this machine, and the grain of file times."""


@dataclass(frozen=True, slots=True)
class Sittings:
    """Times in which this program may have written files, in order and apart.

    Attributes
    ----------
    spans : tuple of (int, int)
        Seconds since 1970-01-01 UTC, both inclusive.
    """

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> Sittings:
        """What :attr:`text` gave; nothing from None."""
        return cls(tuple((int(start), int(stop)) for start, stop in json.loads(text))) if text else cls()

    @property
    def text(self) -> str:
        """For the ledger."""
        return json.dumps(self.spans)

    def with_one(self, opened_s: int, closed_s: int) -> Sittings:
        """And the time from `opened_s` to `closed_s`."""
        closed_s = max(opened_s, closed_s)  # a clock that went back
        spans = sorted((*self.spans, (opened_s, closed_s)))
        joined = [spans[0]]
        for start, stop in spans[1:]:
            if start <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((start, stop))
        while len(joined) > MAX_SITTINGS:
            joined[:2] = [(joined[0][0], joined[1][1])]
        return Sittings(tuple(joined))

    def hold(self, time_s: float) -> bool:
        """Whether this program may have written a file whose time is `time_s`."""
        index = bisect_right(self.spans, (int(time_s) + SLACK_S, 1 << 62)) - 1
        return index >= 0 and self.spans[index][0] - SLACK_S <= time_s <= self.spans[index][1] + SLACK_S
