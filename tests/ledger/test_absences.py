"""Grids of which nothing is there fail their dataset and are asked again; others are believed."""

from __future__ import annotations

import pytest

from emasync.errors import ErrorKind
from emasync.ledger import absences
from emasync.ledger.absences import doubt_absences
from emasync.ledger.interface import Absent, Fact, Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.grid import ChunkGrid
from emasync.model.task import ObjectEntry, State, TaskSetSpec


def gridded(ledger: SqliteLedger, asset: str, *shape: int) -> int:
    grid = ChunkGrid(start=(3,) * len(shape), shape=shape, prefix="", separator="/")
    spec = TaskSetSpec(
        dataset="a", asset=asset, base=f"s3://bucket/{asset}", destination=f"a/{asset}", grid=grid, absent_ok=True
    )
    return ledger.add_set(spec)


def absent(ledger: SqliteLedger, set_id: int, *numbers: int) -> None:
    ledger.record([Absent(set_id=set_id, key=number) for number in numbers])


@pytest.fixture
def planned(ledger: SqliteLedger) -> SqliteLedger:
    ledger.begin_plan("a", "digest")
    return ledger


def pending(ledger: SqliteLedger) -> int:
    (tally,) = ledger.tallies()
    return tally.objects[State.PENDING]


def test_nothing_at_all_is_doubtful(planned: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absences, "BATCH", 4)
    set_id = gridded(planned, "s0", 2, 5)
    absent(planned, set_id, *range(10))
    planned.finish_plan("a")
    message = doubt_absences(planned, "a")
    assert message is not None
    assert "none of its 10 wanted chunks is there, such as s3://bucket/s0/3/3. " in message
    count, (failure,) = planned.failures("a", 10)
    assert (count, failure.kind, failure.message, failure.location) == (
        1,
        ErrorKind.SOURCE,
        message,
        "s3://bucket/s0",
    )
    assert pending(planned) == 10
    assert len(planned.lease(set_id, 100)) == 10
    assert doubt_absences(planned, "a") is None  # pending is not absent


def test_several_are_told_of_together(planned: SqliteLedger) -> None:
    for asset in ("s0", "s1", "s2"):
        absent(planned, gridded(planned, asset, 2), 0, 1)
    planned.finish_plan("a")
    message = doubt_absences(planned, "a")
    assert message is not None
    assert "s3://bucket/s0: none of its 2 wanted" in message
    assert "(and 2 more arrays like it)" in message
    assert pending(planned) == 6


def test_what_is_believed(planned: SqliteLedger) -> None:
    one_is_there = gridded(planned, "s0", 3)
    absent(planned, one_is_there, 0, 2)
    facts: list[Fact] = [Sealed(set_id=one_is_there, key=1, size_bytes=1, crc32c=0), Placed(set_id=one_is_there, key=1)]
    planned.record(facts)
    one_is_not_known = gridded(planned, "s1", 3)
    absent(planned, one_is_not_known, 0, 2)
    listed = planned.add_set(TaskSetSpec(dataset="a", base="s3://bucket/x", destination="a/x"))
    planned.add_entries(listed, [ObjectEntry(key="k")])
    planned.record([Absent(set_id=listed, key="k")])
    planned.finish_plan("a")
    assert doubt_absences(planned, "a") is None
    assert doubt_absences(planned, "another") is None


def test_grids_of_older_plans_do_not_matter(planned: SqliteLedger) -> None:
    absent(planned, gridded(planned, "s0", 2), 0, 1)
    planned.finish_plan("a")
    planned.begin_plan("a", "another digest")
    gridded(planned, "s1", 2)
    planned.finish_plan("a")
    assert doubt_absences(planned, "a") is None
