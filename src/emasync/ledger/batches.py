"""Batches of small objects on their way: sealed into the journal, placed there, brought to their rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.batch import Name, SealedRow
from emasync.ledger.counts import Deltas
from emasync.ledger.database import Transaction
from emasync.ledger.desk import Desk
from emasync.ledger.folding import fold, ripe
from emasync.ledger.interface import Fact, Invalidated, Placed, Sealed
from emasync.ledger.journal import Batch
from emasync.ledger.listed import named_key, stored_key
from emasync.ledger.sealing import count_placed, take_rows
from emasync.model.task import Task


class Store(Protocol):
    """What batches need of the ledger around them."""

    def write(self, *, durable: bool = False) -> AbstractContextManager[Transaction]:
        """One transaction."""
        ...

    def record(self, facts: Sequence[Fact], *, durable: bool = False) -> None:
        """Commit facts one by one, for objects that are not as they were leased."""
        ...

    def durable_epoch(self) -> int:
        """All facts up to this epoch are on disk for good."""
        ...


class Batches:
    """The journal's batches, and the few that were recorded object by object.

    What memory holds changes after each commit only.

    Parameters
    ----------
    desk : Desk
    store : Store
    """

    def __init__(self, desk: Desk, store: Store) -> None:
        self._desk = desk
        self._journal = desk.journal
        self._store = store
        self._recorded: dict[int, list[Name]] = {}

    def __repr__(self) -> str:
        return f"<Batches {self._journal.objects} objects in the journal, {len(self._recorded)} batches beside it>"

    def seal(self, rows: Sequence[SealedRow], epoch: int) -> int:
        """Commit a batch, synced; gives its number."""
        deltas = Deltas()
        entries = take_rows(self._desk, rows, epoch, deltas)
        number = self._journal.next_number()
        if entries is None:
            self._store.record([Sealed(**row._asdict(), epoch=epoch) for row in rows], durable=True)
            self._recorded[number] = [(row.set_id, row.key) for row in rows]
            return number
        batch = Batch(number, epoch, entries)
        with self._store.write(durable=True):
            self._journal.write(batch)
            deltas.write(self._desk.connection)
        self._journal.add(batch)
        self._desk.leases.journal(entries)
        return number

    def place(self, number: int, refused: frozenset[Name]) -> None:
        """Note that a batch is under its final names, but for `refused`."""
        batch = self._journal.batches.get(number)
        if batch is None or batch.placed or refused or self._desk.leftovers.some:
            self._place_recorded(number, refused)
            return
        deltas = Deltas()
        count_placed(batch.entries, deltas)
        with self._store.write():
            self._journal.write_placed(batch)
            deltas.write(self._desk.connection)
        batch.placed = True
        self._fold(ripe(self._journal.batches.values(), self._journal.objects, self._store.durable_epoch()))

    def _place_recorded(self, number: int, refused: frozenset[Name]) -> None:
        self.settle()
        if number not in self._recorded:
            raise MachineError(
                f"batch {number} of sealed objects is not known, or was placed; report this as a bug",
                kind=ErrorKind.LEDGER,
            )
        facts: list[Fact] = [
            (Invalidated if name in refused else Placed)(set_id=name[0], key=name[1]) for name in self._recorded[number]
        ]
        self._store.record(facts)
        del self._recorded[number]

    def settle(self, *, placed_only: bool = False) -> None:
        """Bring what the journal holds to its rows: whoever is to read them comes after."""
        self._fold([batch for batch in self._journal.batches.values() if batch.placed or not placed_only])

    def settle_for(self, about: Sequence[Fact] | Sequence[Task]) -> None:
        """As :meth:`settle`, if the journal holds an object that facts or tasks speak of."""
        leases = self._desk.leases
        if self._journal.objects and any(leases.journalled(item.set_id, stored_key(item.key)) for item in about):
            self.settle()

    def _fold(self, batches: Sequence[Batch]) -> None:
        if not batches:
            return
        with self._store.write():
            fold(self._desk, batches, self._store.durable_epoch())
        self._journal.drop(batches)
        for batch in batches:
            self._desk.leases.unjournal(batch.entries, placed=batch.placed)
            if not batch.placed:
                self._recorded[batch.number] = [(entry[0], named_key(entry[1])) for entry in batch.entries]
