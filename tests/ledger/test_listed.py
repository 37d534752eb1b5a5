from __future__ import annotations

from collections.abc import Sequence

import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.interface import Absent, Fact, Failed, Invalidated, Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.digest import Digest, Validator
from emasync.model.packing import pack_validator
from emasync.model.task import ObjectEntry, Rank, State, TaskSetSpec

SPEC = TaskSetSpec(dataset="d", base="s3://bucket/pre", destination="d")


def entries(*keys: str, size_bytes: int | None = 10) -> list[ObjectEntry]:
    return [ObjectEntry(key=key, size_bytes=size_bytes) for key in keys]


def planned(ledger: SqliteLedger, items: Sequence[ObjectEntry], spec: TaskSetSpec = SPEC, digest: str = "1") -> int:
    ledger.begin_plan(spec.dataset, digest)
    set_id = ledger.add_set(spec)
    ledger.add_entries(set_id, items)
    ledger.finish_set(set_id)
    ledger.finish_plan(spec.dataset)
    return set_id


def sealed(set_id: int, key: str, size_bytes: int = 10, **more: object) -> Sealed:
    return Sealed(set_id=set_id, key=key, size_bytes=size_bytes, crc32c=7, **more)  # type: ignore[arg-type]  # fields of Sealed


def test_a_leased_task_says_everything(ledger: SqliteLedger) -> None:
    digest, hint = Digest("md5", "00ff"), Validator(etag='"x%\n"', last_modified="Mon", generation="7")
    entry = ObjectEntry(key="a b/ö.bin", size_bytes=5, path="c/d.bin", listed=pack_validator(hint), digests=(digest,))
    set_id = planned(ledger, [entry])
    (task,) = ledger.lease(set_id, 10)
    assert task.location == SPEC.locate("a b/ö.bin")
    assert (task.key, task.dataset, task.destination) == ("a b/ö.bin", "d", "d/c/d.bin")
    assert (task.size_bytes, task.digests, task.hint, task.attempts) == (5, (digest,), hint, 0)
    assert task.request.span is None
    assert len(task.outputs) == 1


def test_encoded_keys_are_appended_as_they_are(ledger: SqliteLedger) -> None:
    spec = TaskSetSpec(dataset="w", base="https://h.org/a/", destination="w", encoded=True)
    set_id = planned(ledger, [ObjectEntry(key="%20x.tif?q=1", path="x.tif")], spec)
    (task,) = ledger.lease(set_id, 1)
    assert str(task.location) == "https://h.org/a/%20x.tif?q=1"


def test_leases_come_in_byte_order_once(ledger: SqliteLedger) -> None:
    keys = ["b", "a\x00", "é", "a", "\udcff", "z", "\U0001f600"]
    set_id = planned(ledger, entries(*keys))
    leased = [task.key for task in ledger.lease(set_id, 3)] + [task.key for task in ledger.lease(set_id, 10)]
    assert leased == sorted(keys, key=lambda key: key.encode("utf-8", "surrogatepass"))
    assert ledger.lease(set_id, 10) == []


def test_objects_are_leased_by_name(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, [*entries(*"abcdef"), ObjectEntry(key="g", path="h/g", size_bytes=3)])
    ledger.record([Sealed(set_id=set_id, key="b", size_bytes=1, crc32c=1), Placed(set_id=set_id, key="b")])
    assert [task.key for task in ledger.lease(set_id, 1)] == ["a"]

    tasks = ledger.lease_named(set_id, ["g", "a", "b", "d", "x"])

    assert [(task.key, task.path, task.size_bytes) for task in tasks] == [("g", "h/g", 3), ("d", None, 10)]
    assert ledger.lease_named(set_id, ["d"]) == []
    assert [task.key for task in ledger.lease(set_id, 9)] == ["c", "e", "f"]


def test_released_work_comes_first_again(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries(*"abcdef"))
    tasks = ledger.lease(set_id, 4)
    ledger.release([tasks[1], tasks[3]])
    assert [task.key for task in ledger.lease(set_id, 3)] == ["b", "d", "e"]


def test_what_is_listed_behind_the_cursor_is_leased(ledger: SqliteLedger) -> None:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(SPEC)
    ledger.add_entries(set_id, entries("m", "n"))
    assert len(ledger.lease(set_id, 10)) == 2
    ledger.add_entries(set_id, entries("a", "z"))
    assert [task.key for task in ledger.lease(set_id, 10)] == ["a", "z"]
    ledger.add_entries(set_id, entries("b", "c"))
    assert [task.key for task in ledger.lease(set_id, 10)] == ["b", "c"]


