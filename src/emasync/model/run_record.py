"""What a run leaves of itself beside its receipt: how fast it went, whom it asked, what it warned of. All bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from emasync.model.receipt import Failure

MOST_SAMPLES: Final = 600
"""Points of a series: more than a chart has pixels to show. Even, see :meth:`Series.add`."""

MOST_HOSTS: Final = 100
"""Origins that are named."""

MOST_WARNINGS: Final = 200
"""Warnings that are kept in words; the rest is counted."""


class Sample(NamedTuple):
    """Where a run stood at some moment.

    Attributes
    ----------
    after_s : float
        Since the run began.
    received_bytes : int
        From the network, by this run.
    placed_objects : int
        By this run.
    """

    after_s: float
    received_bytes: int
    placed_objects: int


class Series:
    """Samples of a run, evenly thinned out where they become too many (law 4).

    Samples are sums, so that what is left after thinning still says exactly what happened between two of them.

    Parameters
    ----------
    limit : int
        Samples that are kept; even.
    """

    def __init__(self, limit: int = MOST_SAMPLES) -> None:
        self._limit = limit
        self._kept: list[Sample] = []
        self._every = 1
        self._told = 0
        self._last: Sample | None = None

    def __repr__(self) -> str:
        return f"<Series {len(self._kept)} of {self._told} samples>"

    def add(self, sample: Sample) -> None:
        """Take the next sample."""
        if self._told % self._every == 0:
            if len(self._kept) == self._limit:
                del self._kept[1::2]
                self._every *= 2
            self._kept.append(sample)
        self._told += 1
        self._last = sample

    def samples(self) -> tuple[Sample, ...]:
        """What is left, the last one told included."""
        if self._last is None or self._last is self._kept[-1]:
            return tuple(self._kept)
        return (*self._kept, self._last)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What a run had to do with one origin.

    Attributes
    ----------
    origin : str
    requests, retries, stalls : int
        Stalls are requests that were given up for their silence.
    received_bytes : int
    connections : int
        Most requests at once that were seen (looked at once a second); 0 where the run was too short to look.
    cap : int
        Most that the policy allows; 0 where nobody knows.
    """

    origin: str
    requests: int
    retries: int = 0
    stalls: int = 0
    received_bytes: int = 0
    connections: int = 0
    cap: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run of a root.

    Attributes
    ----------
    started : str
        RFC 3339, UTC.
    wall_s : float
    tool, manifest : str
        As in the receipt.
    bytes_fetched, requests, retries : int
    placed_bytes : int
        On disk, of what this run placed.
    samples : tuple of Sample
    hosts : tuple of HostRecord
        Those asked most, up to :data:`MOST_HOSTS`.
    more_hosts : int
        Not named.
    warnings : tuple of str
        The first :data:`MOST_WARNINGS`.
    more_warnings : int
        Not named.
    stopped : str or None
        Why the run stopped early.
    unreachable : mapping of str to Failure
        Datasets whose origin was given up.
    """

    started: str
    wall_s: float
    tool: str = ""
    manifest: str = ""
    bytes_fetched: int = 0
    requests: int = 0
    retries: int = 0
    placed_bytes: int = 0
    samples: tuple[Sample, ...] = ()
    hosts: tuple[HostRecord, ...] = ()
    more_hosts: int = 0
    warnings: tuple[str, ...] = ()
    more_warnings: int = 0
    stopped: str | None = None
    unreachable: Mapping[str, Failure] = field(default_factory=dict)
