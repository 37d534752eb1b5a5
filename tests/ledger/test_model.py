"""Any sequence of facts and reopenings against a dictionary."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import Absent, Fact, Failed, Invalidated, Placed, Sealed, Tally
from emasync.ledger.store import SqliteLedger
from emasync.model.digest import Digest, Validator
from emasync.model.grid import ChunkGrid
from emasync.model.task import ObjectEntry, State, Task, TaskKey, TaskSetSpec

from .conftest import StillClock

NAMES = st.sampled_from(["a", "b", "c/d", "c/e", "é", "\udc80", "\U0001f600", "z" * 300])
LISTED = TaskSetSpec(dataset="d", asset="l", base="s3://b", destination="d/l")
GRIDDED = TaskSetSpec(
    dataset="d", asset="g", base="s3://b", destination="d/g", grid=ChunkGrid(start=(3,), shape=(7,), prefix="")
)


@dataclass(frozen=True)
class Known:
    state: State = State.PENDING
    expected: int | None = None
    stored: int | None = None
    verified: str = ""
    generation: int = 0
    epoch: int = 0
    validator: Validator = Validator()
    computed: tuple[Digest, ...] = ()

    @property
    def size(self) -> int | None:
        return self.stored if self.stored is not None else self.expected


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.clock = StillClock()
        self.model: dict[tuple[int, TaskKey], Known] = {}
        self.leased: dict[tuple[int, TaskKey], Task] = {}
        self.batches: dict[int, list[tuple[int, TaskKey]]] = {}
        self.durable = 0
        self.epoch = 1
        self.clean = True

    @initialize(fewest=st.sampled_from([1, 2, 32]), objects=st.sampled_from([1, 3, 256]))
    def begin(self, fewest: int, objects: int) -> None:
        self.patch.setattr("emasync.ledger.listed.FEWEST", fewest)
        self.patch.setattr("emasync.ledger.pages.OBJECTS", objects)
        self.ledger = SqliteLedger.open(self.folder / "s", root=self.folder, clock=self.clock, boot_id="1")
        self.ledger.begin_plan("d", "1")
        self.listed, self.gridded = self.ledger.add_set(LISTED), self.ledger.add_set(GRIDDED)
        self.model |= {(self.gridded, number): Known() for number in range(7)}

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.agrees()
            self.ledger.close(clean=False)
        shutil.rmtree(self.folder)
        self.patch.undo()

    @rule(keys=st.lists(NAMES, unique=True), size=st.none() | st.integers(0, 9))
    def add(self, keys: list[str], size: int | None) -> None:
        entries = [ObjectEntry(key=key, size_bytes=size) for key in keys if (self.listed, key) not in self.model]
        self.ledger.add_entries(self.listed, entries)
        self.model |= {(self.listed, entry.key): Known(expected=size) for entry in entries}

    @rule(limit=st.integers(0, 4), gridded=st.booleans())
    def lease(self, limit: int, gridded: bool) -> None:
        set_id = self.gridded if gridded else self.listed
        tasks = self.ledger.lease(set_id, limit)
        free = [
            name
            for name, known in self.model.items()
            if name[0] == set_id and known.state is State.PENDING and name not in self.leased
        ]
        free.sort(key=self.order)
        assert [(task.set_id, task.key) for task in tasks] == free[:limit]
        self.leased |= {(task.set_id, task.key): task for task in tasks}
        for task in tasks:
            assert task.generation == self.model[task.set_id, task.key].generation

    @staticmethod
    def order(name: tuple[int, TaskKey]) -> tuple[int, bytes | int]:
        set_id, key = name
        return set_id, key if isinstance(key, int) else key.encode("utf-8", "surrogatepass")

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.leased, key=self.order)))
        self.ledger.release([self.leased.pop(name)])

    @precondition(lambda self: self.model)
    @rule(
        data=st.data(),
        what=st.sampled_from(["seal", "place", "both", "fail", "absent", "invalidate"]),
        size=st.integers(0, 2**33),
        verified=st.sampled_from(["published", "computed", "size_only"]),
    )
    def fact(self, data: st.DataObject, what: str, size: int, verified: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model, key=self.order)))
        set_id, key = name
        known = self.model[name]
        placed = replace(known, state=State.PLACED)
        bare = replace(known, stored=None, verified="", epoch=0, validator=Validator(), computed=())
        seal = Sealed(
            set_id=set_id,
            key=key,
            size_bytes=size,
            crc32c=1,
            verified=verified,
            generation=known.generation,
            epoch=self.epoch,
        )
        sealed = replace(bare, state=State.SEALED, stored=size, verified=verified, epoch=self.epoch)
        on_disk = known.state in (State.SEALED, State.PLACED)
        failed = Failed(set_id=set_id, key=key, location="x", kind=ErrorKind.STALLED, message="m", attempts=2)
        outcomes: dict[str, tuple[list[Fact], bool, Known]] = {
            "seal": ([seal], known.state is not State.PLACED, sealed),
            "place": ([Placed(set_id=set_id, key=key)], on_disk, placed),
            "both": (
                [seal, Placed(set_id=set_id, key=key)],
                known.state is not State.PLACED,
                replace(sealed, state=State.PLACED),
            ),
            "fail": ([failed], known.state is not State.PLACED, replace(bare, state=State.FAILED)),
            "absent": ([Absent(set_id=set_id, key=key)], not on_disk, replace(bare, state=State.ABSENT)),
            "invalidate": (
                [Invalidated(set_id=set_id, key=key)],
                True,
                replace(bare, state=State.PENDING, generation=known.generation + 1),
            ),
        }
        facts, legal, after = outcomes[what]
        if not legal:
            with pytest.raises(MachineError):
                self.ledger.record(facts)
            return
        self.ledger.record(facts)
        self.model[name] = after
        if after.state in (State.PLACED, State.FAILED, State.ABSENT):
            self.leased.pop(name, None)

    @precondition(lambda self: self.leased)
    @rule(
        data=st.data(),
        sizes=st.lists(st.integers(0, 2**33), min_size=1, max_size=5),
        verified=st.sampled_from(["published", "computed", "size_only"]),
        etag=st.none() | st.sampled_from(['"e"', 'W/"w%"']),
    )
    def seal_batch(self, data: st.DataObject, sizes: list[int], verified: str, etag: str | None) -> None:
        """A batch of leased objects: with the right generation, or with nothing of it kept."""
        names = st.sampled_from(sorted(self.leased, key=self.order))
        chosen = data.draw(st.lists(names, min_size=1, max_size=len(sizes), unique=True))
        stale = data.draw(st.integers(0, 9)) == 0
        digests = data.draw(st.sampled_from([(), (Digest("sha256", "ab"),)]))
        validator = Validator(etag=etag)
        rows = [
            SealedRow(*name, size, 7, verified, validator, digests, self.model[name].generation + stale)
            for name, size in zip(chosen, sizes, strict=False)
        ]
        if stale or any(self.model[name].state is State.PLACED for name in chosen):
            with pytest.raises(MachineError):
                self.ledger.seal_rows(rows, self.epoch)
            return
        number = self.ledger.seal_rows(rows, self.epoch)
        self.batches[number] = [row[:2] for row in rows]
        for row in rows:
            name = row[:2]
            sealed = replace(self.model[name], state=State.SEALED, stored=row.size_bytes, verified=verified)
            self.model[name] = replace(sealed, epoch=self.epoch, validator=validator, computed=digests)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def place_batch(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.batches)))
        names = self.batches[number]
        if any(self.model[name].state not in (State.SEALED, State.PLACED) for name in names):
            return  # something of it was taken back meanwhile
        refused = data.draw(st.just([]) | st.lists(st.sampled_from(names), unique=True))
        self.ledger.place_rows(number, refused)
        del self.batches[number]
        for name in names:
            known = self.model[name]
            if name in refused:
                bare = replace(known, stored=None, verified="", epoch=0, validator=Validator(), computed=())
                self.model[name] = replace(bare, state=State.PENDING, generation=known.generation + 1)
            else:
                self.model[name] = replace(known, state=State.PLACED)
                self.leased.pop(name, None)
        with pytest.raises(MachineError, match="is not known, or was placed"):
            self.ledger.place_rows(number)

    @rule()
    def fold(self) -> None:
        """As when the journal is full: what is placed and durable leaves it."""
        journal = self.ledger._desk.journal
        self.ledger._batches._fold([b for b in journal.batches.values() if b.placed and b.epoch <= self.durable])

    @rule(further=st.integers(0, 2))
    def sync(self, further: int) -> None:
        self.durable = max(self.durable, self.epoch - 1)
        self.ledger.set_durable_epoch(self.durable)
        self.epoch += further

    @rule()
    def retry(self) -> None:
        failed = [name for name, known in self.model.items() if known.state is State.FAILED]
        assert self.ledger.retry_failed() == len(failed)
        for name in failed:
            self.model[name] = replace(self.model[name], state=State.PENDING)

    @rule(clean=st.booleans(), boot_id=st.sampled_from(["1", "2"]))
    def reopen(self, clean: bool, boot_id: str) -> None:
        before = self.ledger._database.meta_text("boot_id")
        self.ledger.close(clean=clean)
        self.ledger = SqliteLedger.open(self.folder / "s", root=self.folder, clock=self.clock, boot_id=boot_id)
        assert self.ledger.clean is (clean and before == boot_id)
        self.leased.clear()
        self.batches.clear()
        assert self.ledger.durable_epoch() == self.durable

    @rule()
    def look(self) -> None:
        """What the journal holds is brought to its rows first."""
        self.agrees()

    @invariant()
    def counts(self) -> None:
        """Tallies and open sets are right whatever the journal holds."""
        if hasattr(self, "ledger"):
            self.count(self.ledger.tallies()[0])
            open_sets = {item.set_id: item.pending for item in self.ledger.open_sets()}
            for set_id in (self.listed, self.gridded):
                known = [known for (owner, _), known in self.model.items() if owner == set_id]
                assert open_sets.get(set_id, 0) == sum(item.state is State.PENDING for item in known)

    def agrees(self) -> None:
        rows = {(row.set_id, row.key): row for row in self.ledger.rows()}
        assert list(rows) == sorted(self.model, key=self.order)
        for name, known in self.model.items():
            row = rows[name]
            assert (row.state, row.verified, row.generation) == (known.state, known.verified, known.generation)
            assert row.size_bytes == (None if known.state is State.ABSENT else known.size)
            assert row.computed == known.computed
            if name[0] == self.listed:  # a chunk's is not kept
                assert row.validator == known.validator
            if known.epoch > self.durable:
                assert row.epoch == known.epoch
        for state in State:
            expected = [name for name in rows if self.model[name].state is state]
            assert [(row.set_id, row.key) for row in self.ledger.rows(state=state)] == expected
        fresh = [name for name in rows if self.model[name].epoch > self.durable]
        assert [(row.set_id, row.key) for row in self.ledger.rows(after_epoch=self.durable)] == fresh

    def count(self, tally: Tally) -> None:
        known = self.model.values()
        for state in State:
            members = [item for item in known if item.state is state]
            assert tally.objects[state] == len(members)
            expected = 0 if state is State.ABSENT else sum(item.size or 0 for item in members)
            assert tally.bytes[state] == expected
        for verified in ("published", "computed", "size_only"):
            placed = [item for item in known if item.state is State.PLACED and item.verified == verified]
            assert getattr(tally, verified) == len(placed)
        unknown = [item for item in known if item.state is State.PENDING and item.expected is None]
        assert tally.unknown_size == len(unknown)
        assert self.ledger.failures("d", 99)[0] == tally.objects[State.FAILED]


LedgerMachine.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLedger = LedgerMachine.TestCase
