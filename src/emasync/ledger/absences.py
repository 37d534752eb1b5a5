"""Grids of which nothing is there: that says more about the plan than about the publisher (law 9)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from emasync.errors import ErrorKind
from emasync.ledger.interface import Fact, Invalidated
from emasync.ledger.listed import walk_page
from emasync.ledger.tasksets import ACCEPTED, SELECT_SET, TaskSet, unpack_set
from emasync.model.task import State

BATCH: Final = 4_096
"""Chunks that become pending again in one transaction: a block."""


class DoubtsAbsence(Protocol):
    """What is needed of a ledger."""

    def wholly_absent(self, dataset: str) -> list[TaskSet]:
        """Grids of the present plan without a single object."""
        ...

    def record(self, facts: Sequence[Fact], *, durable: bool = False) -> None:
        """Commit facts."""
        ...

    def fail_plan(self, dataset: str, kind: ErrorKind, message: str, location: str) -> None:
        """Show a failure of the dataset until its next plan begins."""
        ...


def read_wholly_absent(connection: sqlite3.Connection, dataset: str) -> list[TaskSet]:
    """Grids of which every chunk was found absent: one row a set is read."""
    rows = connection.execute(
        f"{SELECT_SET} JOIN set_counts c ON c.id = s.id WHERE d.name = ? AND s.plan = d.generation"
        " AND s.grid IS NOT NULL AND c.absent > 0 AND c.pending + c.sealed + c.placed + c.failed = 0 ORDER BY s.id",
        (dataset,),
    )
    return [unpack_set(row) for row in rows]


def read_missing(connection: sqlite3.Connection, dataset: str, limit: int) -> list[str]:
    """The first `limit` members that are missing and that the manifest accepts to be missing, in words.

    Chunks of a grid are counted: publishers leave out thousands of them.
    """
    rows = connection.execute(
        f"{SELECT_SET} JOIN set_counts c ON c.id = s.id WHERE d.name = ? AND s.plan = d.generation"
        " AND s.absent_ok = ? AND c.absent > 0 ORDER BY s.id",
        (dataset, ACCEPTED),
    ).fetchall()
    named: list[str] = []
    for task_set in map(unpack_set, rows):
        if task_set.spec.grid is None:
            found, _ = walk_page(connection, task_set, None, limit - len(named), State.ABSENT)
            named += [row.location for row in found]
        else:
            absent = connection.execute("SELECT absent FROM set_counts WHERE id = ?", (task_set.set_id,)).fetchone()[0]
            named.append(f"{task_set.spec.base}: {absent:,} of {len(task_set.grid):,} chunks")
        if len(named) >= limit:
            break
    return named


def doubt_absences(ledger: DoubtsAbsence, dataset: str) -> str | None:
    """Fail a dataset of which some grid is absent as a whole; its chunks are pending again, for the next run to ask.

    Returns
    -------
    str or None
        Why; None when nothing is doubtful.
    """
    found = ledger.wholly_absent(dataset)
    if not found:
        return None
    for task_set in found:
        for facts in _batches(task_set):
            ledger.record(facts, durable=True)
    first = found[0]
    where = first.spec.locate(0)
    more = f" (and {len(found) - 1} more arrays like it)" if len(found) > 1 else ""
    message = (
        f"{first.spec.base}: none of its {len(first.grid):,} wanted chunks is there, such as {where}{more}. Publishers "
        "leave out chunks that are empty, but hardly all of them: check the crop and the url, then run again"
    )
    ledger.fail_plan(dataset, ErrorKind.SOURCE, message, first.spec.base)
    return message


def _batches(task_set: TaskSet) -> Iterator[list[Fact]]:
    facts: Iterator[Fact] = (Invalidated(set_id=task_set.set_id, key=number) for number in range(len(task_set.grid)))
    while batch := list(islice(facts, BATCH)):
        yield batch
