"""The receipt: what a root holds, how it was verified, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from emasync.errors import ErrorKind

DatasetStatus = Literal["complete", "partial", "failed"]

MAX_NAMED_FAILURES = 1_000
"""Failures named one by one in a receipt; the rest is counted (law 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One object or dataset that could not be had.

    Attributes
    ----------
    location : str
        Canonical URL, without credentials.
    kind : ErrorKind
    message : str
    attempts : int
    """

    location: str
    kind: ErrorKind
    message: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How many objects were checked against what."""

    published: int = 0
    computed: int = 0
    size_only: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReceipt:
    """State of one dataset of a root.

    Attributes
    ----------
    objects, bytes : int
        Placed objects and their size on disk.
    failures : tuple of Failure
        The first :data:`MAX_NAMED_FAILURES`.
    failed : int
        All failures, counted.
    absent : int
        Left out by the publisher, or missing where the manifest accepts that.
    missing : tuple of str
        What is missing and accepted to be (``allow_missing``): the first :data:`MAX_NAMED_FAILURES` locations; chunks
        of a grid are counted.
    unwanted : int
        On disk, and not wanted any more.
    metadata_only : bool
        Only what describes the dataset was asked for; ``complete`` says that this is there.
    """

    id: str
    status: DatasetStatus
    objects: int
    bytes: int
    verified: Verified
    failures: tuple[Failure, ...] = ()
    failed: int = 0
    absent: int = 0
    missing: tuple[str, ...] = ()
    unwanted: int = 0
    metadata_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over this run (fetched, requests, retries, wall) and the root (objects)."""

    objects: int = 0
    bytes_fetched: int = 0
    bytes_reused: int = 0
    requests: int = 0
    retries: int = 0
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What ``receipt.json`` holds.

    Attributes
    ----------
    manifest : str
        SHA-256 of the manifest's canonical form, hexadecimal.
    tool : str
        ``emasync`` and its version.
    started, finished : str
        RFC 3339, UTC.
    exit_code : int
        0 complete and verified, 1 something failed, 3 interrupted, 4 stopped by this machine or a guard.
    stopped : str or None
        Why the run stopped early, with what to do.
    """

    manifest: str
    tool: str
    started: str
    finished: str
    exit_code: int
    totals: Totals
    datasets: tuple[DatasetReceipt, ...]
    stopped: str | None = None
    mirrors: Mapping[str, str] | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is complete and verified as asked."""
        return self.exit_code == 0

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Named failures of all datasets."""
        return tuple(failure for dataset in self.datasets for failure in dataset.failures)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values (Any: a JSON document)."""
        return asdict(self)
