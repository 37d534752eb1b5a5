"""Checking what is on disk, and mending it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from emasync.api.blocking import blocking
from emasync.api.look import status
from emasync.api.manifests import manifests_of
from emasync.api.options import RunOptions
from emasync.api.running import arun
from emasync.api.tree_checks import CheckedTree, check_trees
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.engine.recovery import recover, suspect_after
from emasync.engine.repair import reopen
from emasync.engine.verify import Flaw, Inspector
from emasync.errors import InputError
from emasync.ledger.store import SqliteLedger
from emasync.model.events import OnEvent, ignore_event
from emasync.model.receipt import Receipt
from emasync.settings import Settings

MAX_NAMED = 1_000
"""Flawed files that are named, a dataset; all are counted."""

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class FlawedFile:
    """A file that is not what it was when it was checked and placed.

    Attributes
    ----------
    path : str
        Relative to the root.
    location : str
        Where it came from.
    kind : {"missing", "size", "bytes"}
    message : str
    """

    path: str
    location: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedDataset:
    """What was found about one dataset.

    Attributes
    ----------
    objects, size_bytes : int
        On disk, as the ledger says.
    read_bytes : int
        Read and compared.
    flawed : int
    flaws : tuple of FlawedFile
        The first 1,000.
    trees : tuple of CheckedTree
        Zarr trees whose checksum is published, when all bytes were read and nothing was flawed.
    """

    id: str
    objects: int
    size_bytes: int
    read_bytes: int
    flawed: int
    flaws: tuple[FlawedFile, ...] = ()
    trees: tuple[CheckedTree, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a check of a root found.

    Attributes
    ----------
    full : bool
        All bytes were read.
    datasets : tuple of VerifiedDataset
    reopened : int
        Flawed files that were made pending again (``repair``).
    unfetched : tuple of str
        Datasets with such files whose manifest is not known or has changed: run it again to fetch them.
    receipts : tuple of Receipt
        Of the runs that fetched what was bad, one a manifest.
    wall_s : float
    """

    full: bool
    datasets: tuple[VerifiedDataset, ...]
    wall_s: float
    reopened: int = 0
    unfetched: tuple[str, ...] = ()
    receipts: tuple[Receipt, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether everything is as it was placed, or was mended."""
        flawed = sum(dataset.flawed for dataset in self.datasets)
        mended = self.reopened == flawed and not self.unfetched and all(receipt.ok for receipt in self.receipts)
        trees = all(tree.agrees for dataset in self.datasets for tree in dataset.trees)
        return (flawed == 0 or mended) and trees

    def to_dict(self) -> dict[str, Any]:
        """For JSON (Any)."""
        receipts = [receipt.to_dict() for receipt in self.receipts]
        return {
            "ok": self.ok,
            "full": self.full,
            "wall_s": self.wall_s,
            "datasets": [asdict(dataset) for dataset in self.datasets],
            "reopened": self.reopened,
            "unfetched": list(self.unfetched),
            "receipts": receipts,
        }


def verify(
    root: str | os.PathLike[str],
    *,
    full: bool = False,
    repair: bool = False,
    only: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> VerifyReport:
    """Compare the files of a root with its ledger; blocks. See :func:`averify`."""
    return blocking(lambda: averify(root, full=full, repair=repair, only=only, on_event=on_event))


async def averify(
    root: str | os.PathLike[str],
    *,
    full: bool = False,
    repair: bool = False,
    only: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> VerifyReport:
    """Compare the files of a root with its ledger.

    Parameters
    ----------
    root : path
    full : bool
        Read all bytes. Otherwise: sizes and times of all files, all bytes of those that were written when no run was
        under way, and a sample of the others, another one each day.
    repair : bool
        Fetch what is bad again: the bad parts of large files, the others whole.
    only : sequence of str
        Datasets; all by default.
    on_event : callable
        Told of the runs that fetch.

    Raises
    ------
    InputError
        The root holds no state, or no such dataset.
    MachineError
        The root is locked by a run, or cannot be read.
    """
    began_s = time.monotonic()
    folder = await asyncio.to_thread(_folder, root)
    spec = RunSpec(root=folder, state_dir=None, settings=Settings())
    async with open_resources(spec, on_event) as resources:
        found = await _Checking(resources, full=full, repair=repair).run(only)
        manifests = await asyncio.to_thread(manifests_of, resources.state_dir) if repair else {}
    report = VerifyReport(
        full=full, datasets=tuple(found), wall_s=time.monotonic() - began_s, reopened=_flawed(found) if repair else 0
    )
    return report if not report.reopened else await _fetch(report, folder, manifests, on_event)


def _folder(root: str | os.PathLike[str]) -> Path:
    folder = Path(root).expanduser()
    status(folder)  # says what is wrong with a folder that no run made
    return folder


def _flawed(datasets: Sequence[VerifiedDataset]) -> int:
    return sum(dataset.flawed for dataset in datasets)


class _Checking:
    """One check of an open root."""

    def __init__(self, resources: Resources, *, full: bool, repair: bool) -> None:
        self._resources = resources
        self._full = full
        self._repair = repair

    async def run(self, only: Sequence[str]) -> list[VerifiedDataset]:
        """Look at all datasets, or at those named."""
        resources = self._resources
        ledger = resources.ledger
        suspect = await suspect_after(ledger)
        await recover(ledger, resources.sink, resources.threads, suspect)
        known = [tally.dataset for tally in await ledger.call("tallies")]
        if unknown := [name for name in only if name not in known]:
            raise InputError(f"no dataset {', '.join(unknown)} in {resources.root}; there are {', '.join(known)}")
        found = [await self._dataset(name) for name in known if not only or name in only]
        if not only and not _flawed(found):
            await ledger.call(SqliteLedger.vouch)
        return found

    async def _dataset(self, name: str) -> VerifiedDataset:
        resources = self._resources
        inspector = Inspector(
            ledger=resources.ledger,
            sink=resources.sink,
            threads=resources.threads,
            full=self._full,
            seed=int(resources.clock.time_s() // DAY_S),
            sittings=await resources.ledger.call(SqliteLedger.sittings),
        )
        named: list[FlawedFile] = []
        async for flaw in inspector.flaws(name):
            if len(named) < MAX_NAMED:
                named.append(_named(flaw))
            if self._repair:
                await reopen(flaw, resources.ledger, resources.sink, resources.threads)
        seen = inspector.seen
        trees = await check_trees(resources, name) if self._full and not seen.flawed else ()
        return VerifiedDataset(
            id=name,
            objects=seen.objects,
            size_bytes=seen.size_bytes,
            read_bytes=seen.read_bytes,
            flawed=seen.flawed,
            flaws=tuple(named),
            trees=trees,
        )


def _named(flaw: Flaw) -> FlawedFile:
    row = flaw.row
    return FlawedFile(path=row.destination, location=row.location, kind=flaw.kind, message=flaw.message)


async def _fetch(report: VerifyReport, root: Path, manifests: dict[str, Path], on_event: OnEvent) -> VerifyReport:
    """Run the manifests of the datasets that have something to fetch."""
    flawed = [dataset.id for dataset in report.datasets if dataset.flawed]
    known = {name: manifests[name] for name in flawed if name in manifests}
    receipts = []
    for manifest in dict.fromkeys(known.values()):
        names = tuple(name for name, path in known.items() if path == manifest)
        receipts.append(await arun(manifest, root=root, on_event=on_event, options=RunOptions(only=names)))
    unfetched = tuple(name for name in flawed if name not in known)
    return replace(report, unfetched=unfetched, receipts=tuple(receipts))
