"""Ledgers that older versions left behind are opened and gone on with."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import Placed
from emasync.ledger.schema import SCHEMA_VERSION
from emasync.ledger.store import SqliteLedger
from emasync.model.task import ObjectEntry, State, TaskSetSpec

from .conftest import Opener

VERSION_1 = Path(__file__).with_name("version_1.sql")

SPEC = TaskSetSpec(dataset="d", base="s3://b/p", destination="d")
OTHER = TaskSetSpec(dataset="d", asset="n", base="s3://new", destination="d")


def restored(state_dir: Path, text: str) -> Path:
    state_dir.mkdir(parents=True)
    connection = sqlite3.connect(state_dir / "state.sqlite")
    connection.executescript(text)
    connection.close()
    return state_dir


@pytest.fixture(params=[False, True])
def older(request: pytest.FixtureRequest, open_ledger: Opener, tmp_path: Path) -> SqliteLedger:
    """A ledger of version 1; also as on a filesystem that folds case."""
    text = VERSION_1.read_text().replace("('casefold',0)", f"('casefold',{int(request.param)})")
    return open_ledger(state_dir=restored(tmp_path / "older", text))


def test_nothing_of_an_older_ledger_is_lost(older: SqliteLedger) -> None:
    assert older._connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert not older.clean
    kept = older._connection.execute("SELECT count(*) FROM places").fetchone()[0]
    assert kept == (9 if older._database.meta("casefold", 0) else 2)
    listed = {row.key: (row.state.name, row.size_bytes, row.epoch) for row in older.rows() if row.set_id == 1}
    assert listed == {
        "f/a": ("PLACED", 4, 1),
        "f/b": ("PLACED", 5, 2),
        "f/c": ("SEALED", 4, 2),
        "f/d": ("FAILED", 4, 0),
        "m": ("PENDING", None, 0),
        "x": ("PENDING", 4, 0),
        "y": ("PENDING", 4, 0),
    }
    assert [(row.set_id, row.key) for row in older.rows(after_epoch=1)] == [(1, "f/b"), (1, "f/c"), (3, 3)]
    assert older.generation(3, 4) == 1
    assert older.failures("d", 9)[0] == 2
    assert [item.destination for item in older.rows(state=State.PENDING)][:3] == ["d/mapped", "d/x", "d/y"]


def test_an_older_ledger_is_gone_on_with(older: SqliteLedger) -> None:
    older.record([Placed(set_id=1, key="f/c")])
    older.retry_failed()
    tasks = [task for item in older.open_sets() for task in older.lease(item.set_id, 99)]
    assert [(task.set_id, task.key) for task in tasks[:5]] == [(1, "f/d"), (1, "m"), (1, "x"), (1, "y"), (2, "z")]
    rows = [SealedRow(task.set_id, task.key, 4, 9, generation=task.generation) for task in tasks]
    older.place_rows(older.seal_rows(rows, 3))
    (tally,) = older.tallies()
    assert tally.objects[State.PLACED] == len(tasks) + 4
    assert tally.objects[State.PENDING] == 0
    states = [row.state for row in older.rows()]
    assert {state: states.count(state) for state in State} == tally.objects


def test_what_an_older_ledger_claims_stays_claimed(older: SqliteLedger) -> None:
    set_id = older.add_set(OTHER)
    clashes = older.add_entries(
        set_id, [ObjectEntry(key=key) for key in ("f/a", "mapped", "x", "y/z", "free", "m")]
    ).clashes
    found = {(clash.kind, clash.set_id, clash.destination) for clash in clashes}
    assert found == {
        ("duplicate", set_id, "d/f/a"),
        ("duplicate", set_id, "d/mapped"),
        ("duplicate", set_id, "d/x"),
        ("file_prefix", 1, "d/y"),
    }
    again = older.add_entries(older.add_set(SPEC), [ObjectEntry(key="x", size_bytes=4), ObjectEntry(key="new")])
    assert (again.added, again.kept) == (1, 1)
