"""The plan of a run without the run."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self
from weakref import finalize

from emasync.api.blocking import blocking
from emasync.api.laying import FolderDocuments, look_at_layout, outside, take_names_from
from emasync.api.locks import boxes_of, describe, drifts, load_lock, save_lock
from emasync.api.options import ManifestLike, RunOptions, load
from emasync.api.scratch import scratch_ledger, scratch_tools
from emasync.errors import ErrorKind
from emasync.ledger.interface import Row
from emasync.ledger.store import SqliteLedger
from emasync.manifest.manifest import Manifest
from emasync.model.clock import SystemClock
from emasync.model.events import OnEvent, ignore_event
from emasync.model.receipt import Failure
from emasync.plan.guards import Guard, Room
from emasync.plan.lock_drift import Drift
from emasync.plan.lock_file import DatasetLock, Lock
from emasync.plan.lock_record import NotedDocuments
from emasync.plan.preview import DryDocuments, Preview, preview
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


def _drifted(drift: Drift) -> Failure:
    return Failure(location="", kind=ErrorKind.DRIFT, message=drift.message, attempts=1)


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
    lock : Path or None
        The lock that was written.
    drifted : tuple of Drift
        What differs from the lock that was to be compared with.
    """

    def __init__(
        self, found: Preview, folder: _Folder, *, lock: Path | None = None, drifted: Iterable[Drift] = ()
    ) -> None:
        self.preview = found
        self.objects = found.objects
        self.bytes = found.bytes
        self.hosts = {host.origin: host.requests for host in found.hosts}
        self.problem = found.problem
        self.lock = lock
        self.drifted = tuple(drifted)
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
        """Named failures of all datasets; drift is one."""
        named = (failure for dataset in self.preview.datasets for failure in dataset.failures)
        return (*named, *(_drifted(drift) for drift in self.drifted))

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
            "lock": None if self.lock is None else str(self.lock),
            "datasets": [asdict(dataset) for dataset in found.datasets],
            "failures": [asdict(failure) for failure in self.failures],
        }


def plan(
    manifest: ManifestLike,
    *,
    root: str | os.PathLike[str] | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
    lock: bool = False,
) -> Plan:
    """Compile a manifest as :func:`emasync.run` would, without data; nothing is written below the root.

    Parameters
    ----------
    manifest : path, mapping or Manifest
    root : path, optional
        Relative to the working directory; wins over the manifest's.
    on_event : callable
    options : RunOptions, optional
        ``locked``: compare with the lock.
    lock : bool
        Write the lock (``options.lock_file``), if all of the plan could be made.

    Raises
    ------
    InputError
        The manifest or the options are wrong, or there is no lock to compare with.
    MachineError
        The lock could not be written.
    """
    return blocking(lambda: _plan(load(manifest), root, on_event, options or RunOptions(), lock=lock))


async def _plan(
    manifest: Manifest, root: str | os.PathLike[str] | None, on_event: OnEvent, options: RunOptions, *, lock: bool
) -> Plan:
    wanted = options.wanted(manifest)
    held_to = await load_lock(manifest, options.lock_file, wanted) if options.locked else None
    folder = await asyncio.to_thread(_Folder)
    try:
        entries = [entry for entry in manifest.datasets if entry.id in wanted]
        target = manifest.root_for(None if root is None else Path(root))
        look = _Look(manifest=manifest, entries=entries, on_event=on_event, options=options, root=target, lock=held_to)
        found, locks = await look.run(folder.path, describes=lock or options.locked)
        written = await save_lock(manifest, options.lock_file, locks) if lock and len(locks) == len(entries) else None
    except BaseException:
        await asyncio.to_thread(folder.close)
        raise
    return Plan(found, folder, lock=written, drifted=drifts(held_to, locks) if held_to is not None else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What is planned (Any: each source has its own entry model), and what it is compared with."""

    manifest: Manifest
    entries: list[Any]
    on_event: OnEvent
    options: RunOptions
    root: Path
    lock: Lock | None

    async def run(self, folder: Path, *, describes: bool) -> tuple[Preview, dict[str, DatasetLock]]:
        """Plan into a ledger in `folder`: in numbers, and as a lock describes it where that is wanted."""
        settings = self.options.settings(self.manifest.settings)
        await look_at_layout(self.root, self.manifest, [entry.id for entry in self.entries])
        folders = await asyncio.to_thread(outside, self.manifest)
        dry = DryDocuments()
        documents = NotedDocuments(dry)
        await take_names_from(FolderDocuments(self.root), documents)
        guard = Guard(
            max_total_bytes=settings.max_total_bytes,
            reserve_bytes=settings.reserve_bytes,
            measure=lambda: fullest(map(Path, folders.values())) if folders else room_of(self.root),
        )
        async with scratch_ledger(folder) as ledger, GovernedFetcher(settings, on_event=self.on_event) as fetcher:
            tools = scratch_tools(
                self.manifest, settings, self.on_event, fetcher=fetcher, ledger=ledger, documents=documents
            )
            tools = replace(tools, boxes=boxes_of(self.lock) if self.lock is not None else {})
            found = await preview(self.entries, tools, guard=guard, documents=documents if describes else dry)
            locks = await describe(self.entries, tools, documents, lambda: False) if describes else {}
        return found, locks


def fullest(folders: Iterable[Path]) -> Room:
    """Space of that one of some folders that has least."""
    rooms = [room_of(folder) for folder in folders]
    inodes = [room.free_inodes for room in rooms if room.free_inodes is not None]
    return Room(free_bytes=min(room.free_bytes for room in rooms), free_inodes=min(inodes, default=None))


def room_of(root: Path) -> Room:
    """Space of the filesystem that `root` is or would be on."""
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    facts = os.statvfs(there)
    inodes = facts.f_favail if facts.f_files else None
    return Room(free_bytes=shutil.disk_usage(there).free, free_inodes=inodes)