def test_leases_die_with_the_owner(ledger: SqliteLedger, open_ledger: object) -> None:
    set_id = planned(ledger, entries("a"))
    assert ledger.lease(set_id, 1)
    ledger.close(clean=True)
    again: SqliteLedger = open_ledger()  # type: ignore[operator]  # the fixture's opener
    assert [task.key for task in again.lease(set_id, 1)] == ["a"]


def test_an_object_goes_its_way(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries("a", "b", "c"))
    answer, sha = Validator(etag='"e"'), Digest("sha256", "ab")
    ledger.record(
        [
            sealed(set_id, "a", 12, validator=answer, verified="published", digests=(sha,), epoch=3),
            Absent(set_id=set_id, key="b"),
        ]
    )
    (row,) = ledger.rows(state=State.SEALED)
    assert (row.size_bytes, row.crc32c, row.validator, row.computed) == (12, 7, answer, (sha,))
    assert (row.epoch, row.verified, row.destination) == (3, "published", "d/a")
    ledger.record([Placed(set_id=set_id, key="a")])
    (tally,) = ledger.tallies()
    assert tally.objects == {
        State.PENDING: 1,
        State.SEALED: 0,
        State.PLACED: 1,
        State.ABSENT: 1,
        State.FAILED: 0,
    }
    assert tally.bytes[State.PLACED] == 12
    assert (tally.published, tally.computed, tally.size_only, tally.planned) == (1, 0, 0, True)
    assert [task.key for task in ledger.lease(set_id, 9)] == ["c"]


def test_the_hint_stands_in_for_an_equal_validator_and_not_for_none(ledger: SqliteLedger) -> None:
    hint = Validator(etag='"e"')
    set_id = planned(ledger, [ObjectEntry(key=key, listed=pack_validator(hint)) for key in "ab"])
    ledger.record([sealed(set_id, "a", validator=hint), sealed(set_id, "b")])
    assert [row.validator for row in ledger.rows()] == [hint, Validator()]


def test_placing_what_was_never_sealed_is_refused_and_nothing_of_the_batch_stays(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries("a", "b"))
    with pytest.raises(MachineError, match="cannot be placed: it is pending") as caught:
        ledger.record([sealed(set_id, "a"), Placed(set_id=set_id, key="b")])
    assert caught.value.kind is ErrorKind.LEDGER
    assert ledger.tallies()[0].objects[State.PENDING] == 2


def test_facts_about_strangers_are_refused(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries("a"))
    with pytest.raises(MachineError, match="no object b'zz'"):
        ledger.record([Absent(set_id=set_id, key="zz")])
    with pytest.raises(MachineError, match="no object 3"):
        ledger.record([Absent(set_id=set_id, key=3)])
    with pytest.raises(MachineError, match="no task set 77"):
        ledger.lease(77, 1)


@pytest.mark.parametrize("what", ["sealed", "failed", "absent"])
def test_placed_objects_change_by_invalidation_only(ledger: SqliteLedger, what: str) -> None:
    set_id = planned(ledger, entries("a"))
    ledger.record([sealed(set_id, "a"), Placed(set_id=set_id, key="a")])
    facts: dict[str, Fact] = {
        "sealed": sealed(set_id, "a"),
        "failed": Failed(set_id=set_id, key="a", location="x", kind=ErrorKind.STALLED, message="m", attempts=1),
        "absent": Absent(set_id=set_id, key="a"),
    }
    with pytest.raises(MachineError, match=f"cannot be {what}"):
        ledger.record([facts[what]])


def test_an_invalidated_object_is_pending_in_the_next_generation(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries("a"))
    ledger.record([sealed(set_id, "a", 12), Placed(set_id=set_id, key="a"), Invalidated(set_id=set_id, key="a")])
    assert ledger.generation(set_id, "a") == 1
    (row,) = ledger.rows()
    assert (row.state, row.size_bytes, row.crc32c, row.generation) == (State.PENDING, 10, None, 1)
    assert [(file.destination, file.size_bytes) for file in ledger.leftovers(9)] == [("d/a", 12)]
    ledger.record([sealed(set_id, "a")])  # of generation 0: too late
    assert ledger.tallies()[0].objects[State.SEALED] == 0
    with pytest.raises(MachineError, match="sealed in generation 2"):
        ledger.record([sealed(set_id, "a", generation=2)])
    ledger.record([sealed(set_id, "a", generation=1), Placed(set_id=set_id, key="a")])
    assert ledger.leftovers(9) == []


