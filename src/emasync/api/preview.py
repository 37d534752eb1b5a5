"""The plan of a run without the run."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self
from weakref import finalize

from emasync.api.blocking import blocking
from emasync.api.options import ManifestLike, RunOptions, load
from emasync.ledger.interface import Row
from emasync.ledger.store import SqliteLedger
from emasync.ledger.thread import LedgerThread
from emasync.manifest.manifest import Manifest
from emasync.model.clock import SystemClock
from emasync.model.events import OnEvent, ignore_event
from emasync.model.receipt import Failure
from emasync.plan.guards import Guard, Room
from emasync.plan.preview import Preview, preview
from emasync.plan.tools import PlanTools
from emasync.plan.written import MemoryDocuments
from emasync.registry import LAYOUTS
from emasync.sources.interface import SourceContext
from emasync.transport.governed import GovernedFetcher


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object of a plan.

    Attributes
    ----------
    location : str
        Canonical URL.
    destination : str
        Relative to the root.
    size_bytes : int or None
    """

    location: str
    destination: str
    size_bytes: int | None


class _Folder:
    """A temporary folder; it goes with :meth:`close`, or with the last reference."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="emasync-plan-"))
        self.close = finalize(self, rmtree, self.path, ignore_errors=True)


class Plan:
    """What a run would fetch. Iterating reads the objects from a temporary ledger, never into one list.

    A context manager; what it holds on disk goes at its end, or with the last reference to it.

    Attributes
    ----------
    objects, bytes : int
    hosts : dict of str to int
        Data requests by origin.
    failures : tuple of Failure
        Datasets that could not be planned, unsafe and clashing names.
    problem : str or None
        Why it does not fit this machine or its guards.
    """

    def __init__(self, found: Preview, folder: _Folder) -> None:
        self.preview = found
        self.objects = found.objects
        self.bytes = found.bytes
        self.hosts = {host.origin: host.requests for host in found.hosts}
        self.problem = found.problem
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary ledger; numbers and failures stay, the objects cannot be iterated any more."""
        self._folder.close()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Named failures of all datasets."""
        return tuple(failure for dataset in self.preview.datasets for failure in dataset.failures)

    def __iter__(self) -> Iterator[PlannedObject]:
        path = self._folder.path
        ledger = SqliteLedger.open(path, root=path, clock=SystemClock())
        try:
            rows: Iterator[Row] = ledger.rows()
            for row in rows:
                yield PlannedObject(row.location, row.destination, row.size_bytes)
        finally:
            ledger.close(clean=True)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values (Any: a JSON document)."""
        found = self.preview
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "unknown_sizes": found.demand.unknown_sizes,
            "hosts": self.hosts,
            "longest_path": found.longest_path,
            "clashes": found.clashes,
            "problem": self.problem,
            "datasets": [asdict(dataset) for dataset in found.datasets],
            "failures": [asdict(failure) for failure in self.failures],
        }


def plan(
    manifest: ManifestLike,
    *,
    root: str | os.PathLike[str] | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
) -> Plan:
    """Compile a manifest as :func:`emasync.run` would, without data; nothing is written below the root.

    Raises
    ------
    InputError
        The manifest or the options are wrong.
    """
    return blocking(lambda: _plan(load(manifest), root, on_event, options or RunOptions()))


async def _plan(
    manifest: Manifest, root: str | os.PathLike[str] | None, on_event: OnEvent, options: RunOptions
) -> Plan:
    wanted = options.wanted(manifest)
    settings = options.settings(manifest.settings)
    folder = await asyncio.to_thread(_Folder)
    path = folder.path
    target = manifest.root_for(None if root is None else Path(root))
    async with (
        LedgerThread(lambda: SqliteLedger.open(path, root=path, clock=SystemClock())) as ledger,
        GovernedFetcher(settings, on_event=on_event) as fetcher,
    ):
        tools = PlanTools(
            context=SourceContext(fetcher=fetcher, settings=settings, on_event=on_event, folder=manifest.folder),
            ledger=ledger,
            layout=LAYOUTS.load(manifest.layout.kind)(),
            documents=MemoryDocuments(),
            wake=lambda: None,
        )
        guard = Guard(
            max_total_bytes=settings.max_total_bytes,
            reserve_bytes=settings.reserve_bytes,
            measure=lambda: room_of(target),
        )
        found = await preview([entry for entry in manifest.datasets if entry.id in wanted], tools, guard=guard)
    return Plan(found, folder)


def room_of(root: Path) -> Room:
    """Space of the filesystem that `root` is or would be on."""
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    facts = os.statvfs(there)
    inodes = facts.f_favail if facts.f_files else None
    return Room(free_bytes=shutil.disk_usage(there).free, free_inodes=inodes)
