"""Facts into tables: one transaction's worth of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol, assert_never

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.counts import Deltas
from emasync.ledger.desk import Desk
from emasync.ledger.interface import Absent, Fact, Failed, Invalidated, PartDone, PartialStarted, Placed, Sealed
from emasync.ledger.listed import (
    path_of,
    read_standing,
    read_standings,
    stored_key,
    write_standings,
    write_states,
)
from emasync.ledger.sidenotes import StoredKey
from emasync.ledger.standing import FAILED, ON_DISK, PLACED, SEALED, Standing, advance, count_standing
from emasync.ledger.tasksets import TaskSet
from emasync.model.packing import pack_name


def negative(facts: Sequence[Fact]) -> bool:
    """Whether a fact takes trust away: such a batch must be on disk before anything else happens (law 2)."""
    return any(isinstance(fact, Invalidated) for fact in facts)


class Book(Protocol):
    """Where the standings of one kind of set are kept."""

    def read(self, task_set: TaskSet, key: StoredKey) -> Standing:
        """Where an object stands; read once a transaction."""
        ...

    def put(self, task_set: TaskSet, key: StoredKey, standing: Standing) -> None:
        """Where it stands now; written at the end of the transaction."""
        ...

    def write(self) -> None:
        """Write what changed."""
        ...


class ListedBook:
    """Standings of listed objects.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._found: dict[tuple[int, bytes], Standing] = {}
        self._now: dict[tuple[int, bytes], Standing] = {}

    def prefetch(self, facts: Sequence[Fact]) -> None:
        """Read what the facts speak of in few statements; what is not read here is read one by one."""
        keys: dict[int, dict[bytes, None]] = {}
        for fact in facts:
            if isinstance(fact.key, str):
                keys.setdefault(fact.set_id, {})[pack_name(fact.key)] = None
        for set_id, wanted in keys.items():
            for key, standing in read_standings(self._connection, set_id, list(wanted)):
                self._found[set_id, key] = standing

    def read(self, task_set: TaskSet, key: StoredKey) -> Standing:
        """Where an object stands; read once a transaction.

        Raises
        ------
        MachineError
            The ledger does not know it.
        """
        if not isinstance(key, bytes):
            raise unknown(task_set, key)
        name = (task_set.set_id, key)
        found = self._now.get(name) or self._found.get(name)
        if found is None:
            found = read_standing(self._connection, task_set.set_id, key)
            if found is None:
                raise unknown(task_set, key)
            self._found[name] = found
        return found

    def put(self, task_set: TaskSet, key: StoredKey, standing: Standing) -> None:
        """Where it stands now."""
        if isinstance(key, bytes):
            self._now[task_set.set_id, key] = standing

    def write(self) -> None:
        """Write what changed."""
        moved: list[tuple[int, bytes, Standing]] = []
        changed: list[tuple[int, bytes, Standing]] = []
        for name, standing in self._now.items():
            before = self._found[name]
            same_facts = before[2:] == standing[2:] and before.plan == standing.plan
            (moved if same_facts else changed).append((*name, standing))
        write_states(self._connection, moved)
        write_standings(self._connection, changed)


def unknown(task_set: TaskSet, key: object) -> MachineError:
    """A fact speaks of an object that no plan named."""
    return MachineError(
        f"the ledger has no object {key!r} in task set {task_set.set_id} of {task_set.spec.dataset}; report this as"
        " a bug",
        kind=ErrorKind.LEDGER,
    )


