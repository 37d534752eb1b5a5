"""Walking all objects in pages: each page is a query of its own, so that no reader is ever long (law 13)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from emasync.ledger.gridded import GriddedBook, chunk_row, walk_block
from emasync.ledger.interface import Row
from emasync.ledger.listed import object_row, read_standing, unnamed_page, walk_page
from emasync.ledger.tasksets import TaskSet, TaskSets
from emasync.model.task import State

PAGE: Final = 1_000

_SELECT_ID: Final = "SELECT s.id FROM sets s JOIN datasets d ON d.id = s.dataset_id"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where rows are read from.

    Attributes
    ----------
    connection : sqlite3.Connection
    sets : TaskSets
    settle : callable
        Brings the rows up to date; called before each page.
    """

    connection: sqlite3.Connection
    sets: TaskSets
    settle: Callable[[], None]


def walk(
    shelf: Shelf,
    *,
    dataset: str | None,
    state: State | None,
    after_epoch: int | None,
) -> Iterator[Row]:
    """Named objects in (set, key) order; filters combine."""
    for task_set in walk_sets(shelf, dataset):
        if after_epoch is not None or state is State.SEALED:
            yield from _walk_fresh(shelf, task_set, state, after_epoch)
        elif task_set.spec.grid is None:
            yield from walk_listed(shelf, task_set, state)
        else:
            yield from _walk_gridded(shelf, task_set, None if state is None else (state,))


def walk_sets(shelf: Shelf, dataset: str | None) -> Iterator[TaskSet]:
    """Sets of present plans, by id."""
    return (shelf.sets.get(set_id) for set_id in _set_ids(shelf.connection, dataset, current=True))


def walk_unwanted(shelf: Shelf, dataset: str | None) -> Iterator[Row]:
    """Objects on disk that completed plans no longer name, in (set, key) order."""
    for set_id in _set_ids(shelf.connection, dataset, current=None):
        task_set = shelf.sets.get(set_id)
        if task_set.spec.grid is None:
            after: bytes | None = None
            while True:
                shelf.settle()
                rows, after = unnamed_page(shelf.connection, task_set, after, PAGE)
                yield from rows
                if after is None:
                    break
        elif not task_set.current:
            yield from _walk_gridded(shelf, task_set, (State.SEALED, State.PLACED))


def _set_ids(connection: sqlite3.Connection, dataset: str | None, *, current: bool | None) -> Iterator[int]:
    """Sets by id: the current ones, or all of datasets whose plan is complete; one at a time, others may be added."""
    set_id = 0
    clause = "s.plan = d.generation" if current else "d.complete"
    while True:
        row = connection.execute(
            f"{_SELECT_ID} WHERE s.id > ? AND (? IS NULL OR d.name = ?) AND {clause} ORDER BY s.id LIMIT 1",
            (set_id, dataset, dataset),
        ).fetchone()
        if row is None:
            return
        set_id = row[0]
        yield set_id


def walk_listed(shelf: Shelf, task_set: TaskSet, state: State | None) -> Iterator[Row]:
    """Named members of a listed set, in key order."""
    after: bytes | None = None
    while True:
        shelf.settle()
        rows, after = walk_page(shelf.connection, task_set, after, PAGE, state)
        yield from rows
        if after is None:
            return


def _walk_gridded(shelf: Shelf, task_set: TaskSet, states: tuple[State, ...] | None) -> Iterator[Row]:
    block = -1
    only_pending = " AND pending > 0" if states == (State.PENDING,) else ""
    while True:
        shelf.settle()
        row = shelf.connection.execute(
            f"SELECT block FROM blocks WHERE set_id = ? AND block > ?{only_pending} ORDER BY block LIMIT 1",  # noqa: S608  # own text
            (task_set.set_id, block),
        ).fetchone()
        if row is None:
            return
        block = row[0]
        yield from walk_block(shelf.connection, task_set, block, states)


def _walk_fresh(shelf: Shelf, task_set: TaskSet, state: State | None, after_epoch: int | None) -> Iterator[Row]:
    """What recovery looks at: sealed or newer than the durable epoch; never more than a few batches."""
    shelf.settle()
    keys = shelf.connection.execute(
        "SELECT key FROM fresh WHERE set_id = ? AND epoch > ? ORDER BY key",
        (task_set.set_id, -1 if after_epoch is None else after_epoch),
    ).fetchall()
    for (key,) in keys:
        row = _row(shelf.connection, task_set, key)
        if row is not None and (state is None or row.state is state):
            yield row


def _row(connection: sqlite3.Connection, task_set: TaskSet, key: bytes | int) -> Row | None:
    if isinstance(key, int):
        return chunk_row(task_set, key, GriddedBook(connection).read(task_set, key))
    standing = read_standing(connection, task_set.set_id, key)
    if standing is None or standing.plan != task_set.plan:
        return None
    return object_row(task_set, key, standing)
