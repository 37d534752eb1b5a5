"""Pages of neighbours: read, leased and walked like rows, and rows as soon as something unusual happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.batch import SealedRow
from emasync.ledger.columns import Columns, pack_rows
from emasync.ledger.interface import Absent, Fact, Failed, Invalidated, Placed, Sealed
from emasync.ledger.pages import OBJECTS
from emasync.ledger.store import SqliteLedger
from emasync.model.digest import Digest, Validator
from emasync.model.packing import pack_validator
from emasync.model.task import ObjectEntry, State, TaskSetSpec

SPEC = TaskSetSpec(dataset="d", base="s3://b", destination="d")
MD5 = (Digest("md5", "00"),)
HINT = Validator(etag='"h"', last_modified="Mon")


def entry(number: int) -> ObjectEntry:
    """Some with a size, a path, a validator or digests of their own."""
    return ObjectEntry(
        f"{number:05}",
        None if number % 3 == 0 else number,
        f"mapped/{number}" if number % 5 == 0 else None,
        None if number % 7 == 0 else pack_validator(HINT),
        MD5 if number % 11 == 0 else (),
    )


def planned(ledger: SqliteLedger, *parts: range, digest: str = "1") -> int:
    ledger.begin_plan("d", digest)
    set_id = ledger.add_set(SPEC)
    for part in parts:
        ledger.add_entries(set_id, [entry(number) for number in part])
    ledger.finish_plan("d")
    return set_id


def counted(ledger: SqliteLedger, table: str) -> int:
    found: int = ledger._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # own names
    return found


def land(ledger: SqliteLedger, set_id: int, count: int, epoch: int = 1) -> None:
    rows = [SealedRow(set_id, task.key, 7, 8, "computed", HINT) for task in ledger.lease(set_id, count)]
    ledger.place_rows(ledger.seal_rows(rows, epoch))
    ledger._batches.settle()


def named(lead: str, numbers: range) -> list[ObjectEntry]:
    """Slices whose places are named otherwise: numbers without zeros before them, which lie between each other."""
    return [ObjectEntry(f"{lead}@{number:05}", 1, f"c/{number}") for number in numbers]


def test_objects_whose_places_lie_between_those_of_others_are_pages_too(ledger: SqliteLedger) -> None:
    """As chunks out of shards come: shard by shard, and names know nothing of shards."""
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(SPEC)
    for start in range(0, 4 * OBJECTS, OBJECTS):
        ledger.add_entries(set_id, named(f"shard{start}", range(start, start + OBJECTS)))
    assert (counted(ledger, "pages"), counted(ledger, "objects")) == (4, 0)


@pytest.mark.parametrize(
    ("taken", "kind"), [("c/700", "duplicate"), ("c/700/x", "file_prefix")], ids=["its place", "inside of it"]
)
def test_a_clash_between_them_is_found_all_the_same(ledger: SqliteLedger, taken: str, kind: str) -> None:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(SPEC)
    ledger.add_entries(set_id, named("a", range(OBJECTS)))
    ledger.add_entries(set_id, [ObjectEntry("other", 1, taken)])
    admission = ledger.add_entries(set_id, named("b", range(OBJECTS, 900)))
    assert [clash.kind for clash in admission.clashes] == [kind]
    assert admission.clashes[0].destination == "d/c/700"


def test_a_task_out_of_a_page_says_everything(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, range(3 * OBJECTS))
    assert (counted(ledger, "pages"), counted(ledger, "objects")) == (3, 0)
    tasks = ledger.lease(set_id, 400) + ledger.lease(set_id, 999)
    assert [(t.key, t.size_bytes, t.path, t.listed, t.digests) for t in tasks] == list(map(entry, range(3 * OBJECTS)))
    assert {(task.attempts, task.generation) for task in tasks} == {(0, 0)}


def test_a_page_is_read_as_rows_are(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, range(600))
    land(ledger, set_id, 300)
    rows = list(ledger.rows())
    assert [row.key for row in rows] == [f"{number:05}" for number in range(600)]
    assert [row.state for row in rows] == [State.PLACED] * 300 + [State.PENDING] * 300
    for number, row in enumerate(rows):
        named = entry(number)
        listed = HINT if named.listed is not None else Validator()
        assert (row.destination, row.published) == (f"d/{named.path or named.key}", named.digests)
        placed = (7, 8, "computed", HINT)
        assert (row.size_bytes, row.crc32c, row.verified, row.validator) == (
            placed if number < 300 else (named.size_bytes, None, "", listed)
        )
    assert [row.key for row in ledger.rows(state=State.PENDING)] == [row.key for row in rows[300:]]
    assert counted(ledger, "objects") == 0


def test_pages_and_rows_between_them_are_one_sequence(ledger: SqliteLedger) -> None:
    even, odd = range(0, 400, 2), (101, 103, 399, 401)
    set_id = planned(ledger, even, *(range(number, number + 1) for number in odd))
    assert (counted(ledger, "pages"), counted(ledger, "objects")) == (1, 4)
    keys = [f"{number:05}" for number in sorted([*even, *odd])]
    assert [row.key for row in ledger.rows()] == keys
    land(ledger, set_id, 53)
    assert [row.key for row in ledger.rows(state=State.PLACED)] == keys[:53]
    assert [task.key for task in ledger.lease(set_id, 5)] == keys[53:58]
    assert [task.key for task in ledger.lease(set_id, 999)] == keys[58:]
    assert (counted(ledger, "pages"), counted(ledger, "objects")) == (1, 4)


@pytest.mark.parametrize("what", ["failed", "absent", "invalidated", "sealed"])
def test_a_page_becomes_rows_when_something_unusual_happens(ledger: SqliteLedger, what: str) -> None:
    set_id = planned(ledger, range(3 * OBJECTS))
    land(ledger, set_id, OBJECTS + 10)
    before = {row.key: row for row in ledger.rows()}
    key = f"{OBJECTS + 20:05}"
    facts: dict[str, Fact] = {
        "failed": Failed(set_id=set_id, key=key, location="x", kind=ErrorKind.STALLED, message="m", attempts=1),
        "absent": Absent(set_id=set_id, key=key),
        "invalidated": Invalidated(set_id=set_id, key=key),
        "sealed": Sealed(set_id=set_id, key=key, size_bytes=3, crc32c=1),
    }
    ledger.record([facts[what]])
    assert (counted(ledger, "pages"), counted(ledger, "objects")) == (2, OBJECTS)
    assert counted(ledger, "page_names") == 2
    after = {row.key: row for row in ledger.rows()}
    assert after.pop(key) != before.pop(key)
    assert after == before
    fresh = [row.key for row in ledger.rows(after_epoch=0)]
    assert fresh == [f"{number:05}" for number in range(OBJECTS + 10)]


def test_epochs_that_recovery_asks_for_survive_in_and_out_of_pages(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, range(OBJECTS))
    land(ledger, set_id, 5, epoch=2)
    ledger.set_durable_epoch(2)
    land(ledger, set_id, 5, epoch=3)
    assert [row.epoch for row in ledger.rows(after_epoch=2)] == [3] * 5
    ledger.record([Invalidated(set_id=set_id, key="00009"), Invalidated(set_id=set_id, key="00000")])
    assert [row.epoch for row in ledger.rows(after_epoch=2)] == [3] * 4


def test_a_newer_plan_names_a_page_again(ledger: SqliteLedger) -> None:
    planned(ledger, range(600))
    set_id = planned(ledger, range(200, 300), digest="2")
    assert [row.key for row in ledger.rows()] == [f"{number:05}" for number in range(200, 300)]
    assert len(ledger.lease(set_id, 999)) == 100
    assert list(ledger.unwanted()) == []
    land_again: list[Fact] = [
        Sealed(set_id=set_id, key="00250", size_bytes=1, crc32c=1),
        Placed(set_id=set_id, key="00250"),
    ]
    ledger.record(land_again)
    planned(ledger, range(600, 700), digest="3")
    assert [row.key for row in ledger.unwanted()] == ["00250"]
    assert ledger.removable("d/mapped/250") is not None
    assert ledger.removable("d/00251") is None


def test_unwanted_files_of_pages_are_found_and_forgotten(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, range(OBJECTS))
    land(ledger, set_id, 10)
    planned(ledger, range(1000, 1001), digest="2")
    unwanted = list(ledger.unwanted())
    assert [row.key for row in unwanted] == [f"{number:05}" for number in range(10)]
    assert ledger.removable("d/00003") is not None
    ledger.retire(unwanted[:4])
    assert [row.key for row in ledger.unwanted()] == [f"{number:05}" for number in range(4, 10)]
    assert ledger.tallies()[0].unwanted == 6


def test_a_place_in_a_page_is_claimed(ledger: SqliteLedger) -> None:
    planned(ledger, range(1, OBJECTS))
    other = ledger.add_set(TaskSetSpec(dataset="d", asset="o", base="s3://other", destination="d"))
    clashes = ledger.add_entries(
        other, [ObjectEntry(key) for key in ("00001", "mapped/5", "00002/x", "00001x")]
    ).clashes
    assert [(clash.kind, clash.destination) for clash in clashes] == [
        ("duplicate", "d/00001"),
        ("duplicate", "d/mapped/5"),
        ("file_prefix", "d/00002"),
    ]


def test_a_page_without_its_names_is_damage(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, range(OBJECTS))
    ledger._connection.execute("DELETE FROM page_names")
    with pytest.raises(MachineError, match="lost the names of task set 1 from b'00000' on"):
        ledger.lease(set_id, 1)


def test_a_page_takes_little_room(ledger: SqliteLedger) -> None:
    listed = pack_validator(Validator(etag=f'"{"0" * 32}"', last_modified="2026-01-01T00:00:00.000Z"))
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(SPEC)
    keys = [f"c/{number // 1000}/{number:07}" for number in range(20_000)]
    for start in range(0, len(keys), 1000):
        ledger.add_entries(set_id, [ObjectEntry(key, 65_536, None, listed) for key in keys[start : start + 1000]])
    assert used_bytes(ledger) / len(keys) < 110
    for _ in range(20):
        land(ledger, set_id, 1000)
    assert ledger.tallies()[0].objects[State.PLACED] == len(keys)
    ledger.set_durable_epoch(1)
    assert used_bytes(ledger) / len(keys) < 150


def used_bytes(ledger: SqliteLedger) -> int:
    pages, free = (
        ledger._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
    )
    return int(pages - free) * 4096


TEXTS = st.none() | st.binary(max_size=4)
ROWS = st.lists(st.tuples(st.integers(0, 255), st.integers(-(2**62), 2**62), TEXTS, TEXTS), max_size=7)


@given(rows=ROWS, data=st.data())
def test_columns_pack_and_unpack(rows: list[tuple[int, int, bytes | None, bytes | None]], data: st.DataObject) -> None:
    small, large, *texts = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    packed = pack_rows("Bq", [small, large], texts)
    columns = Columns(packed, "Bq", 2)
    assert [column.tolist() for column in columns.numbers] == [small, large]
    assert [columns.texts(0), columns.texts(1)] == texts
    begin, end = data.draw(st.integers(0, len(rows))), data.draw(st.integers(0, len(rows)))
    assert columns.texts(1, begin, end) == texts[1][begin:end]
    for wrong in (packed + b"x", packed[:-1]):
        with pytest.raises(ValueError, match="bytes for"):
            Columns(wrong, "Bq", 2)
