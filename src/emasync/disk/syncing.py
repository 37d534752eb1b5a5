"""Which way to make a batch of small files durable: chosen by what each way has cost lately. Pure: no I/O.

Measured on ext4 (virtio disk, batches of 128 files of 64 KiB, microseconds a file for the sync alone): fdatasync one by
one 215-250; write-back started for all, then fdatasync one by one 90-130; syncfs once a batch 36-57. The second way
leaves one flush of the disk's cache a file, the third one a batch. But syncfs waits for other programs' data as well,
so it has to prove itself, again and again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from emasync.disk.mounts import MEMORY_TYPES


class SyncWay(StrEnum):
    """How the bytes of a batch become durable."""

    NOTHING = "nothing"
    """The filesystem lives in memory: there is nothing to wait for."""
    EACH = "each"
    """fdatasync, file by file."""
    TOGETHER = "together"
    """Write-back begins for all, then fdatasync file by file: the first one's journal commit serves all."""
    WHOLE = "whole"
    """syncfs, once: the files' descriptors need not be kept."""


_SYNCFS_TELLS = frozenset({"ext4", "xfs", "btrfs", "f2fs"})
"""Where syncfs reaches the disk and tells what failed: overlayfs keeps errors back, servers of FUSE are not asked."""
_SYNCFS_SINCE = (5, 17)
"""Linux 5.8 made syncfs tell of data that could not be written (syncfs(2), "ERRORS" and "VERSIONS"); before 5.17 it
still dropped what the filesystem's own part of it (->sync_fs: the journal's commit) returned."""
_RELEASE = re.compile(r"(\d+)\.(\d+)")

_FEW_FILES = 8
"""Fewer are no reason to write back a whole filesystem, and tell little of what a way costs."""
_TRIALS = 2
"""Batches each way is tried with before one is preferred."""
_TRY_AGAIN_AFTER = 64
_TRY_AGAIN_AT_MOST = 4096
"""Batches until the way that is not preferred is measured again; doubled each time it loses."""
_SMOOTHING = 0.3
_OUTLIER = 4.0
"""A way that takes so many times its rival's cost is left at once, its history forgotten."""
_CLEARLY = 0.85
"""The rival must be cheaper by this factor: no change for noise."""


def ways_for(filesystem: str, kernel: tuple[str, str]) -> tuple[SyncWay, ...]:
    """Ways that are right for a filesystem, the safe bet first.

    Parameters
    ----------
    filesystem : str
        Type as in mountinfo; ``unknown`` is allowed.
    kernel : tuple of str
        Name and release.
    """
    name, release = kernel
    if name != "Linux":
        return (SyncWay.EACH,)
    if filesystem in MEMORY_TYPES:
        return (SyncWay.NOTHING,)
    found = _RELEASE.match(release)
    recent = found is not None and (int(found[1]), int(found[2])) >= _SYNCFS_SINCE
    if recent and filesystem in _SYNCFS_TELLS:
        return (SyncWay.TOGETHER, SyncWay.WHOLE)
    return (SyncWay.TOGETHER,)


@dataclass(frozen=True, slots=True)
class _Record:
    """What is known of one way: seconds a file, smoothed, and how many batches told so."""

    cost_s: float = 0.0
    batches: int = 0

    def with_cost(self, cost_s: float, *, afresh: bool) -> _Record:
        smoothed = cost_s if afresh or self.batches == 0 else self.cost_s + _SMOOTHING * (cost_s - self.cost_s)
        return _Record(smoothed, self.batches + 1)


@dataclass(frozen=True, slots=True)
class SyncChoice:
    """The choice between two ways (or of the only one); each observation gives the next choice.

    Parameters
    ----------
    ways : tuple of SyncWay
        One or two, the safe bet first.
    """

    ways: tuple[SyncWay, ...]
    _records: tuple[_Record, _Record] = (_Record(), _Record())
    _preferred: int = 0
    _since_trial: int = 0
    _patience: int = _TRY_AGAIN_AFTER

    def __post_init__(self) -> None:
        if not 1 <= len(self.ways) <= len(self._records):
            raise ValueError(f"{len(self.ways)} ways to choose from: expected one or two")

    def way(self, files: int) -> SyncWay:
        """Way for the next batch of so many files."""
        if len(self.ways) == 1 or files < _FEW_FILES:
            return self.ways[0]
        return self.ways[self._index()]

    def _index(self) -> int:
        first, second = self._records
        if min(first.batches, second.batches) < _TRIALS:
            return int(second.batches < first.batches)
        return 1 - self._preferred if self._since_trial >= self._patience else self._preferred

    def observed(self, way: SyncWay, files: int, elapsed_s: float) -> SyncChoice:
        """The choice after a batch was synced.

        Parameters
        ----------
        way : SyncWay
        files : int
        elapsed_s : float
            Wall time of the sync.
        """
        if len(self.ways) == 1 or files < _FEW_FILES or way not in self.ways:
            return self
        at, cost_s = self.ways.index(way), elapsed_s / files
        other = self._records[1 - at]
        tried = other.batches >= _TRIALS
        # what a trial tells replaces what is long out of date; what is far too dear needs no second word
        afresh = tried and (at != self._preferred or cost_s > _OUTLIER * other.cost_s)
        record = self._records[at].with_cost(cost_s, afresh=afresh)
        records = (record, other) if at == 0 else (other, record)
        own, rival = records[self._preferred], records[1 - self._preferred]
        if min(own.batches, rival.batches) < _TRIALS:
            return replace(self, _records=records)
        if rival.cost_s < _CLEARLY * own.cost_s:
            return SyncChoice(self.ways, records, 1 - self._preferred)
        if at == self._preferred:
            return replace(self, _records=records, _since_trial=self._since_trial + 1)
        longer = min(2 * self._patience, _TRY_AGAIN_AT_MOST)
        return replace(self, _records=records, _since_trial=0, _patience=longer)
