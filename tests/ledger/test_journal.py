"""Batches between their commit and the rows of their objects: nothing is lost, nothing is given out twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.batch import SealedRow
from emasync.ledger.entries import Entry, pack_entries, unpack_entries
from emasync.ledger.interface import Fact, Failed, Invalidated, PartialStarted, Placed, Row, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.ledger.tasksets import BLOCK
from emasync.model.digest import Digest, Validator
from emasync.model.grid import ChunkGrid
from emasync.model.packing import pack_validator
from emasync.model.task import ObjectEntry, State, Task, TaskSetSpec

from .conftest import Opener

LISTED = TaskSetSpec(dataset="d", base="s3://b", destination="d/l")
GRIDDED = TaskSetSpec(
    dataset="d", base="s3://b", destination="d/g", grid=ChunkGrid(start=(0,), shape=(2 * BLOCK,), prefix="")
)
HUGE = 2**33
ANSWER = Validator(etag='"e"', last_modified="Mon")


def planned(ledger: SqliteLedger, spec: TaskSetSpec, objects: int = 3_000) -> int:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(spec)
    if spec.grid is None:
        entries = [
            ObjectEntry(key=f"{number:05}", size_bytes=10, listed=pack_validator(ANSWER)) for number in range(objects)
        ]
        ledger.add_entries(set_id, entries)
    ledger.finish_plan("d")
    return set_id


def as_row(task: Task, size_bytes: int = 12) -> SealedRow:
    return SealedRow(task.set_id, task.key, size_bytes, 7, "published", ANSWER, (Digest("sha256", "ab"),))


def seal(ledger: SqliteLedger, set_id: int, count: int, epoch: int = 1) -> int:
    return ledger.seal_rows([as_row(task) for task in ledger.lease(set_id, count)], epoch)


def copied(ledger: SqliteLedger, open_ledger: Opener, target: Path, boot_id: str = "boot-1") -> SqliteLedger:
    """The ledger as a process finds it that starts after this one was killed."""
    target.mkdir()
    source = ledger._database.path
    for name in (source.name, f"{source.name}-wal"):
        shutil.copy(source.with_name(name), target)
    return open_ledger(state_dir=target, boot_id=boot_id)


def waiting(ledger: SqliteLedger) -> int:
    rows: int = ledger._connection.execute("SELECT count(*) FROM journal").fetchone()[0]
    return rows


def states(ledger: SqliteLedger, state: State) -> list[int]:
    return [int(row.key) for row in ledger.rows(state=state)]


def check_tallies(ledger: SqliteLedger) -> None:
    """Counts equal a scan."""
    rows = list(ledger.rows())
    (tally,) = ledger.tallies()
    for state in State:
        members = [row for row in rows if row.state is state]
        assert tally.objects[state] == len(members)
        assert tally.bytes[state] == sum(row.size_bytes or 0 for row in members)
    assert tally.published == tally.objects[State.PLACED]


@pytest.mark.parametrize("spec", [LISTED, GRIDDED])
def test_a_batch_waits_in_one_row_and_counts_at_once(ledger: SqliteLedger, spec: TaskSetSpec) -> None:
    set_id = planned(ledger, spec)
    before = ledger.open_sets()[0].pending
    batch = seal(ledger, set_id, 100)
    assert waiting(ledger) == 1
    assert (ledger.tallies()[0].objects[State.SEALED], ledger.open_sets()[0].pending) == (100, before - 100)
    ledger.place_rows(batch)
    assert waiting(ledger) == 1
    tally = ledger.tallies()[0]
    assert (tally.objects[State.PLACED], tally.bytes[State.PLACED], tally.published) == (100, 1200, 100)
    assert states(ledger, State.PLACED) == list(range(100))
    assert waiting(ledger) == 0
    check_tallies(ledger)


@pytest.mark.parametrize("spec", [LISTED, GRIDDED])
@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize("boot_id", ["boot-1", "boot-2"])
def test_a_killed_ledger_knows_what_was_sealed(
    open_ledger: Opener, tmp_path: Path, spec: TaskSetSpec, placed: bool, boot_id: str
) -> None:
    ledger = open_ledger()
    set_id = planned(ledger, spec)
    ledger.place_rows(seal(ledger, set_id, 10, epoch=3))
    ledger.set_durable_epoch(3)
    batch = seal(ledger, set_id, 10, epoch=4)
    if placed:
        ledger.place_rows(batch)
    again = copied(ledger, open_ledger, tmp_path / "copy", boot_id)
    assert (again.clean, again.last_epoch(), again.durable_epoch()) == (False, 4, 3)
    state = State.PLACED if placed else State.SEALED
    assert states(again, state)[-10:] == list(range(10, 20))
    fresh = list(again.rows(after_epoch=3))
    assert [(int(row.key), row.state, row.epoch) for row in fresh] == [(n, state, 4) for n in range(10, 20)]
    assert [int(task.key) for task in again.lease(set_id, 3)] == [20, 21, 22]
    again.record([Placed(set_id=set_id, key=row.key) for row in fresh])
    again.set_durable_epoch(4)
    assert list(again.rows(after_epoch=4)) == []
    check_tallies(again)


def test_a_seal_is_synced_and_a_placement_is_not(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED)
    said = list[str]()
    tasks = ledger.lease(set_id, 2)
    ledger._connection.set_trace_callback(said.append)
    batch = ledger.seal_rows([as_row(task) for task in tasks], 1)
    assert said.index("PRAGMA synchronous = FULL") < said.index("COMMIT") < said.index("PRAGMA synchronous = NORMAL")
    said.clear()
    ledger.place_rows(batch)
    ledger._connection.set_trace_callback(None)
    assert "COMMIT" in said
    assert not [text for text in said if "synchronous" in text]


@pytest.mark.parametrize("spec", [LISTED, GRIDDED])
def test_what_the_journal_holds_is_not_leased(ledger: SqliteLedger, spec: TaskSetSpec) -> None:
    set_id = planned(ledger, spec)
    tasks = ledger.lease(set_id, 10)
    batch = ledger.seal_rows([as_row(task) for task in tasks[:5]], 1)
    ledger.place_rows(ledger.seal_rows([as_row(task) for task in tasks[5:]], 1))
    ledger._desk.leases.restart(set_id)
    assert [int(task.key) for task in ledger.lease(set_id, 2)] == [10, 11]
    assert waiting(ledger) == 2
    ledger.release(tasks)  # too late
    ledger._desk.leases.restart(set_id)
    assert ledger.lease(set_id, 1)[0].key not in [task.key for task in tasks]
    ledger.place_rows(batch)
    ledger._batches.settle()
    ledger._desk.leases.restart(set_id)
    assert [int(task.key) for task in ledger.lease(set_id, 2)] == [13, 14]


def test_what_is_released_while_it_waits_may_be_leased_once_it_is_taken_back(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED)
    (task,) = ledger.lease(set_id, 1)
    batch = ledger.seal_rows([as_row(task)], 1)
    ledger.release([task])
    ledger.place_rows(batch, refused=[(set_id, task.key)])
    assert [task.generation for task in ledger.lease(set_id, 1)] == [1]


@pytest.mark.parametrize("spec", [LISTED, GRIDDED])
def test_the_journal_is_bounded(ledger: SqliteLedger, spec: TaskSetSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.ledger.folding._FOLD_AT", 40)
    monkeypatch.setattr("emasync.ledger.folding._TOO_MANY", 160)
    set_id = planned(ledger, spec)
    for epoch in range(1, 21):
        ledger.place_rows(seal(ledger, set_id, 10, epoch))
        ledger.set_durable_epoch(epoch - 2)
        assert ledger._desk.journal.objects <= 60
    assert ledger._connection.execute("SELECT count(*) FROM fresh").fetchone() == (0,)
    for epoch in range(21, 41):  # nothing becomes durable
        ledger.place_rows(seal(ledger, set_id, 10, epoch))
        assert ledger._desk.journal.objects <= 160
    assert [row.epoch for row in ledger.rows(after_epoch=18)] == [epoch for epoch in range(19, 41) for _ in range(10)]
    check_tallies(ledger)


def test_a_fact_about_a_waiting_object_finds_its_row(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED)
    batch = seal(ledger, set_id, 3)
    ledger.record([Invalidated(set_id=set_id, key="00001")])
    with pytest.raises(MachineError, match="cannot be placed: it is pending"):
        ledger.place_rows(batch)
    ledger.record([Sealed(set_id=set_id, key="00001", size_bytes=1, crc32c=1, generation=1)])
    ledger.place_rows(batch)
    assert states(ledger, State.PLACED) == [0, 1, 2]


def what_happened_before(set_id: int, key: str | int, what: str) -> list[Fact]:
    facts: dict[str, Fact] = {
        "failed": Failed(set_id=set_id, key=key, location="x", kind=ErrorKind.STALLED, message="m", attempts=2),
        "sealed": Sealed(set_id=set_id, key=key, size_bytes=99, crc32c=1),
        "invalidated": Invalidated(set_id=set_id, key=key),
        "partial": PartialStarted(set_id=set_id, key=key, generation=0, size_bytes=99, validator=Validator()),
    }
    return [facts[what]]


@pytest.mark.parametrize("spec", [LISTED, GRIDDED])
@pytest.mark.parametrize("what", ["failed", "sealed", "invalidated", "partial"])
def test_an_object_that_is_not_as_it_was_leased_is_sealed_all_the_same(
    open_ledger: Opener, tmp_path: Path, spec: TaskSetSpec, what: str
) -> None:
    """A random path through `record` and the same through rows end alike."""
    answers: list[tuple[list[Row], object]] = []
    for by_rows in (False, True):
        ledger = open_ledger(state_dir=tmp_path / f"state-{by_rows}")
        set_id = planned(ledger, spec, 4)
        tasks = ledger.lease(set_id, 4)
        ledger.record(what_happened_before(set_id, tasks[1].key, what))
        rows = [as_row(task) for task in tasks]
        rows[1] = rows[1]._replace(generation=ledger.generation(set_id, tasks[1].key))
        if by_rows:
            ledger.place_rows(ledger.seal_rows(rows, 2))
        else:
            ledger.record([Sealed(**row._asdict(), epoch=2) for row in rows], durable=True)
            ledger.record([Placed(set_id=set_id, key=row.key) for row in rows])
        assert ledger.unfinished() == frozenset()
        answers.append((list(ledger.rows())[:4], ledger.tallies()))
    assert answers[0] == answers[1]


def test_an_object_that_is_sealed_twice_in_a_batch_counts_once(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED)
    (task,) = ledger.lease(set_id, 1)
    ledger.place_rows(ledger.seal_rows([as_row(task), as_row(task, 13)], 1))
    assert [row.size_bytes for row in ledger.rows(state=State.PLACED)] == [13]
    check_tallies(ledger)


def test_a_file_that_is_placed_over_a_leftover_is_none(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED)
    first = seal(ledger, set_id, 1)
    ledger.place_rows(first)
    ledger.record([Invalidated(set_id=set_id, key="00000")])
    assert len(ledger.leftovers(9)) == 1
    ledger.release([Task(LISTED, set_id, "00000")])
    (task,) = ledger.lease(set_id, 1)
    assert (task.key, task.generation) == ("00000", 1)
    ledger.place_rows(ledger.seal_rows([as_row(task)._replace(generation=1)], 2))
    assert ledger.leftovers(9) == []


def test_huge_chunks_and_their_digests_are_kept(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, GRIDDED)
    ledger.record(what_happened_before(set_id, 1, "failed"))
    ledger.retry_failed()
    tasks = ledger.lease(set_id, 3)
    ledger.place_rows(ledger.seal_rows([as_row(task, HUGE + int(task.key)) for task in tasks], 1))
    rows = list(ledger.rows(state=State.PLACED))
    assert [(row.size_bytes, row.computed) for row in rows] == [(HUGE + n, (Digest("sha256", "ab"),)) for n in range(3)]
    assert ledger._connection.execute("SELECT attempts FROM chunks ORDER BY chunk").fetchall() == [(0,), (2,), (0,)]
    check_tallies(ledger)


@pytest.mark.parametrize("objects", [2, 3_000])
def test_a_journal_that_does_not_fit_its_objects_is_damage(open_ledger: Opener, tmp_path: Path, objects: int) -> None:
    ledger = open_ledger()
    set_id = planned(ledger, LISTED, objects)
    ledger.place_rows(seal(ledger, set_id, 2))
    journal = ledger._connection.execute("SELECT facts FROM journal").fetchone()
    ledger._batches.settle()
    ledger._connection.execute("INSERT INTO journal VALUES (9, 1, 1, ?)", journal)
    with pytest.raises(MachineError, match="speaks of object b'00000', which is not pending"):
        copied(ledger, open_ledger, tmp_path / "twice")
    ledger._connection.execute("UPDATE journal SET facts = substr(facts, 1, 20)")
    with pytest.raises(MachineError, match="aside and run again with --adopt") as caught:
        copied(ledger, open_ledger, tmp_path / "cut")
    assert caught.value.kind is ErrorKind.LEDGER


TEXTS = st.none() | st.binary(max_size=5)
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.integers(1, 2**40),
        st.integers(0, 2**62) | st.binary(min_size=1, max_size=9),
        st.integers(0, 2**62),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2),
        TEXTS,
        TEXTS,
        st.integers(0, 2**40),
        st.just(5),
    ),
    max_size=6,
)


@given(entries=ENTRIES)
def test_batches_pack_and_unpack(entries: list[Entry]) -> None:
    data = pack_entries(entries)
    assert unpack_entries(data, 5) == entries
    for wrong in (data + b"x", data[:-1]):
        with pytest.raises(ValueError, match="bytes for"):
            unpack_entries(wrong, 5)


@pytest.mark.parametrize("spec", [LISTED, GRIDDED])
def test_a_small_object_that_was_begun_as_a_large_one_leaves_nothing_unfinished(
    ledger: SqliteLedger, spec: TaskSetSpec
) -> None:
    set_id = planned(ledger, spec)
    ledger.record(what_happened_before(set_id, "00000" if spec is LISTED else 0, "partial"))
    ledger.place_rows(seal(ledger, set_id, 2))
    assert ledger.unfinished() == frozenset()
    assert states(ledger, State.PLACED) == [0, 1]


def test_an_object_that_is_listed_anew_while_it_is_leased_counts_with_its_new_size(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED, 3)
    tasks = ledger.lease(set_id, 3)
    ledger.add_entries(set_id, [ObjectEntry("00001", 99)])
    ledger.place_rows(ledger.seal_rows([as_row(task) for task in tasks], 1))
    check_tallies(ledger)


def test_an_object_that_a_newer_plan_leaves_out_while_it_is_leased_does_not_count(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED, 3)
    early = seal(ledger, set_id, 1)
    tasks = ledger.lease(set_id, 2)
    ledger.begin_plan("d", "2")
    ledger.add_set(LISTED)
    ledger.finish_plan("d")
    ledger.place_rows(early)
    ledger.place_rows(ledger.seal_rows([as_row(task) for task in tasks], 1))
    (tally,) = ledger.tallies()
    assert set(tally.objects.values()) == {0}
    assert tally.unwanted == 3


def test_plans_see_what_the_journal_holds(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED, 3)
    ledger.place_rows(seal(ledger, set_id, 2, epoch=7))
    assert (waiting(ledger), ledger.last_epoch()) == (1, 7)
    ledger.add_entries(set_id, [ObjectEntry("00001", 99)])  # another one now
    assert states(ledger, State.PLACED) == [0]
    assert [file.destination for file in ledger.leftovers(9)] == ["d/l/00001"]
    ledger.forget_leftovers(["d/l/00001"])
    (task,) = ledger.lease(set_id, 1)
    ledger.begin_plan("d", "2")
    ledger.finish_plan("d")
    ledger.seal_rows([as_row(task)._replace(generation=task.generation)], 8)
    assert waiting(ledger) == 1
    assert [row.key for row in ledger.unwanted()] == ["00000", task.key]
    assert ledger.removable(f"d/l/{task.key}") is not None


def test_an_answer_without_a_validator_is_kept_as_that(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, LISTED, 40)
    first, second = ledger.lease(set_id, 2)
    rows = [as_row(first)._replace(validator=Validator()), as_row(second)]
    ledger.place_rows(ledger.seal_rows(rows, 1))
    assert [row.validator for row in ledger.rows(state=State.PLACED)] == [Validator(), ANSWER]
