"""How long an origin keeps silent when all is well, and how long to wait for it, therefore (law 7). Pure."""

from __future__ import annotations

from math import log2

LEAST_SAMPLES = 16
FIRST_BYTE_FLOOR_S = 5.0
BODY_FLOOR_S = 2.0
FACTOR = 4.0
"""So many times the longest silence of 99 requests in 100 is no silence of theirs."""

QUANTILE = 0.99

BUDGET_A_REQUEST = 0.1
"""Part of the requests that may be given up before the policy's time: where more fall silent, it is the origin."""

MOST_BUDGET = 8.0
FIRST_BUDGET = 4.0

_SHORTEST_S = 1e-3
_STEPS = 4  # buckets an octave
_BUCKETS = 80  # up to 1,000 s
_KEPT = 1024  # samples after which all count half


class Silences:
    """The longest silence of each good request of one origin, and a budget of impatience.

    Silences that were cut short are never seen in full. So the budget: where silence is usual it is soon used up, the
    policy's patience holds again, and what is seen then makes the limits grow.
    """

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0
        self._usual_s: float | None = None
        self._budget = FIRST_BUDGET

    def __repr__(self) -> str:
        return f"<Silences: {self._total} samples, usually below {self._usual_s} s, {self._budget:.1f} to spend>"

    def learn(self, silence_s: float) -> None:
        """A request came to a good end; this was its longest silence."""
        bucket = int(log2(max(silence_s, _SHORTEST_S) / _SHORTEST_S) * _STEPS)
        self._counts[min(bucket, _BUCKETS - 1)] += 1
        self._total += 1
        self._budget = min(MOST_BUDGET, self._budget + BUDGET_A_REQUEST)
        if self._total >= _KEPT:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)
        self._usual_s = None

    def spend(self) -> None:
        """A request was given up before the policy's time."""
        self._budget -= 1.0

    def first_byte_s(self, policy_s: float) -> float:
        """How long to wait for an answer to begin; never longer than `policy_s`."""
        return self._limit_s(FIRST_BYTE_FLOOR_S, policy_s)

    def body_s(self, policy_s: float) -> float:
        """How long to wait for the next byte of a body; never longer than `policy_s`."""
        return self._limit_s(BODY_FLOOR_S, policy_s)

    def _limit_s(self, floor_s: float, policy_s: float) -> float:
        if self._total < LEAST_SAMPLES or self._budget < 1.0 or policy_s <= floor_s:
            return policy_s
        if self._usual_s is None:
            self._usual_s = self._quantile_s()
        return min(policy_s, max(floor_s, FACTOR * self._usual_s))

    def _quantile_s(self) -> float:
        """Upper edge of the bucket that holds the quantile."""
        beyond = self._total * (1 - QUANTILE)
        for bucket in range(_BUCKETS - 1, -1, -1):
            beyond -= self._counts[bucket]
            if beyond < 0:
                return float(_SHORTEST_S * 2.0 ** ((bucket + 1) / _STEPS))
        return 0.0
