"""Rows that go before their files, and datasets that are forgotten."""

from __future__ import annotations

import pytest

from emasync.ledger.interface import Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.grid import ChunkGrid
from emasync.model.task import ObjectEntry, TaskSetSpec

from .conftest import Opener

LISTED = TaskSetSpec(dataset="d", base="s3://b/p", destination="d")


def gridded(base: str, folder: str = "d/a.zarr") -> TaskSetSpec:
    """Chunks that land in d/a.zarr/s0, whatever folder the set claims."""
    grid = ChunkGrid(start=(0, 0), shape=(2, 2), prefix="d/a.zarr/s0/".removeprefix(f"{folder}/"))
    return TaskSetSpec(dataset="d", asset="s0", base=base, destination=folder, grid=grid)


def named(ledger: SqliteLedger, digest: str, spec: TaskSetSpec, *keys: str) -> int:
    """A complete plan of dataset d."""
    ledger.begin_plan("d", digest)
    set_id = ledger.add_set(spec)
    if keys:
        ledger.add_entries(set_id, [ObjectEntry(key=key) for key in keys])
    ledger.finish_plan("d")
    return set_id


def land(ledger: SqliteLedger, set_id: int, *keys: str | int) -> None:
    ledger.record([Sealed(set_id=set_id, key=key, size_bytes=4, crc32c=7) for key in keys])
    ledger.record([Placed(set_id=set_id, key=key) for key in keys])


def left(ledger: SqliteLedger) -> list[tuple[str, int | None, int | None]]:
    return [(item.destination, item.size_bytes, item.crc32c) for item in ledger.leftovers(10)]


def test_retired_rows_leave_leftovers_also_after_a_power_cut(open_ledger: Opener) -> None:
    ledger = open_ledger()
    land(ledger, named(ledger, "1", LISTED, "x", "y", "z"), "x", "y")
    named(ledger, "2", LISTED, "z")
    ledger.retire(list(ledger.unwanted()))
    ledger = open_ledger(boot_id="another")
    assert list(ledger.unwanted()) == []
    assert left(ledger) == [("d/x", 4, 7), ("d/y", 4, 7)]
    assert [item.destination for item in ledger.leftovers(10, "d/x")] == ["d/y"]
    assert (ledger.tallies()[0].unwanted, ledger.tallies()[0].on_disk) == (0, 0)
    set_id = named(ledger, "3", LISTED, "x")  # named again, it is fetched again
    assert [task.key for task in ledger.lease(set_id, 5)] == ["x"]


def test_what_is_wanted_again_is_not_retired(ledger: SqliteLedger) -> None:
    land(ledger, named(ledger, "1", LISTED, "x"), "x")
    named(ledger, "2", LISTED, "z")
    rows = list(ledger.unwanted())
    named(ledger, "3", LISTED, "x")
    ledger.retire(rows)
    assert left(ledger) == []
    assert [row.destination for row in ledger.rows()] == ["d/x"]


def test_chunks_of_an_older_grid_leave_the_file_that_a_newer_one_stands_for(ledger: SqliteLedger) -> None:
    land(ledger, named(ledger, "1", gridded("s3://b/old.zarr")), 0, 1)
    land(ledger, named(ledger, "2", gridded("s3://b/new.zarr", "d")), 0)
    assert [row.destination for row in ledger.unwanted()] == ["d/a.zarr/s0/0.0", "d/a.zarr/s0/0.1"]
    assert ledger.stands("d/a.zarr/s0/0.0")
    assert not ledger.stands("d/a.zarr/s0/0.1")
    ledger.retire(list(ledger.unwanted()))
    assert list(ledger.unwanted()) == []
    assert left(ledger) == [("d/a.zarr/s0/0.1", 4, 7)]
    assert (ledger.tallies()[0].unwanted, ledger.tallies()[0].on_disk) == (0, 1)


def test_chunks_leave_the_file_that_a_listed_object_stands_for(ledger: SqliteLedger) -> None:
    land(ledger, named(ledger, "1", gridded("s3://b/old.zarr")), 0)
    land(ledger, named(ledger, "2", LISTED, "a.zarr/s0/0.0"), "a.zarr/s0/0.0")
    ledger.retire(list(ledger.unwanted()))
    assert left(ledger) == []
    assert ledger.stands("d/a.zarr/s0/0.0")


@pytest.mark.parametrize("spec", [LISTED, gridded("s3://b/old.zarr")], ids=["listed", "gridded"])
def test_a_dataset_is_forgotten_when_nothing_of_it_is_on_disk(ledger: SqliteLedger, spec: TaskSetSpec) -> None:
    keys = ("x", "y") if spec.grid is None else ()
    set_id = named(ledger, "1", spec, *keys)
    land(ledger, set_id, keys[0] if keys else 0)
    ledger.mark_held("d", "lock")
    assert not ledger.forget_dataset("d")
    ledger.begin_plan("d", "nothing")
    ledger.finish_plan("d")
    ledger.retire(list(ledger.unwanted()))
    assert ledger.forget_dataset("d")
    assert ledger.tallies() == []
    assert ledger.plan_facts("d") is None
    connection = ledger._database.connection
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    filled = {name for name in tables if connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]}  # noqa: S608  # own names
    assert filled <= {"meta", "leftovers"}
    assert connection.execute("SELECT count(*) FROM meta WHERE name LIKE 'held%'").fetchone() == (0,)
    assert len(ledger.lease(named(ledger, "1", spec, *keys), 9)) == (len(keys) or 4)
