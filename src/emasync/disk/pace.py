"""Where small batches are written: inline on the event loop, or in a thread. A policy without I/O.

Notes
-----
Measured with files of 64 KiB that a uvloop loop receives over one connection while the hop before is written, create to
rename, no sync (``bench/disk.py hops``; two busy processors, Python 3.11). Microseconds of wall time / of CPU a file,
receiving included, the fastest of four runs:

==============  ==========  ==========  ==========  ==========  ==========  ==========
files a hop     tmpfs 16    64          128         ext4 16     64          128
==============  ==========  ==========  ==========  ==========  ==========  ==========
inline          52 / 51     71 / 60     44 / 40     145 / 145   134 / 128   134 / 131
1 thread        71 / 63     63 / 57     49 / 53     153 / 148   145 / 137   136 / 129
2 threads       80 / 88     63 / 58     48 / 61     167 / 264   143 / 133   132 / 117
16 threads      122 / 129   63 / 57     70 / 81     216 / 299   151 / 133   148 / 134
==============  ==========  ==========  ==========  ==========  ==========  ==========

Runs differ by 10 us and more (both processors had other work). Beyond that, more threads gain nothing, and in
short hops cost the most, as they wait for each other around every kernel call (up to six switches a file); inline is
cheapest by 7-19 us in hops of 16, which keep a loop lively, and even with one thread in longer ones. On ext4 most
of the time is the kernel finding fresh memory for pages, wherever that happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

UNIT_BYTES = 64 << 10
"""A file counts as one unit of work, a larger one by its bytes."""

_BUDGET_S = 0.005
"""What one hop may take on the loop: connections notice nothing of it."""
_ENTER_S = 0.5 * _BUDGET_S
"""What the smallest hop must have taken before hops go inline: half, so that noise does not move them to and fro."""
_OUTLIER_S = 0.05
"""A hop that long was stopped: dirty pages throttled, a server that did not answer."""
_THREAD_OUTLIER_S = 0.5
"""The same in a thread, where waiting for the interpreter is part of it."""
_SMALLEST_UNITS = 8
_LARGEST_UNITS = 128
"""Longer hops gain nothing, and delay what was received first."""
_QUIET_S = 10.0
"""How long after an outlier the loop is not risked; doubled each time, up to:"""
_QUIET_AT_MOST_S = 640.0
_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class Hop:
    """How to write next.

    Attributes
    ----------
    inline : bool
        On the loop; else in one thread.
    files : int
        The most to be taken at once.
    size_bytes : int
        The most bytes to be taken at once.
    """

    inline: bool
    files: int
    size_bytes: int


@final
class WriterPlace:
    """Decides, hop by hop, from what the hops before have taken. For one thread (the loop's).

    Parameters
    ----------
    create_s : float or None
        Seconds that creating, writing and renaming a small file took at the start
        (:attr:`emasync.disk.probe.FilesystemFacts.create_s`); None, or too long: the first hop is a trial.
    network : bool
        The filesystem is shared by machines: never inline, whatever it took. A server may stop answering.
    clock : callable
        Monotonic seconds.

    Notes
    -----
    What a hop took in a thread includes waiting for the interpreter, so only hops on the loop are evidence for
    going there, and a trial is due when there is none: the smallest hop, once the quiet time since the last outlier is
    over. Each outlier on the loop doubles the quiet time, each quiet time that passes without one halves it.
    """

    def __init__(
        self, *, create_s: float | None = None, network: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._network = network
        self._clock = clock
        self._unit_s = create_s if create_s is not None else _BUDGET_S
        self._inline = not network and create_s is not None and create_s * _SMALLEST_UNITS <= _ENTER_S
        self._quiet_s = _QUIET_S
        self._since_s = clock() - _QUIET_S  # nothing was seen yet that speaks against a trial

    def __repr__(self) -> str:
        where = "inline" if self._inline else "in a thread"
        return f"<WriterPlace {where}, {self._unit_s * 1e6:.0f} us a file, quiet for {self._quiet_s:.0f} s>"

    def next_hop(self) -> Hop:
        """Where the next files are written, and how many at once."""
        if self._inline:
            units = min(max(int(_BUDGET_S / max(self._unit_s, 1e-6)), _SMALLEST_UNITS), _LARGEST_UNITS)
            return _hop(units, inline=True)
        trial = not self._network and self._clock() - self._since_s >= self._quiet_s
        return _hop(_SMALLEST_UNITS, inline=True) if trial else _hop(_LARGEST_UNITS, inline=False)

    def observed(self, hop: Hop, files: int, size_bytes: int, elapsed_s: float) -> None:
        """Take in how long a hop took.

        Parameters
        ----------
        hop : Hop
            As :meth:`next_hop` gave it.
        files, size_bytes : int
            What was written in it.
        elapsed_s : float
            From the first file created to the last one renamed, syncs not included.
        """
        now_s = self._clock()
        if elapsed_s > (_OUTLIER_S if hop.inline else _THREAD_OUTLIER_S):
            self._stopped(now_s, inline=hop.inline)
        elif hop.inline:
            self._went_well(now_s, elapsed_s / max(files, size_bytes / UNIT_BYTES, 1.0))

    def _stopped(self, now_s: float, *, inline: bool) -> None:
        if inline:
            self._quiet_s = min(2 * self._quiet_s, _QUIET_AT_MOST_S)
        self._since_s = now_s
        self._inline = False

    def _went_well(self, now_s: float, unit_s: float) -> None:
        if not self._inline:  # a trial: what was known is out of date
            self._unit_s, self._since_s = unit_s, now_s
            self._inline = unit_s * _SMALLEST_UNITS <= _ENTER_S
            return
        self._unit_s += _SMOOTHING * (unit_s - self._unit_s)
        if self._unit_s * _SMALLEST_UNITS > _BUDGET_S:
            self._inline, self._since_s = False, now_s
        elif now_s - self._since_s >= self._quiet_s:
            self._quiet_s, self._since_s = max(self._quiet_s / 2, _QUIET_S), now_s


def _hop(units: int, *, inline: bool) -> Hop:
    return Hop(inline, units, units * UNIT_BYTES)