def test_an_invalidated_lease_is_kept(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries("a", "b"))
    tasks = ledger.lease(set_id, 1)
    ledger.record([Invalidated(set_id=set_id, key="a")])
    assert [task.key for task in ledger.lease(set_id, 9)] == ["b"]
    ledger.release(tasks)
    assert [task.key for task in ledger.lease(set_id, 9)] == ["a"]


def test_failures_are_kept_and_tried_again(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries("a", "b", size_bytes=None))
    ledger.lease(set_id, 9)
    failed = Failed(
        set_id=set_id, key="a", location="s3://bucket/pre/a", kind=ErrorKind.STALLED, message="x" * 5000, attempts=4
    )
    ledger.record([failed])
    count, (named,) = ledger.failures("d", 10)
    assert (count, named.location, named.kind, named.attempts) == (1, "s3://bucket/pre/a", ErrorKind.STALLED, 4)
    assert len(named.message) == 1000
    assert ledger.lease(set_id, 9) == []
    assert ledger.retry_failed("d") == 1
    assert ledger.failures("d", 10) == (0, [])
    assert [(task.key, task.attempts) for task in ledger.lease(set_id, 9)] == [("a", 4)]
    assert ledger.tallies()[0].unknown_size == 2


def test_sets_are_open_in_the_order_of_transfer(ledger: SqliteLedger) -> None:
    ledger.begin_plan("d", "1")
    ranks = {"bulk": Rank.BULK, "documents": Rank.DOCUMENT, "levels": Rank.LEVELS, "empty": Rank.DOCUMENT}
    for asset, rank in ranks.items():
        set_id = ledger.add_set(
            TaskSetSpec(dataset="d", asset=asset, rank=rank, base="s3://b", destination=f"d/{asset}")
        )
        if asset != "empty":
            ledger.add_entries(set_id, entries("x", "y"))
    found = [(item.spec.asset, item.pending) for item in ledger.open_sets()]
    assert found == [("documents", 2), ("levels", 2), ("bulk", 2)]


def test_rows_come_in_pages_in_order(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.ledger.walking.PAGE", 3)
    set_id = planned(ledger, entries(*[f"{number:02}" for number in range(10)]))
    ledger.record([sealed(set_id, "04", epoch=1), sealed(set_id, "06", epoch=9), Placed(set_id=set_id, key="06")])
    assert [row.key for row in ledger.rows()] == [f"{number:02}" for number in range(10)]
    assert [row.key for row in ledger.rows(state=State.PENDING)] == ["00", "01", "02", "03", "05", "07", "08", "09"]
    assert [row.key for row in ledger.rows(state=State.PLACED, dataset="d")] == ["06"]
    assert [row.key for row in ledger.rows(after_epoch=0)] == ["04", "06"]
    assert [row.key for row in ledger.rows(after_epoch=1)] == ["06"]
    assert [row.key for row in ledger.rows(after_epoch=0, state=State.SEALED)] == ["04"]
    assert list(ledger.rows(dataset="other")) == []


def test_epochs(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, entries("a", "b", "c"))
    ledger.record([sealed(set_id, "a", epoch=1), Placed(set_id=set_id, key="a"), sealed(set_id, "b", epoch=1)])
    ledger.record([sealed(set_id, "c", epoch=2)])
    assert (ledger.durable_epoch(), ledger.last_epoch()) == (0, 2)
    ledger.set_durable_epoch(1)
    ledger.set_durable_epoch(0)
    assert ledger.durable_epoch() == 1
    assert [row.key for row in ledger.rows(after_epoch=1)] == ["c"]
    assert [row.key for row in ledger.rows(state=State.SEALED)] == ["b", "c"]
    ledger.record([Placed(set_id=set_id, key="b")])
    assert [row.key for row in ledger.rows(state=State.SEALED)] == ["c"]
    ledger.record([Placed(set_id=set_id, key="c")])
    ledger.set_durable_epoch(2)
    assert ledger._connection.execute("SELECT count(*) FROM fresh").fetchone() == (0,)


def test_much_that_is_released_is_found_again(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.ledger.leases.MAX_RETURNED", 3)
    set_id = planned(ledger, entries(*"abcdefgh"))
    tasks = ledger.lease(set_id, 8)
    ledger.release(tasks[1:6])
    assert ledger._desk.leases._returned == {set_id: []}
    assert [task.key for task in ledger.lease(set_id, 9)] == list("bcdef")
    assert ledger.lease(set_id, 9) == []
