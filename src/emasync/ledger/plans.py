"""Plans of datasets and the task sets they name.

A plan has a generation. Nothing is rewritten when a new one begins: datasets, sets and rows remember the generation
that named them last, and what the present one did not name does not count, is not leased and is not shown. So a
plan of any size begins and ends in time that does not depend on it.
"""

from __future__ import annotations

import sqlite3

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.counts import open_dataset_counts
from emasync.ledger.interface import OpenSet, PlanFacts, PlanState
from emasync.ledger.tasksets import SELECT_SET, pack_grid, pack_leniency, unpack_set
from emasync.model.packing import pack_name, unpack_name
from emasync.model.task import TaskSetSpec

MAX_MESSAGE = 1_000
"""Characters kept of a failure's message."""

MAX_PLAN_MESSAGE = 4_000
"""The same for a whole dataset's, which may name many things."""


def begin_plan(connection: sqlite3.Connection, dataset: str, digest: str, *, refresh: bool) -> PlanState:
    """Open, go on with or find complete the plan of one dataset."""
    row = connection.execute("SELECT id, digest, complete FROM datasets WHERE name = ?", (dataset,)).fetchone()
    if row is None:
        cursor = connection.execute(
            "INSERT INTO datasets (name, digest, generation) VALUES (?, ?, 1)", (dataset, digest)
        )
        open_dataset_counts(connection, cursor.lastrowid or 0)
        return PlanState(complete=False, resumed=False)
    dataset_id, known, complete = row
    connection.execute(
        "UPDATE datasets SET failure = NULL, failure_message = NULL, failure_location = NULL WHERE id = ?",
        (dataset_id,),
    )
    if known == digest and not refresh:
        return PlanState(complete=bool(complete), resumed=not complete)
    connection.execute(
        "UPDATE datasets SET digest = ?, generation = generation + 1, complete = 0 WHERE id = ?", (digest, dataset_id)
    )
    open_dataset_counts(connection, dataset_id)
    return PlanState(complete=False, resumed=False)


def dataset_of(connection: sqlite3.Connection, dataset: str) -> tuple[int, int]:
    """Id and plan generation of a dataset.

    Raises
    ------
    MachineError
        No plan of it was ever begun.
    """
    row = connection.execute("SELECT id, generation FROM datasets WHERE name = ?", (dataset,)).fetchone()
    if row is None:
        raise MachineError(f"the plan of dataset {dataset} was never begun", kind=ErrorKind.LEDGER)
    return int(row[0]), int(row[1])


def finish_plan(connection: sqlite3.Connection, dataset: str) -> None:
    """The present generation has named everything."""
    dataset_id, _ = dataset_of(connection, dataset)
    connection.execute("UPDATE datasets SET complete = 1 WHERE id = ?", (dataset_id,))


def fail_plan(connection: sqlite3.Connection, dataset: str, kind: ErrorKind, message: str, location: str) -> None:
    """The dataset could not be planned; kept until the next begin."""
    dataset_id, _ = dataset_of(connection, dataset)
    connection.execute(
        "UPDATE datasets SET failure = ?, failure_message = ?, failure_location = ? WHERE id = ?",
        (str(kind), pack_name(message[:MAX_PLAN_MESSAGE]), pack_name(location), dataset_id),
    )


def read_facts(connection: sqlite3.Connection, dataset: str) -> PlanFacts | None:
    """The last plan of a dataset; None when there was none."""
    row = connection.execute(
        "SELECT d.digest, d.complete, d.generation, m.value FROM datasets d"
        " LEFT JOIN meta m ON m.name = 'held ' || d.name WHERE d.name = ?",
        (dataset,),
    ).fetchone()
    if row is None:
        return None
    digest, complete, generation, mark = row
    held_in, _, held = str(mark or "").partition(" ")
    return PlanFacts(digest=digest, complete=bool(complete), held=held if held_in == str(generation) else "")


def mark_held(connection: sqlite3.Connection, dataset: str, lock: str) -> None:
    """Bind a lock to the present plan generation."""
    _, generation = dataset_of(connection, dataset)
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (f"held {dataset}", f"{generation} {lock}"),
    )


def find_set(connection: sqlite3.Connection, spec: TaskSetSpec) -> tuple[int, int] | None:
    """Id and plan generation of a known set."""
    row = connection.execute("SELECT id, plan FROM sets WHERE identity = ?", (spec.identity,)).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def insert_set(connection: sqlite3.Connection, spec: TaskSetSpec, dataset_id: int, plan: int) -> int:
    """Add a set that was never named before."""
    cursor = connection.execute(
        "INSERT INTO sets (dataset_id, identity, asset, rank, base, destination, encoded, absent_ok, grid, plan,"
        " slices) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            dataset_id,
            spec.identity,
            pack_name(spec.asset),
            spec.rank,
            pack_name(spec.base),
            pack_name(spec.destination),
            spec.encoded,
            pack_leniency(spec),
            pack_grid(spec.grid),
            plan,
            spec.slices,
        ),
    )
    set_id = cursor.lastrowid or 0
    connection.execute("INSERT INTO set_counts (id) VALUES (?)", (set_id,))
    return set_id


def name_set_again(connection: sqlite3.Connection, set_id: int, spec: TaskSetSpec, plan: int) -> None:
    """A known set is named by a new generation; order and leniency may have changed, its listing begins anew."""
    connection.execute(
        "UPDATE sets SET plan = ?, rank = ?, absent_ok = ?, cursor = NULL WHERE id = ?",
        (plan, spec.rank, pack_leniency(spec), set_id),
    )


def read_cursor(connection: sqlite3.Connection, set_id: int) -> str | None:
    """Where the listing of a set stands in the present generation; None at the beginning."""
    row = connection.execute(
        "SELECT s.cursor FROM sets s JOIN datasets d ON d.id = s.dataset_id WHERE s.id = ? AND s.plan = d.generation",
        (set_id,),
    ).fetchone()
    return None if row is None or row[0] is None else unpack_name(row[0])


def write_cursor(connection: sqlite3.Connection, set_id: int, cursor: str) -> None:
    """Remember where the listing stands."""
    connection.execute("UPDATE sets SET cursor = ? WHERE id = ?", (pack_name(cursor), set_id))


def finish_set(connection: sqlite3.Connection, set_id: int) -> None:
    """The set is listed to its end."""
    connection.execute("UPDATE sets SET finished = plan WHERE id = ?", (set_id,))


def set_finished(connection: sqlite3.Connection, set_id: int) -> bool:
    """Whether the set is listed to its end in the dataset's present generation."""
    row = connection.execute(
        "SELECT s.finished = d.generation FROM sets s JOIN datasets d ON d.id = s.dataset_id WHERE s.id = ?", (set_id,)
    ).fetchone()
    return bool(row and row[0])


def read_open_sets(connection: sqlite3.Connection) -> list[OpenSet]:
    """Current sets with pending objects, by (rank, set id)."""
    columns = SELECT_SET.replace(" FROM ", ", c.pending FROM ", 1)
    rows = connection.execute(
        f"{columns} JOIN set_counts c ON c.id = s.id WHERE c.pending > 0 AND s.plan = d.generation"
        " ORDER BY s.rank, s.id"
    )
    return [OpenSet(set_id=row[0], spec=unpack_set(row[:-1]).spec, pending=row[-1]) for row in rows]
