"""Bad weather: what goes wrong at public archives, at a given rate, on any request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from emasync.testing.faults import Fault

TIMES = 2
"""How often one kind of fault may befall one object: weather passes."""

KINDS: Mapping[str, Fault] = {
    "reset before the answer": Fault(drop=True),
    "reset in the body": Fault(reset_after=150),
    "end in the body": Fault(close_after=150),
    "silence in the body": Fault(stall_after=150),
    "silence before the answer": Fault(delay_s=600.0),
    "drip": Fault(drip=50.0),
    "503": Fault(status=503),
    "429 with Retry-After": Fault(status=429, retry_after=0.1),
    "500": Fault(status=500),
    "truncated body": Fault(short_body=10),
    "body longer than told": Fault(long_body=10),
    "200 for a range": Fault(ranged=True, ignore_range=True),
    "header without end": Fault(garbage_headers=1000),
}
"""Faults that the next request may not meet: a run asks again by itself."""

LIES: Mapping[str, Fault] = {
    "error page with status 200": Fault(html_error=True),
    "truncated, and says so": Fault(truncate=7),
    "another range": Fault(ranged=True, wrong_content_range=5),
    "gzip on a range": Fault(ranged=True, gzip_range=True),
}
"""Faults that look like statements of the archive: a run reports them by name, and running it again asks again."""

PATIENCE = {"stall_timeout_s": 0.5, "first_byte_timeout_s": 0.7, "connect_timeout_s": 1.0}
"""Policy for a loopback archive in such weather: real silences take 10 to 60 s."""


def bad_weather(percent: float, kinds: Mapping[str, Fault] = KINDS) -> dict[str, Sequence[Fault]]:
    """Faults on `percent` of all requests, all kinds equally often.

    Parameters
    ----------
    percent : float
        0 to 100.
    kinds : mapping of str to Fault
    """
    one = percent / 100 / len(kinds)
    return {"*": [replace(fault, probability=one, seed=seed, times=TIMES) for seed, fault in enumerate(kinds.values())]}