class Recorder:
    """Applies facts in their order, then writes what came out.

    Parameters
    ----------
    desk : Desk
    durable_epoch : int
        Placed facts up to here need no second look.
    listed, gridded : Book
    """

    def __init__(self, desk: Desk, durable_epoch: int, *, listed: Book, gridded: Book) -> None:
        self._desk = desk
        self._durable_epoch = durable_epoch
        self._listed = listed
        self._gridded = gridded
        self._deltas = Deltas()
        self._fresh: dict[tuple[int, StoredKey], Standing] = {}

    def apply(self, fact: Fact) -> None:
        """Apply one fact.

        Raises
        ------
        MachineError
            The object is unknown, or the fact cannot follow what is known of it.
        """
        task_set = self._desk.sets.get(fact.set_id)
        key = stored_key(fact.key)
        match fact:
            case PartDone():
                self._desk.partials.part(fact, key)
            case PartialStarted():
                self._desk.partials.start(fact, key, self._book(task_set).read(task_set, key).generation)
            case Sealed() | Placed() | Failed() | Absent() | Invalidated():
                self._advance(fact, task_set, key)
            case _:
                assert_never(fact)

    def _book(self, task_set: TaskSet) -> Book:
        return self._listed if task_set.spec.grid is None else self._gridded

    def _advance(
        self, fact: Sealed | Placed | Failed | Absent | Invalidated, task_set: TaskSet, key: StoredKey
    ) -> None:
        book = self._book(task_set)
        before = book.read(task_set, key)
        late = _late(before, fact)
        after = advance(before, fact, fact.key) if late is None else late
        if after is None:
            return
        book.put(task_set, key, after)
        count_standing(self._deltas, task_set, -1, before)
        count_standing(self._deltas, task_set, 1, after)
        if late is not None:
            self._note_late(fact, task_set, before)
            return
        self._note(fact, task_set, key, before)
        if before.state in ON_DISK or after.state in ON_DISK:
            self._fresh[task_set.set_id, key] = after

    def _note_late(
        self, fact: Sealed | Placed | Failed | Absent | Invalidated, task_set: TaskSet, before: Standing
    ) -> None:
        """The rename of an object ended that had lost its name to a folder meanwhile: its file goes again."""
        if isinstance(fact, Placed):
            destination = task_set.destination(fact.key, path_of(before))
            self._desk.leftovers.note(destination, before.size_bytes, before.crc)

    def _note(
        self,
        fact: Sealed | Placed | Failed | Absent | Invalidated,
        task_set: TaskSet,
        key: StoredKey,
        before: Standing,
    ) -> None:
        """Keep the tables beside the object in step."""
        if before.state == FAILED and not isinstance(fact, Failed):
            self._desk.details.drop(task_set.dataset_id, task_set.set_id, key)
        match fact:
            case Sealed():
                self._keep_pieces(fact, task_set.set_id, key)
                self._desk.partials.drop(task_set.set_id, key)
            case Absent():
                self._desk.partials.drop(task_set.set_id, key)
            case Placed():
                self._desk.leftovers.forget(task_set.destination(fact.key, path_of(before)))
            case Failed():
                self._desk.details.note(task_set.dataset_id, task_set.set_id, key, fact.message, fact.location)
            case Invalidated():
                self._desk.partials.drop(task_set.set_id, key)
                self._desk.pieces.drop(task_set.set_id, key)
                if before.state in ON_DISK:
                    destination = task_set.destination(fact.key, path_of(before))
                    self._desk.leftovers.note(destination, before.size_bytes, before.crc)

    def _keep_pieces(self, fact: Sealed, set_id: int, key: StoredKey) -> None:
        state = self._desk.partials.read(set_id, key)
        if state is not None and state.generation == fact.generation:
            self._desk.pieces.keep(set_id, key, state.parts, fact.size_bytes)

    def write(self) -> None:
        """Write what came out; inside the transaction, once."""
        self._listed.write()
        self._gridded.write()
        self._write_fresh()
        self._deltas.write(self._desk.connection)

    def _write_fresh(self) -> None:
        kept = [
            (set_id, key, after.epoch, after.state == SEALED)
            for (set_id, key), after in self._fresh.items()
            if after.state == SEALED or (after.state == PLACED and after.epoch > self._durable_epoch)
        ]
        stale = self._fresh.keys() - {(set_id, key) for set_id, key, _, _ in kept}
        connection = self._desk.connection
        connection.executemany("INSERT OR REPLACE INTO fresh (set_id, key, epoch, sealed) VALUES (?, ?, ?, ?)", kept)
        connection.executemany("DELETE FROM fresh WHERE set_id = ? AND key = ?", stale)


def settle_leases(desk: Desk, facts: Sequence[Fact]) -> None:
    """Leases after a commit: what is done with is free, what is pending again may be found."""
    for fact in facts:
        desk.leases.doubt(fact.set_id, stored_key(fact.key))
        match fact:
            case Placed() | Failed() | Absent():
                desk.leases.settle(fact.set_id, stored_key(fact.key))
            case Invalidated():
                desk.leases.bring_back(fact.set_id, stored_key(fact.key))
            case _:
                pass


def _late(standing: Standing, fact: Sealed | Placed | Failed | Absent | Invalidated) -> Standing | None:
    """What becomes of an object that lost its name to a folder while it was fetched; None for all others.

    It has failed and stays so. What its file was sealed as is kept until it is known how the rename ended.
    """
    if standing.state != FAILED:
        return None
    if isinstance(fact, Sealed) and fact.generation < standing.generation:
        return standing._replace(stored=fact.size_bytes, crc=fact.crc32c)
    if isinstance(fact, Placed | Invalidated) and standing.crc is not None:
        return standing._replace(stored=None, crc=None)
    return None
