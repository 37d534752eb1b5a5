"""Holding a run to its lock: everything is planned and compared before any data move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from emasync.api.laying import take_names_from
from emasync.api.locks import describe, drifts
from emasync.api.scratch import scratch_ledger
from emasync.errors import ErrorKind, InterruptedRunError
from emasync.ledger.interface import PlanFacts, Tally
from emasync.manifest.crop import SameAsCrop
from emasync.model.cut import BOXES
from emasync.model.events import Event, EventValue
from emasync.model.receipt import Failure
from emasync.plan.compile import compile_datasets
from emasync.plan.layout import kept_place
from emasync.plan.lock import Hurry
from emasync.plan.lock_drift import Drift, drift_between
from emasync.plan.lock_file import DatasetLock, Lock
from emasync.plan.lock_record import NotedDocuments
from emasync.plan.preview import DryDocuments
from emasync.plan.tools import PlanTools, RemovesDocuments


@dataclass(slots=True, kw_only=True)
class LockedPlanning:
    """Plans a run as its lock says, before any data move.

    What a root holds already is not put at risk: where anything of a dataset is on disk, its plan is made beside the
    root first, and the root's own only when that one is the lock's. A plan that was compared before is complete, and
    the lock's, needs no request.

    Attributes
    ----------
    lock : Lock
    tools : PlanTools
        Of the root.
    known : sequence of manifest entries
        All of the manifest's (Any: each source has its own entry model): boxes may be taken over from any of them.
    dry_tools : callable
        Gives those of a plan beside the root, over a ledger and documents.
    refresh : bool
        Ask also the sources of what is complete.
    hurry : callable
        Whether the run was asked to stop; read from any thread.
    """

    lock: Lock
    tools: PlanTools
    known: Sequence[Any]
    dry_tools: Callable[..., PlanTools]
    refresh: bool
    hurry: Hurry
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def stop(self) -> None:
        """Stop soon."""
        self._scope.cancel()

    async def run(self, entries: Sequence[Any]) -> bool:
        """Plan and compare (Any: each source has its own entry model).

        Returns
        -------
        bool
            Whether data may move. If not, the ledger says why.

        Raises
        ------
        InterruptedRunError
            :meth:`stop` was called.
        MachineError
            A guard or the machine stopped the run.
        """
        found = None
        with self._scope:
            found = await self._run(entries)
        if found is None:
            raise InterruptedRunError("interrupted while the plan was compared with its lock; run again")
        return found

    async def _run(self, entries: Sequence[Any]) -> bool:
        held = {entry.id for entry in entries if await self._is_held(entry)}
        asked = [
            entry
            for entry in entries
            if (self.refresh and not entry.immutable if entry.id in held else await self._knows(entry))
        ]
        if asked:
            found, failed = await self._beside(asked)
            for dataset, failure in failed:
                await self._fail(dataset, failure.kind, failure.message, failure.location)  # the plan has told it
            if await self._report(drifts(self.lock, found)) or failed:
                return False
        return await self._plan([entry for entry in entries if entry.id not in held], {entry.id for entry in asked})

    async def _is_held(self, entry: Any) -> bool:
        """Whether the root's plan is complete and known to be the lock's (Any: as above)."""
        facts: PlanFacts | None = await self.tools.ledger.call("plan_facts", entry.id)
        lock = self.lock.datasets[entry.id].digest
        return facts is not None and facts.complete and (facts.digest, facts.held) == (entry.digest, lock)

    async def _knows(self, entry: Any) -> bool:
        """Whether the root holds anything of a dataset, or knows it from another plan (Any: as above)."""
        facts: PlanFacts | None = await self.tools.ledger.call("plan_facts", entry.id)
        tallies: list[Tally] = await self.tools.ledger.call("tallies")
        on_disk = any(tally.on_disk for tally in tallies if tally.dataset == entry.id)
        return on_disk or (facts is not None and facts.digest != entry.digest)

    async def _beside(self, asked: Sequence[Any]) -> tuple[dict[str, DatasetLock], list[tuple[str, Failure]]]:
        """Plan beside the root (Any: as above): what came out, and what could not be planned."""
        folder = await asyncio.to_thread(TemporaryDirectory, prefix="emasync-lock-")
        try:
            documents = NotedDocuments(DryDocuments())
            await take_names_from(self.tools.documents, documents)
            async with scratch_ledger(Path(folder.name)) as ledger:
                dry = self.dry_tools(ledger=ledger, documents=documents)
                await compile_datasets(with_lenders(asked, self.known), dry)
                found = await describe(asked, dry, documents, self.hurry)
                failed = [await failure_of(entry.id, dry) for entry in asked if entry.id not in found]
        finally:
            await asyncio.to_thread(folder.cleanup)
        return found, failed

    async def _plan(self, entries: Sequence[Any], looked_at: Collection[str]) -> bool:
        """Plan into the root's ledger and compare; what is not marked is listed anew the next time (Any: as above)."""
        documents = NotedDocuments(self.tools.documents)
        for entry in entries:
            facts: PlanFacts | None = await self.tools.ledger.call("plan_facts", entry.id)
            if facts is not None and facts.complete:
                await self.tools.ledger.call("begin_plan", entry.id, entry.digest, refresh=True)
                await self._forget_boxes(entry.id)
        planned = await compile_datasets(entries, replace(self.tools, documents=documents))
        found = await describe(entries, self.tools, documents, self.hurry)
        drifted = {drift.dataset: drift for drift in drifts(self.lock, found)}
        for name in await self._cleared([entry for entry in entries if entry.id in drifted and entry.id in looked_at]):
            del drifted[name]
        for name in found.keys() - drifted.keys():
            await self.tools.ledger.call("mark_held", name, self.lock.datasets[name].digest)
        return not await self._report(list(drifted.values())) and planned

    async def _cleared(self, doubtful: Sequence[Any]) -> list[str]:
        """Datasets whose source is the lock's before the root's plan was made, and still is (Any: as above).

        A ledger keeps what it knew of an object where the present plan says less (a date that an older listing told):
        then the root's plan reads differently though it is the same.
        """
        if not doubtful:
            return []
        found, _ = await self._beside(doubtful)
        return [name for name in found if drift_between(name, self.lock.datasets[name], found[name]) is None]

    async def _forget_boxes(self, dataset: str) -> None:
        """Boxes of an older plan would be kept beside those of the new one."""
        place = kept_place(dataset, BOXES)
        documents = self.tools.documents
        if isinstance(documents, RemovesDocuments) and await documents.read(place) is not None:
            await documents.remove(place)

    async def _report(self, drifted: Sequence[Drift]) -> bool:
        """Tell of drift, and leave it in the ledger; whether there is any."""
        for drift in drifted:
            await self._fail(drift.dataset, ErrorKind.DRIFT, drift.message, "")
            fields: dict[str, EventValue] = {"dataset": drift.dataset, "location": "", "kind": str(ErrorKind.DRIFT)}
            self.tools.context.on_event(Event("failed", {**fields, "message": drift.message}))
        return bool(drifted)

    async def _fail(self, dataset: str, kind: ErrorKind, message: str, location: str) -> None:
        await self.tools.ledger.call("fail_plan", dataset, kind, message, location)


def with_lenders(asked: Sequence[Any], entries: Sequence[Any]) -> list[Any]:
    """`asked`, and the datasets whose boxes they take over (Any: each source has its own entry model)."""
    lenders = {entry.crop.same_as for entry in asked if isinstance(entry.crop, SameAsCrop)}
    ids = {entry.id for entry in asked} | lenders
    return [entry for entry in entries if entry.id in ids]


async def failure_of(dataset: str, tools: PlanTools) -> tuple[str, Failure]:
    """Why a dataset could not be planned."""
    _, named = await tools.ledger.call("failures", dataset, 1)
    return dataset, named[0]
