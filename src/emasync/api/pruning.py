"""Removing what a manifest no longer wants."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from emasync.api.blocking import blocking
from emasync.api.laying import forget_layout
from emasync.api.look import status
from emasync.api.manifests import MANIFESTS
from emasync.api.options import ManifestLike, load
from emasync.api.progress import last_backup, last_snapshot
from emasync.api.prune_claims import Claims, read_claims
from emasync.api.prune_papers import Papers
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.disk.emptied import EmptyFolders
from emasync.disk.interface import Sink
from emasync.disk.outlying import open_root
from emasync.engine.prune import Cleared, Pruner
from emasync.engine.recovery import recover, suspect_after
from emasync.errors import InputError
from emasync.ledger.interface import PlanFacts, Tally
from emasync.manifest.manifest import Manifest
from emasync.model.events import OnEvent, ignore_event
from emasync.plan.layout import layout_for
from emasync.plan.tools import SinkDocuments
from emasync.settings import Settings
from emasync.volume.index_writer import remove_index


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedDataset:
    """What went of one dataset, or would go.

    Attributes
    ----------
    id : str
        Empty: files of ours that no object of any dataset stood for.
    dropped : bool
        The manifest does not name it: all of it goes.
    objects, size_bytes : int
    documents : int
        Rewritten metadata of ours.
    gone : int
        Were not there any more.
    changed : int
        Stay, because somebody changed them.
    changed_files : tuple of str
        The first 1,000 of them, relative to the root.
    """

    id: str
    dropped: bool
    objects: int
    size_bytes: int
    documents: int
    gone: int
    changed: int
    changed_files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What went, or would go.

    Attributes
    ----------
    dry_run : bool
    datasets : tuple of PrunedDataset
        Those of which something was to go.
    kept : dict of str to str
        Datasets that the manifest does not name and that stay; why.
    folders : int
        That became empty and were removed; 0 in a dry run.
    wall_s : float
    """

    dry_run: bool
    datasets: tuple[PrunedDataset, ...]
    kept: dict[str, str]
    folders: int
    wall_s: float

    @property
    def ok(self) -> bool:
        """Whether nothing had to stay because somebody changed it."""
        return not any(dataset.changed for dataset in self.datasets)

    def to_dict(self) -> dict[str, Any]:
        """For JSON (Any)."""
        return {"ok": self.ok, **asdict(self)}


