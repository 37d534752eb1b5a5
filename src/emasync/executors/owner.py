"""The owner's side of one worker: answers it from the ledger, and knows what it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from emasync.engine.upkeep import Upkeep
from emasync.errors import MachineError
from emasync.executors import messages as wire
from emasync.executors.epochs import EpochBook
from emasync.executors.leases import LeaseBook, Name
from emasync.executors.rows import SetRow, TaskRow
from emasync.executors.values import fact_of, key_of, partial_row, seal_of, spec_row, task_row
from emasync.ledger.interface import Absent, Fact, Failed, Invalidated, LedgerCalls, OpenSet, Placed, Sealed
from emasync.model.location import Location

LEASE = 256
"""Most tasks of one answer."""

SETS = 512
"""Most sets of one answer: those that come first. The others are open still when these are done."""


@dataclass(slots=True)
class Books:
    """What the owner keeps for all workers together.

    Attributes
    ----------
    ledger : LedgerCalls
    upkeep : Upkeep
    leases : LeaseBook
    epochs : EpochBook
    datasets : collection of str or None
        What this run is about.
    room : asyncio.Lock
        One at a time removes files that are in the way: what is read of the ledger is true until it is done.
    """

    ledger: LedgerCalls
    upkeep: Upkeep
    leases: LeaseBook
    epochs: EpochBook
    datasets: Collection[str] | None
    room: asyncio.Lock = field(default_factory=asyncio.Lock)
    origins: dict[int, str] = field(default_factory=dict)

    def origin(self, opened: OpenSet) -> str:
        """Origin that the tasks of a set are fetched from."""
        found = self.origins.get(opened.set_id)
        if found is None:
            found = self.origins[opened.set_id] = Location.parse(opened.spec.base).origin
        return found


class Desk:
    """Answers the requests of one worker.

    Parameters
    ----------
    worker : int
        One life of a worker; never used again.
    books : Books
    """

    def __init__(self, worker: int, books: Books) -> None:
        self.worker = worker
        self.curtailed = False
        self._books = books
        self._sent: set[int] = set()
        self._waiting: dict[str, int] = {}
        self._batches: dict[int, list[Name]] = {}

    def __repr__(self) -> str:
        return f"<Desk of worker {self.worker}>"

    async def answer(self, request: wire.Request) -> object:
        """Carry out a request; gives what to answer.

        Raises
        ------
        MachineError
            The ledger cannot.
        """
        match request:
            case wire.OpenSets():
                return await self._open_sets()
            case wire.Lease():
                return await self._lease(request.set_id, request.limit)
            case wire.SealRows():
                return await self._seal(request)
            case wire.PartialOf() | wire.GenerationOf():
                return await self._unfinished(request)
            case wire.MakeRoom():
                async with self._books.room:
                    return await self._books.upkeep.make_room(request.destination)
            case _:
                await self._note(request)
                return None

    async def _note(self, request: wire.Record | wire.PlaceRows | wire.Durable) -> None:
        match request:
            case wire.PlaceRows():
                await self._place(request)
            case wire.Record():
                await self._record(request)
            case wire.Durable():
                # numbered and queued in one step: what other workers say later is newer than this epoch
                epoch = self._books.epochs.settle(self.worker, request.epoch)
                await self._books.ledger.call("set_durable_epoch", epoch)

    async def _unfinished(self, request: wire.PartialOf | wire.GenerationOf) -> object:
        ledger, key = self._books.ledger, key_of(request.key)
        if isinstance(request, wire.GenerationOf):
            return await ledger.call("generation", request.set_id, key)
        return partial_row(await ledger.call("partial", request.set_id, key))

    # --- leases ------------------------------------------------------------------------------------------------

    async def _open_sets(self) -> list[SetRow]:
        books = self._books
        async with books.room:
            await books.upkeep.clear()
        self.curtailed = False
        self._waiting.clear()
        rows: list[SetRow] = []
        for opened in await books.ledger.call("open_sets"):
            waiting = books.leases.waiting(opened)
            if waiting == 0 or (books.datasets is not None and opened.spec.dataset not in books.datasets):
                continue
            origin = books.origin(opened)
            self._waiting[origin] = self._waiting.get(origin, 0) + waiting
            if len(rows) < SETS:
                rows.append(self._set_row(opened, waiting))
        return rows

    def _set_row(self, opened: OpenSet, waiting: int) -> SetRow:
        known = opened.set_id in self._sent
        self._sent.add(opened.set_id)
        return SetRow(opened.set_id, waiting, None if known else spec_row(opened.spec))

    async def _lease(self, set_id: int, limit: int) -> list[TaskRow]:
        books = self._books
        origin = books.origins.get(set_id)
        if origin is None:
            raise MachineError(f"a lease of set {set_id}, which was not open; report this as a bug")
        waiting = self._waiting.get(origin, 0)
        portion = books.leases.portion(self.worker, origin, waiting)
        self.curtailed |= portion < min(limit, waiting)
        tasks = await books.ledger.call("lease", set_id, min(limit, portion, LEASE)) if portion else []
        books.leases.add(self.worker, origin, tasks)
        self._waiting[origin] = max(0, waiting - len(tasks))
        return [task_row(task) for task in tasks]

    # --- facts -------------------------------------------------------------------------------------------------

    def _number(self, epoch: int) -> int:
        return self._books.epochs.number(self.worker, epoch)

    async def _seal(self, request: wire.SealRows) -> int:
        rows = [seal_of(row) for row in request.rows]
        batch: int = await self._books.ledger.call("seal_rows", rows, self._number(request.epoch))
        names = self._batches[batch] = [(row.set_id, row.key) for row in rows]
        self._books.leases.seal(self.worker, names)
        return batch

    async def _place(self, request: wire.PlaceRows) -> None:
        refused = [(set_id, key_of(key)) for set_id, key in request.refused]
        names = self._batches.pop(request.batch, None)
        if names is None:
            raise MachineError(f"batch {request.batch} is not this worker's; report this as a bug")
        await self._books.ledger.call("place_rows", request.batch, refused)
        self._books.leases.reopen(self.worker, refused)
        if refused:
            again = frozenset(refused)
            names = [name for name in names if name not in again]
        self._books.leases.settle(self.worker, names)

    async def _record(self, request: wire.Record) -> None:
        facts = [fact_of(row, self._number) for row in request.facts]
        await self._books.ledger.call("record", facts, durable=request.durable)
        leases = self._books.leases
        leases.seal(self.worker, _names(facts, Sealed))
        leases.reopen(self.worker, _names(facts, Invalidated))
        leases.settle(self.worker, _names(facts, (Placed, Failed, Absent)))


def _names(facts: Sequence[Fact], kind: type[Fact] | tuple[type[Fact], ...]) -> list[Name]:
    return [(fact.set_id, fact.key) for fact in facts if isinstance(fact, kind)]
