"""Failures: reading them, and giving failed objects another chance."""

from __future__ import annotations

import sqlite3

from emasync.errors import ErrorKind
from emasync.ledger.counts import BYTES, UNKNOWN_SIZE, Deltas
from emasync.ledger.desk import Desk
from emasync.ledger.gridded import GriddedBook
from emasync.ledger.plans import dataset_of
from emasync.ledger.sidenotes import StoredKey
from emasync.ledger.standing import FAILED, PENDING, count_standing, pending_again
from emasync.ledger.tasksets import TaskSet
from emasync.model.packing import unpack_name
from emasync.model.receipt import Failure
from emasync.model.redaction import redact
from emasync.model.task import TaskKey

_PAGE = 1_000


def read_failures(desk: Desk, dataset: str, limit: int) -> tuple[int, list[Failure]]:
    """Number of a dataset's failures and the first `limit`, in (set, key) order behind that of its plan."""
    connection = desk.connection
    dataset_id, _ = dataset_of(connection, dataset)
    of_plan = _plan_failure(connection, dataset_id)
    failed = connection.execute("SELECT failed FROM dataset_counts WHERE id = ?", (dataset_id,)).fetchone()[0]
    named = list(of_plan)
    for set_id in failed_sets(connection, dataset_id):
        if len(named) >= limit:
            break
        named += _failures_of(desk, desk.sets.get(set_id), limit - len(named))
    return failed + len(of_plan), named[:limit]


def _plan_failure(connection: sqlite3.Connection, dataset_id: int) -> list[Failure]:
    kind, message, location = connection.execute(
        "SELECT failure, failure_message, failure_location FROM datasets WHERE id = ?", (dataset_id,)
    ).fetchone()
    if kind is None:
        return []
    return [Failure(location=unpack_name(location), kind=ErrorKind(kind), message=unpack_name(message), attempts=1)]


def failed_sets(connection: sqlite3.Connection, dataset_id: int | None) -> list[int]:
    """Current sets with failed objects."""
    rows = connection.execute(
        "SELECT s.id FROM sets s JOIN datasets d ON d.id = s.dataset_id JOIN set_counts c ON c.id = s.id"
        " WHERE s.plan = d.generation AND c.failed > 0 AND (? IS NULL OR d.id = ?) ORDER BY s.id",
        (dataset_id, dataset_id),
    )
    return [set_id for (set_id,) in rows]


def _failures_of(desk: Desk, task_set: TaskSet, limit: int) -> list[Failure]:
    if task_set.spec.grid is None:
        rows = desk.connection.execute(
            "SELECT key, failure, attempts FROM objects INDEXED BY objects_failed"
            " WHERE set_id = ? AND plan = ? AND state = 4 ORDER BY key LIMIT ?",
            (task_set.set_id, task_set.plan, limit),
        ).fetchall()
        return [_failure(desk, task_set, key, *rest) for key, *rest in rows]
    rows = desk.connection.execute(
        "SELECT chunk, failure, attempts FROM chunks INDEXED BY chunks_failed"
        " WHERE set_id = ? AND failure IS NOT NULL ORDER BY chunk LIMIT ?",
        (task_set.set_id, limit),
    ).fetchall()
    return [_failure(desk, task_set, chunk, *rest) for chunk, *rest in rows]


def _failure(desk: Desk, task_set: TaskSet, stored: StoredKey, kind: str, attempts: int) -> Failure:
    key: TaskKey = stored if isinstance(stored, int) else unpack_name(stored)
    message, location = desk.details.read(task_set.set_id, stored)
    return Failure(
        location=location if location is not None else redact(task_set.locate(key)),
        kind=ErrorKind(kind),
        message=message,
        attempts=attempts,
    )


def reset_failed(desk: Desk, dataset: str | None) -> tuple[int, list[int]]:
    """Make failed objects pending, but for name clashes; gives how many, and the sets they lie in."""
    dataset_id = None if dataset is None else dataset_of(desk.connection, dataset)[0]
    count, touched = 0, failed_sets(desk.connection, dataset_id)
    deltas = Deltas()
    for set_id in touched:
        task_set = desk.sets.get(set_id)
        reset = _reset_listed if task_set.spec.grid is None else _reset_gridded
        count += reset(desk, task_set, deltas)
    deltas.write(desk.connection)
    desk.details.reload()
    return count, touched


def _reset_listed(desk: Desk, task_set: TaskSet, deltas: Deltas) -> int:
    where = "set_id = ? AND plan = ? AND state = 4 AND failure <> ?"
    values = (task_set.set_id, task_set.plan, str(ErrorKind.NAME_CLASH))
    count, known_bytes, unknown = desk.connection.execute(
        f"SELECT count(*), coalesce(sum(size), 0), coalesce(sum(size IS NULL), 0) FROM objects WHERE {where}",  # noqa: S608  # own text
        values,
    ).fetchone()
    desk.connection.execute(
        f"DELETE FROM failures WHERE set_id = ? AND key IN (SELECT key FROM objects WHERE {where})",  # noqa: S608  # own text
        (task_set.set_id, *values),
    )
    desk.connection.execute(
        f"UPDATE objects INDEXED BY objects_failed SET state = 0, failure = NULL WHERE {where}",  # noqa: S608  # own text
        values,
    )
    delta = deltas.of(task_set.set_id)
    for state, sign in ((FAILED, -1), (PENDING, 1)):
        delta[state] += sign * count
        delta[BYTES + state] += sign * known_bytes
    delta[UNKNOWN_SIZE] += unknown
    return int(count)


def _reset_gridded(desk: Desk, task_set: TaskSet, deltas: Deltas) -> int:
    count, start = 0, 0
    while True:
        rows = desk.connection.execute(
            "SELECT chunk FROM chunks INDEXED BY chunks_failed"
            " WHERE set_id = ? AND chunk >= ? AND failure IS NOT NULL ORDER BY chunk LIMIT ?",
            (task_set.set_id, start, _PAGE),
        ).fetchall()
        if not rows:
            return count
        book = GriddedBook(desk.connection)
        for (chunk,) in rows:
            before = book.read(task_set, chunk)
            after = pending_again(before)
            book.put(task_set, chunk, after)
            count_standing(deltas, task_set, -1, before)
            count_standing(deltas, task_set, 1, after)
        book.write()
        desk.connection.executemany(
            "DELETE FROM failures WHERE set_id = ? AND key = ?", [(task_set.set_id, chunk) for (chunk,) in rows]
        )
        count, start = count + len(rows), rows[-1][0] + 1
