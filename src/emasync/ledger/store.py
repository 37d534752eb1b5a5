"""The ledger of one root on SQLite: the rooms of this package behind :class:`~emasync.ledger.interface.Ledger`.

One thread opens and uses it (``thread.py``). Every change is one transaction; memory of the owner (leases, caches)
changes after the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger import chunk_states, plans
from emasync.ledger.absences import read_missing, read_wholly_absent
from emasync.ledger.admission import Admitter
from emasync.ledger.answers import read_failures, reset_failed
from emasync.ledger.batch import Name, SealedRow
from emasync.ledger.batches import Batches
from emasync.ledger.counts import read_tallies
from emasync.ledger.database import Database, Transaction, damaged
from emasync.ledger.desk import Desk
from emasync.ledger.gridded import GriddedBook, lease_chunks, lease_named_chunks
from emasync.ledger.housekeeping import Leftover
from emasync.ledger.interface import (
    Admission,
    ChunkBlock,
    Fact,
    MemberBlock,
    OpenSet,
    PartialState,
    Piece,
    PlanFacts,
    PlannedSet,
    PlanState,
    Row,
    Tally,
)
from emasync.ledger.journal import Journal
from emasync.ledger.leases import Leases
from emasync.ledger.listed import lease_named_objects, lease_objects, stored_key
from emasync.ledger.listed_blocks import listed_blocks
from emasync.ledger.machine import boot_id as this_boot
from emasync.ledger.naming import name_set
from emasync.ledger.opening import open_database
from emasync.ledger.pieces import Pieces
from emasync.ledger.places import Places
from emasync.ledger.planned import Planned, walk_planned
from emasync.ledger.recorder import ListedBook, Recorder, negative, settle_leases
from emasync.ledger.removal import forget_dataset, forget_file, removable, retire, stands
from emasync.ledger.sidenotes import FailureDetails, Leftovers, Partials
from emasync.ledger.sittings import Sittings
from emasync.ledger.tasksets import TaskSet, TaskSets
from emasync.ledger.walking import Shelf, walk, walk_unwanted
from emasync.model.clock import Clock
from emasync.model.receipt import Failure
from emasync.model.task import ObjectEntry, State, Task, TaskKey, TaskSetSpec


@final
class SqliteLedger:
    """Plan and progress of one root.

    Made by :meth:`open`.
    """

    def __init__(self, database: Database, clock: Clock, *, clean: bool, casefold: bool) -> None:
        self._database = database
        self._clock = clock
        self._connection = database.connection
        self._clean = clean
        self._sets = TaskSets(self._connection)
        self._places = Places(self._connection, self._sets, casefold=casefold)
        self._desk = Desk(
            connection=self._connection,
            sets=self._sets,
            places=self._places,
            details=FailureDetails(self._connection),
            leftovers=Leftovers(self._connection),
            partials=Partials(self._connection),
            pieces=Pieces(self._connection),
            leases=Leases(),
            journal=Journal(self._connection),
        )
        self._durable_epoch = database.meta("durable_epoch", 0)
        self._batches = Batches(self._desk, self)

    @classmethod
    def open(
        cls, state_dir: Path, *, root: Path, clock: Clock, boot_id: str | None = None, casefold: bool = False
    ) -> SqliteLedger:
        """Open the ledger in `state_dir`, or make it.

        Parameters
        ----------
        state_dir : Path
            Made when it is not there.
        root : Path
            Folder the ledger speaks of; must exist.
        clock : Clock
        boot_id : str, optional
            Name of this boot; asked of the machine by default.
        casefold : bool
            Whether the root's filesystem takes names that differ in case for one. Decided when the ledger is made;
            later openings keep what was decided.

        Raises
        ------
        MachineError
            ``ledger``: damaged, another program's or a newer version's; ``no_permission``, ``disk_full``,
            ``root_locked``.
        """
        database, clean = open_database(
            state_dir,
            root=root,
            now_s=clock.time_s(),
            boot_id=boot_id if boot_id is not None else this_boot(),
            casefold=casefold,
        )
        try:
            with database.errors():
                ledger = cls(database, clock, clean=clean, casefold=bool(database.meta("casefold", 0)))
            ledger._batches.settle()
            return ledger
        except ValueError as error:
            database.close()
            raise damaged(database.path, f"its journal cannot be read ({error})") from error
        except BaseException:
            database.close()
            raise

    def __repr__(self) -> str:
        return f"<SqliteLedger {self._database.path} durable epoch {self._durable_epoch} {self._desk.leases!r}>"

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Transaction]:
        """One transaction; what memory holds of the tables is read again when it fails."""
        try:
            with self._database.transaction(durable=durable) as transaction:
                yield transaction
        except BaseException:
            self._sets.forget()
            self._places.forget()
            with self._database.errors():
                self._desk.partials.reload()
                self._desk.leftovers.reload()
                self._desk.details.reload()
            raise

    # --- planning -----------------------------------------------------------------------------------------------

    def begin_plan(self, dataset: str, digest: str, *, refresh: bool = False) -> PlanState:
        """Open the plan of `dataset` under the manifest entry's `digest` (hexadecimal)."""
        with self.write():
            state = plans.begin_plan(self._connection, dataset, digest, refresh=refresh)
            self._sets.forget()
        return state

    def add_set(self, spec: TaskSetSpec) -> int:
        """Open a task set, or find it again by its identity; gives its id."""
        self._batches.settle()
        with self.write() as transaction:
            return name_set(self._desk, spec, transaction)

    def add_entries(self, set_id: int, entries: Sequence[ObjectEntry], cursor: str | None = None) -> Admission:
        """Add listed objects and remember where the listing stands, in one transaction.

        Raises
        ------
        MachineError
            The set is gridded, or the present plan has not named it.
        InputError
            One key is named with two destinations.
        DestinationError
            A destination has no file name.
        """
        with self.write() as transaction:
            admission = self._admitter(set_id, transaction).admit_new(entries)
            if admission is not None:
                self._write_cursor(set_id, cursor)
                return admission
        self._batches.settle()
        with self.write() as transaction:
            admission = self._admitter(set_id, transaction).admit(entries)
            self._write_cursor(set_id, cursor)
        return admission

    def _admitter(self, set_id: int, transaction: Transaction) -> Admitter:
        task_set = self._sets.get(set_id)
        if task_set.spec.grid is not None or not task_set.current:
            raise MachineError(
                f"task set {set_id} of {task_set.spec.dataset} takes no entries: it is gridded, or add_set did not"
                " name it in this plan; report this as a bug",
                kind=ErrorKind.LEDGER,
            )
        return Admitter(self._desk, task_set, transaction)

    def _write_cursor(self, set_id: int, cursor: str | None) -> None:
        if cursor is not None:
            plans.write_cursor(self._connection, set_id, cursor)

    def cursor(self, set_id: int) -> str | None:
        """Last listed key of an unfinished set of this plan generation; None at the beginning."""
        with self._database.errors():
            return plans.read_cursor(self._connection, set_id)

    def finish_set(self, set_id: int) -> None:
        """The set is listed to its end (in this plan generation)."""
        with self.write():
            plans.finish_set(self._connection, set_id)

    def set_finished(self, set_id: int) -> bool:
        """Whether the set is listed to its end in this plan generation."""
        with self._database.errors():
            return plans.set_finished(self._connection, set_id)

    def finish_plan(self, dataset: str) -> None:
        """All sets are named: what this generation did not name again is unwanted from now on."""
        with self.write():
            plans.finish_plan(self._connection, dataset)

    def fail_plan(self, dataset: str, kind: ErrorKind, message: str, location: str) -> None:
        """The dataset could not be planned; shows as its failure until the next begin_plan."""
        with self.write():
            plans.fail_plan(self._connection, dataset, kind, message, location)

    def plan_facts(self, dataset: str) -> PlanFacts | None:
        """Under which digest a dataset was planned last; None: never."""
        with self._database.errors():
            return plans.read_facts(self._connection, dataset)

    def planned(self, dataset: str) -> Iterator[Planned]:
        """Walk what the present plan named, as it was named, in pages; sets and objects by name."""
        with self._database.errors():
            yield from walk_planned(Shelf(self._connection, self._sets, self._batches.settle), dataset)

    def mark_held(self, dataset: str, lock: str) -> None:
        """The present plan is the one that `lock` (a digest) describes; holds until the next plan generation."""
        with self.write():
            plans.mark_held(self._connection, dataset, lock)

    # --- work ---------------------------------------------------------------------------------------------------

    def open_sets(self) -> list[OpenSet]:
        """Sets with pending objects, by (rank, set id); leased objects are pending until they are sealed."""
        with self._database.errors():
            return plans.read_open_sets(self._connection)

    def lease(self, set_id: int, limit: int) -> list[Task]:
        """Take up to `limit` pending objects that are not leased, in key order."""
        with self._database.errors():
            task_set = self._sets.get(set_id)
            if not task_set.current or limit <= 0:
                return []
            if task_set.spec.grid is not None:
                return lease_chunks(self._connection, task_set, self._desk.leases, limit)
            return lease_objects(self._connection, task_set, self._desk.leases, limit)

    def lease_named(self, set_id: int, keys: Sequence[TaskKey]) -> list[Task]:
        """Take those of some objects that are pending and not leased; keys of no object are passed over."""
        with self._database.errors():
            task_set = self._sets.get(set_id)
            if not task_set.current:
                return []
            if task_set.spec.grid is not None:
                chunks = [key for key in keys if isinstance(key, int) and 0 <= key < len(task_set.grid)]
                return lease_named_chunks(self._connection, task_set, self._desk.leases, chunks)
            names = [key for key in keys if isinstance(key, str)]
            return lease_named_objects(self._connection, task_set, self._desk.leases, names)

    def release(self, tasks: Sequence[Task]) -> None:
        """Give leased objects back untouched."""
        self._batches.settle_for(tasks)
        for task in tasks:
            self._desk.leases.release(task.set_id, stored_key(task.key))

    def record(self, facts: Sequence[Fact], *, durable: bool = False) -> None:
        """Commit facts in one transaction; `durable`: synchronous=FULL (always so when a fact is negative).

        Raises
        ------
        MachineError
            ``ledger``: a fact that cannot follow what is known (nothing of the batch is kept); ``disk_full``.
        """
        self._batches.settle_for(facts)
        with self.write(durable=durable or negative(facts)):
            listed, gridded = ListedBook(self._connection), GriddedBook(self._connection)
            recorder = Recorder(self._desk, self._durable_epoch, listed=listed, gridded=gridded)
            listed.prefetch(facts)
            gridded.prefetch(facts)
            for fact in facts:
                recorder.apply(fact)
            recorder.write()
        settle_leases(self._desk, facts)

    def seal_rows(self, rows: Sequence[SealedRow], epoch: int) -> int:
        """Commit a batch of sealed objects in one synced transaction: what :meth:`record` says of ``Sealed`` holds.

        Parameters
        ----------
        rows : sequence of SealedRow
        epoch : int
            All of them belong to it.

        Returns
        -------
        int
            Number of the batch, for :meth:`place_rows`; good until then, in this opening of the ledger.

        Raises
        ------
        MachineError
            As :meth:`record`.
        """
        return self._batches.seal(rows, epoch)

    def place_rows(self, batch: int, refused: Collection[Name] = ()) -> None:
        """The batch's objects are under their final names, but for the refused ones, which are invalidated.

        Raises
        ------
        MachineError
            As :meth:`record`; also for a batch that is not known or was placed before.
        """
        self._batches.place(batch, frozenset(refused))

    def partial(self, set_id: int, key: TaskKey) -> PartialState | None:
        """What is known of an unfinished large object."""
        with self._database.errors():
            return self._desk.partials.read(set_id, stored_key(key))

    def pieces(self, set_id: int, key: TaskKey) -> tuple[Piece, ...]:
        """CRCs of the parts a placed large object was fetched in; none where that is not known."""
        with self._database.errors():
            return self._desk.pieces.read(set_id, stored_key(key))

    def generation(self, set_id: int, key: TaskKey) -> int:
        """Current generation of an object's partial name."""
        with self._database.errors():
            task_set, stored = self._sets.get(set_id), stored_key(key)
            if isinstance(stored, int):
                return GriddedBook(self._connection).read(task_set, stored).generation
            return ListedBook(self._connection).read(task_set, stored).generation

    # --- epochs and recovery ------------------------------------------------------------------------------------

    @property
    def clean(self) -> bool:
        """Whether the last run ended cleanly on this boot and filesystem; true for a new ledger."""
        return self._clean

    def durable_epoch(self) -> int:
        """All facts up to this epoch are on disk for good."""
        return self._durable_epoch

    def set_durable_epoch(self, epoch: int) -> None:
        """Move the durable epoch forward; an older one changes nothing.

        Synced: what the facts of these epochs speak of is on disk, and from now on the facts are too.
        """
        if epoch <= self._durable_epoch:
            return
        with self.write(durable=True):
            self._database.set_meta("durable_epoch", epoch)
            self._connection.execute("DELETE FROM fresh WHERE epoch <= ? AND sealed = 0", (epoch,))
        self._durable_epoch = epoch

    def last_epoch(self) -> int:
        """The newest epoch any fact or part speaks of; a run counts on from here."""
        with self._database.errors():
            facts = self._connection.execute("SELECT max(epoch) FROM fresh").fetchone()[0]
            parts = self._connection.execute("SELECT max(epoch) FROM parts").fetchone()[0]
        return max(facts or 0, parts or 0, self._desk.journal.last_epoch(), self._durable_epoch)

    def rows(
        self, *, dataset: str | None = None, state: State | None = None, after_epoch: int | None = None
    ) -> Iterator[Row]:
        """Walk objects in (set, key) order in pages: never all in memory. Filters combine.

        With `after_epoch` not below the durable epoch, or state sealed, only what recovery needs is read, whatever
        the size of the ledger.
        """
        with self._database.errors():
            settle = partial(self._batches.settle, placed_only=state is State.PLACED)
            shelf = Shelf(self._connection, self._sets, settle)
            yield from walk(shelf, dataset=dataset, state=state, after_epoch=after_epoch)

    def planned_sets(self, dataset: str) -> list[PlannedSet]:
        """Task sets of a dataset's present plan."""
        with self._database.errors():
            return chunk_states.planned_sets(Shelf(self._connection, self._sets, self._batches.settle), dataset)

    def listed_rows(self, dataset: str) -> Iterator[Row]:
        """Walk the members of a dataset's listed sets, in (set, key) order in pages."""
        with self._database.errors():
            yield from chunk_states.listed_rows(Shelf(self._connection, self._sets, self._batches.settle), dataset)

    def listed_blocks(self, dataset: str) -> Iterator[MemberBlock | Row]:
        """Walk the same members set by set, most of them as columns; the others follow row by row."""
        with self._database.errors():
            yield from listed_blocks(Shelf(self._connection, self._sets, self._batches.settle), dataset)

    def chunk_blocks(self, set_id: int) -> Iterator[ChunkBlock]:
        """Walk states and facts of a gridded set, 4,096 chunks at a time: no row a chunk."""
        with self._database.errors():
            yield from chunk_states.chunk_blocks(Shelf(self._connection, self._sets, self._batches.settle), set_id)

    def retry_failed(self, dataset: str | None = None) -> int:
        """Make failed objects pending again; gives how many. Name clashes stay failed: only a plan can mend them."""
        with self.write():
            count, touched = reset_failed(self._desk, dataset)
        for set_id in touched:
            self._desk.leases.restart(set_id)
        return count

    # --- housekeeping -------------------------------------------------------------------------------------------

    def unfinished(self) -> frozenset[str]:
        """Names of the partials that hold finished parts; any other is nobody's."""
        return self._desk.partials.names()

    def leftovers(self, limit: int, after: str = "") -> list[Leftover]:
        """Files that were placed and then invalidated, replaced in the plan or lost a clash, by name."""
        with self._database.errors():
            return self._desk.leftovers.read(limit, after)

    def removable(self, destination: str) -> Leftover | None:
        """The file of ours under a final name that may make room there: a leftover, or unwanted."""
        self._batches.settle()
        with self._database.errors():
            return removable(self._desk, destination)

    def forget_leftovers(self, destinations: Sequence[str]) -> None:
        """These files are gone."""
        self._batches.settle()
        with self.write():
            for destination in destinations:
                forget_file(self._desk, destination)

    def unwanted(self, dataset: str | None = None) -> Iterator[Row]:
        """Walk objects on disk that complete plans no longer name, in (set, key) order in pages."""
        with self._database.errors():
            yield from walk_unwanted(Shelf(self._connection, self._sets, self._batches.settle), dataset)

    def retire(self, rows: Sequence[Row]) -> None:
        """These unwanted objects are about to go: their rows do now, their files are leftovers until they are gone.

        Synced, so that no row stands for a file that is gone (law 2).
        """
        self._batches.settle()
        with self.write(durable=True):
            retire(self._desk, rows)

    def stands(self, destination: str) -> bool:
        """Whether an object of a present plan is on disk under this very name."""
        self._batches.settle()
        with self._database.errors():
            return stands(self._desk, destination)

    def forget_dataset(self, dataset: str) -> bool:
        """Forget a dataset of which nothing is on disk any more; False where something still is."""
        self._batches.settle()
        with self.write():
            return forget_dataset(self._desk, dataset)

    # --- answers ------------------------------------------------------------------------------------------------

    def tallies(self) -> list[Tally]:
        """Counts of each dataset in the order of planning."""
        with self._database.errors():
            return read_tallies(self._connection)

    def failures(self, dataset: str, limit: int) -> tuple[int, list[Failure]]:
        """Number of all failures of a dataset, and the first `limit` of them; that of its plan comes first."""
        with self._database.errors():
            return read_failures(self._desk, dataset, limit)

    def wholly_absent(self, dataset: str) -> list[TaskSet]:
        """Grids of the present plan of which every chunk was found absent (law 9)."""
        with self._database.errors():
            return read_wholly_absent(self._connection, dataset)

    def missing(self, dataset: str, limit: int) -> list[str]:
        """The first members that are missing and accepted to be (``allow_missing``), in words."""
        self._batches.settle()
        with self._database.errors():
            return read_missing(self._connection, dataset, limit)

    def close(self, *, clean: bool) -> None:
        """Commit and close; `clean` sets the clean-shutdown flag."""
        try:
            if clean:
                self._batches.settle()
                with self._database.transaction(durable=True):
                    self._database.set_meta("clean", 1)
                    self._sit()
        finally:
            self._database.close()

    def _sit(self) -> None:
        """End the sitting."""
        opened_s, closed_s = self._database.meta("opened", 0), int(self._clock.time_s())
        self._database.set_meta("sittings", self.sittings().with_one(opened_s, closed_s).text)

    def sittings(self) -> Sittings:
        """When this program wrote to the root, the present sitting left out."""
        return Sittings.parse(self._database.meta_text("sittings"))

    def vouch(self) -> None:
        """All files were found to be what the ledger says: whatever their times, up to now they count as ours."""
        with self.write(durable=True):
            self._database.set_meta("sittings", Sittings().with_one(0, int(self._clock.time_s())).text)

    def save_copy(self, target: Path) -> None:
        """Write a consistent copy of the whole ledger to a file that is not there yet (see ``backup.py``).

        Raises
        ------
        MachineError
            No space, no permission.
        """
        with self._database.errors():
            self._connection.execute("VACUUM INTO ?", (str(target),))