def prune(
    root: str | os.PathLike[str],
    manifest: ManifestLike,
    *,
    dry_run: bool = False,
    drop: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> PruneReport:
    """Remove what a manifest no longer wants; blocks. See :func:`aprune`."""
    return blocking(lambda: aprune(root, manifest, dry_run=dry_run, drop=drop, on_event=on_event))


async def aprune(
    root: str | os.PathLike[str],
    manifest: ManifestLike,
    *,
    dry_run: bool = False,
    drop: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
    make_sink: Callable[[Path], Sink] = open_root,
) -> PruneReport:
    """Remove what a manifest no longer wants from a root: objects its last plan does not name, leftovers of ours.

    A file goes only while it is what was written (size and CRC-32C). Stopped at any moment, prune again to go on.

    Parameters
    ----------
    root : path
    manifest : path, mapping or Manifest
        Must be what the root was planned for last.
    dry_run : bool
        The same report; nothing is changed.
    drop : sequence of str
        Datasets to remove whatever manifest they came from. Without it, one that `manifest` does not name goes only if
        it came from the same manifest file, and no other manifest used with the root names it.
    on_event : callable
    make_sink : callable
        Opens the root for writing.

    Raises
    ------
    InputError
        The root holds no state; it was planned for something else last; `drop` names what cannot be dropped.
    MachineError
        The root is locked by a run, or cannot be read or written.
    """
    began_s = time.monotonic()
    loaded = await asyncio.to_thread(load, manifest)
    folder = await asyncio.to_thread(_folder, root)
    spec = RunSpec(root=folder, state_dir=None, settings=Settings())
    try:
        async with open_resources(spec, on_event, make_sink=make_sink) as resources:
            return await _Pruning(resources, loaded, dry_run=dry_run, drop=drop).run(began_s)
    except _OnlyLookedError as looked:
        return looked.report


class _OnlyLookedError(Exception):
    """What a stop left behind was not looked after: so the ledger is not closed as after a clean end."""

    def __init__(self, report: PruneReport) -> None:
        super().__init__()
        self.report = report


def _folder(root: str | os.PathLike[str]) -> Path:
    folder = Path(root).expanduser()
    status(folder)  # says what is wrong with a folder that no run made
    return folder


class _Pruning:
    """One prune of an open root."""

    def __init__(self, resources: Resources, manifest: Manifest, *, dry_run: bool, drop: Collection[str]) -> None:
        self._resources = resources
        self._manifest = manifest
        self._dry_run = dry_run
        self._drop = drop
        self._folders = 0

    async def run(self, began_s: float) -> PruneReport:
        """Check that the manifest is the root's, then remove.

        Raises
        ------
        _OnlyLookedError
            After a dry run of a root that was not left cleanly.
        """
        resources = self._resources
        await self._require_planned()
        claims = await self._claims()
        outlying = resources.outlying.folders
        empty = await asyncio.to_thread(partial(EmptyFolders, resources.root, outlying=outlying))
        with closing(empty):
            found = await self._remove(claims, empty)
        if not self._dry_run:
            await last_backup(resources)
            await last_snapshot(resources)
        report = PruneReport(
            dry_run=self._dry_run,
            datasets=tuple(item for item in found if item.dropped or _something(item)),
            kept=dict(claims.kept),
            folders=self._folders,
            wall_s=time.monotonic() - began_s,
        )
        if self._dry_run and not await resources.ledger.call(lambda held: held.clean):
            raise _OnlyLookedError(report)
        return report

    async def _require_planned(self) -> None:
        """Refuse unless each entry of the manifest is what the root was planned for last.

        Raises
        ------
        InputError
        """
        wrong = []
        for entry in self._manifest.datasets:
            facts: PlanFacts | None = await self._resources.ledger.call("plan_facts", entry.id)
            if facts is None:
                wrong.append(f"{entry.id} was never planned here")
            elif facts.digest != entry.digest:
                wrong.append(f"{entry.id} was planned otherwise last (another entry, or --metadata-only)")
            elif not facts.complete:
                wrong.append(f"the plan of {entry.id} did not come to its end")
        if wrong:
            raise InputError(
                f"{self._manifest.file} is not what {self._resources.root} was planned for last: {'; '.join(wrong)}."
                f" Plan it first, then prune: emasync run {self._manifest.file} --root {self._resources.root}"
            )

    async def _claims(self) -> Claims:
        """Which datasets of the root that the manifest does not name may go.

        Raises
        ------
        InputError
            ``drop`` names one that it names, or that is not there.
        """
        tallies: list[Tally] = await self._resources.ledger.call("tallies")
        known, named = [tally.dataset for tally in tallies], {entry.id for entry in self._manifest.datasets}
        if both := [name for name in self._drop if name in named]:
            raise InputError(f"{', '.join(both)} cannot be dropped: {self._manifest.file} names it")
        if unknown := [name for name in self._drop if name not in known]:
            raise InputError(f"no dataset {', '.join(unknown)} in {self._resources.root}; there are {', '.join(known)}")
        unnamed = [name for name in known if name not in named]
        return await asyncio.to_thread(
            read_claims, self._resources.state_dir / MANIFESTS, self._manifest, unnamed, frozenset(self._drop)
        )

    async def _remove(self, claims: Claims, empty: EmptyFolders) -> list[PrunedDataset]:
        resources = self._resources
        pruner = Pruner(
            ledger=resources.ledger,
            sink=resources.sink,
            threads=resources.threads,
            remove_folders=empty.remove,
            dry_run=self._dry_run,
        )
        papers = Papers(resources.ledger, resources.sink, dry_run=self._dry_run)
        found = [self._told("", await pruner.leftovers(), 0, dropped=False)]
        if not self._dry_run:
            suspect = await suspect_after(resources.ledger)
            await recover(resources.ledger, resources.sink, resources.threads, suspect)
        dropped = {**{entry.id: False for entry in self._manifest.datasets}, **dict.fromkeys(claims.go, True)}
        found += [await self._dataset(name, pruner, papers, empty, dropped=whole) for name, whole in dropped.items()]
        if not self._dry_run:
            await self._forget(claims, papers)
        return found

    async def _forget(self, claims: Claims, papers: Papers) -> None:
        """Datasets of which nothing is left leave the receipt, the ledger, and the record of manifests.

        In this order: after a stop in between, the next prune finds them and goes on.
        """
        ledger = self._resources.ledger
        left = {tally.dataset for tally in await ledger.call("tallies") if tally.on_disk}
        gone = [name for name in claims.go if name not in left]
        for name in gone:
            await papers.forget_facts(layout_for(self._manifest.layout).folder(name))
            await asyncio.to_thread(remove_index, self._resources.root, name)
        await papers.update_receipt(gone)
        for name in gone:
            await ledger.call("forget_dataset", name)
        await forget_layout(SinkDocuments(self._resources.sink), gone)
        await asyncio.to_thread(claims.forget, gone)

    async def _dataset(
        self, name: str, pruner: Pruner, papers: Papers, empty: EmptyFolders, *, dropped: bool
    ) -> PrunedDataset:
        folder = layout_for(self._manifest.layout).folder(name)
        cleared = await (pruner.drop(name) if dropped else pruner.unwanted(name))
        documents = await papers.withdraw(name, folder, dropped=dropped)
        if not self._dry_run:
            parents = {path.rpartition("/")[0] for path in documents}
            self._folders += await asyncio.to_thread(empty.remove, parents)
            if cleared.objects or cleared.gone or dropped:
                await papers.update_checksums(name, dropped=dropped and not cleared.changed)
        return self._told(name, cleared, len(documents), dropped=dropped)

    def _told(self, name: str, cleared: Cleared, documents: int, *, dropped: bool) -> PrunedDataset:
        self._folders += cleared.folders
        return PrunedDataset(
            id=name,
            dropped=dropped,
            objects=cleared.objects,
            size_bytes=cleared.size_bytes,
            documents=documents,
            gone=cleared.gone,
            changed=cleared.changed,
            changed_files=tuple(cleared.changed_files),
        )


def _something(item: PrunedDataset) -> bool:
    return bool(item.objects or item.documents or item.gone or item.changed)
