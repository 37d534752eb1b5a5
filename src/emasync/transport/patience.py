"""How long to wait before another try: back-off, ``Retry-After``, rate headers. No I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

BASE_DELAY_S = 0.5
MAX_DELAY_S = 60.0
MAX_HOLD_S = 300.0
"""Longest that one answer may hold an origin; a server that needs more says so again."""

_EPOCH_S = 1_000_000_000
"""Larger reset values are moments (seconds since 1970), smaller ones delays; services send either."""


def backoff_s(failures: int, rng: random.Random) -> float:
    """Delay before the next try: full jitter over an exponentially growing span.

    Parameters
    ----------
    failures : int
        Failed tries so far, from 1.
    rng : random.Random
    """
    ceiling = min(MAX_DELAY_S, BASE_DELAY_S * 2.0 ** min(failures - 1, 16))
    return rng.uniform(0.0, ceiling)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110, section 10.2.3), capped; None when it does not.

    Parameters
    ----------
    headers : mapping
        Lower-case names.
    now_s : float
        Seconds since 1970-01-01 UTC, for the date form.
    """
    text = headers.get("retry-after", "").strip()
    delay_s = _number(text)
    if delay_s is None and text:
        try:
            delay_s = parsedate_to_datetime(text).timestamp() - now_s
        except (ValueError, OverflowError):
            return None
    return None if delay_s is None else min(max(delay_s, 0.0), MAX_HOLD_S)


def rate_hold_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds to hold an origin whose request budget is used up; None when it is not.

    Reads ``RateLimit-Remaining``/``RateLimit-Reset`` and their ``X-`` spellings.
    """
    for prefix in ("ratelimit-", "x-ratelimit-"):
        remaining, reset = _number(headers.get(prefix + "remaining")), _number(headers.get(prefix + "reset"))
        if remaining == 0 and reset is not None:
            delay_s = reset - now_s if reset > _EPOCH_S else reset
            return min(max(delay_s, 0.0), MAX_HOLD_S)
    return None


def _number(text: str | None) -> float | None:
    text = (text or "").strip()
    try:
        value = float(text) if text[:1].isdigit() else None
    except ValueError:
        return None
    return value if value is not None and value < float("inf") else None
