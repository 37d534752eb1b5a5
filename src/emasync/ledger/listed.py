"""Rows of listed sets: reading, writing, leasing, walking."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

from emasync.ledger.interface import Row
from emasync.ledger.leases import Leases
from emasync.ledger.pages import (
    FEWEST,
    Keyed,
    NewRow,
    PendingRow,
    add_pages,
    any_page,
    bounds_of,
    pages_around,
    pending_of_pages,
    standing_in_page,
    standings_of,
    take_out,
    walk_pages,
)
from emasync.ledger.sidenotes import StoredKey
from emasync.ledger.standing import ABSENT, ON_DISK, PENDING, Standing
from emasync.ledger.tasksets import TaskSet
from emasync.model.packing import pack_name, unpack_name
from emasync.model.task import State, Task

_COLUMNS: Final = ", ".join(Standing._fields)
_PLACEHOLDERS: Final = ", ".join("?" * (2 + len(Standing._fields)))
_ASSIGN: Final = ", ".join(f"{name} = ?" for name in Standing._fields)
_STATES: Final = tuple(State)
_VERIFIED_NAMES: Final = ("size_only", "computed", "published")
_KEYS_A_STATEMENT: Final = 25
_BEGINNING: Final = b""
_BEHIND_ALL: Final = b"\xff"
"""Greater than any key: no UTF-8 begins like this."""

_SELECT_PENDING: Final = "SELECT key, path, size, published, hint, attempts, generation FROM objects"


def read_standing(connection: sqlite3.Connection, set_id: int, key: bytes) -> Standing | None:
    """Where one object stands; None when the ledger does not know it."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM objects WHERE set_id = ? AND key = ?",  # noqa: S608  # own column names
        (set_id, key),
    ).fetchone()
    return standing_in_page(connection, set_id, key) if row is None else Standing._make(row)


def read_standings(connection: sqlite3.Connection, set_id: int, keys: Sequence[bytes]) -> Iterator[Keyed]:
    """Where many objects of one set stand, several a statement; unknown keys are left out."""
    missing = set(keys)
    for start in range(0, len(keys), _KEYS_A_STATEMENT):
        part = keys[start : start + _KEYS_A_STATEMENT]
        rows = connection.execute(
            f"SELECT key, {_COLUMNS} FROM objects WHERE set_id = ? AND key IN ({', '.join('?' * len(part))})",  # noqa: S608  # own column names
            (set_id, *part),
        )
        for key, *columns in rows:
            missing.discard(key)
            yield key, Standing._make(columns)
    for page in pages_around(connection, set_id, missing):
        yield from (row for row in standings_of(connection, page) if row[0] in missing)


def insert_new(connection: sqlite3.Connection, set_id: int, plan: int, rows: Sequence[NewRow]) -> bool:
    """Add new objects, in key order; False, and nothing is added, where the set has others between them."""
    first, last = rows[0][0], rows[-1][0]
    between = connection.execute(
        "SELECT 1 FROM objects WHERE set_id = ? AND key >= ? AND key <= ? LIMIT 1", (set_id, first, last)
    ).fetchone()
    if between is not None or any_page(connection, set_id, first, last):
        return False
    if len(rows) >= FEWEST:
        add_pages(connection, set_id, plan, rows)
    else:
        insert_pending(connection, set_id, plan, rows)
    return True


def insert_pending(connection: sqlite3.Connection, set_id: int, plan: int, rows: Iterable[NewRow]) -> None:
    """Add new objects.

    What all rows share is part of the statement: binding it each time would cost as much as the keys do.
    """
    connection.executemany(
        "INSERT INTO objects (set_id, plan, state, key, size, path, hint, published)"  # noqa: S608  # own numbers
        f" VALUES ({set_id:d}, {plan:d}, {PENDING:d}, ?, ?, ?, ?, ?)",
        rows,
    )


def insert_standings(connection: sqlite3.Connection, set_id: int, rows: Iterable[Keyed]) -> None:
    """Add objects that are not there yet."""
    connection.executemany(
        f"INSERT INTO objects (set_id, key, {_COLUMNS}) VALUES ({_PLACEHOLDERS})",  # noqa: S608  # own column names
        ((set_id, key, *standing) for key, standing in rows),
    )


def write_standings(connection: sqlite3.Connection, rows: Sequence[tuple[int, bytes, Standing]]) -> None:
    """Change objects that are there."""
    _dissolve_around(connection, rows)
    connection.executemany(
        f"UPDATE objects SET {_ASSIGN} WHERE set_id = ? AND key = ?",  # noqa: S608  # own column names
        ((*standing, set_id, key) for set_id, key, standing in rows),
    )


def write_states(connection: sqlite3.Connection, rows: Sequence[tuple[int, bytes, Standing]]) -> None:
    """Change objects of which nothing but the state is another."""
    _dissolve_around(connection, rows)
    connection.executemany(
        "UPDATE objects SET state = ? WHERE set_id = ? AND key = ?",
        ((standing.state, set_id, key) for set_id, key, standing in rows),
    )


def delete_standing(connection: sqlite3.Connection, set_id: int, key: bytes) -> None:
    """Forget an object."""
    dissolve(connection, set_id, [key])
    connection.execute("DELETE FROM objects WHERE set_id = ? AND key = ?", (set_id, key))


def _dissolve_around(connection: sqlite3.Connection, rows: Sequence[tuple[int, bytes, Standing]]) -> None:
    keys: dict[int, list[bytes]] = {}
    for set_id, key, _ in rows:
        keys.setdefault(set_id, []).append(key)
    for set_id, wanted in keys.items():
        dissolve(connection, set_id, wanted)


def dissolve(connection: sqlite3.Connection, set_id: int, keys: Iterable[bytes]) -> None:
    """Make rows of the pages that objects lie in of which something is to be said that pages cannot say."""
    for page in pages_around(connection, set_id, keys):
        insert_standings(connection, set_id, take_out(connection, page))


def path_of(standing: Standing) -> str | None:
    """Destination below the set's folder, where it is not the key."""
    return None if standing.path is None else unpack_name(standing.path)


def lease_objects(connection: sqlite3.Connection, task_set: TaskSet, leases: Leases, limit: int) -> list[Task]:
    """Lease up to `limit` pending objects, in key order."""
    tasks = _lease_returned(connection, task_set, leases, limit)
    taken = leases.taken(task_set.set_id)
    while (left := limit - len(tasks)) > 0:
        rows = pending_rows(connection, task_set, leases.start(task_set.set_id) or _BEGINNING, left)
        free = [row for row in rows if row[0] not in taken]
        found = [_task(task_set, row) for row in free]
        leases.take(task_set.set_id, zip([row[0] for row in free], found, strict=True))
        tasks += found
        end = rows[-1][0] if len(rows) == left else last_key(connection, task_set.set_id)
        leases.move(task_set.set_id, end + b"\0")  # the first name behind this one
        if len(rows) < left:
            break
    return tasks


def lease_named_objects(
    connection: sqlite3.Connection, task_set: TaskSet, leases: Leases, names: Iterable[str]
) -> list[Task]:
    """Lease those of some objects that are pending."""
    tasks: list[Task] = []
    for key in map(pack_name, names):
        rows = pending_rows(connection, task_set, key, 1)
        if rows and rows[0][0] == key and key not in leases.taken(task_set.set_id):
            tasks.append(_task(task_set, rows[0]))
            leases.take(task_set.set_id, [(key, tasks[-1])])
    return tasks


def _lease_returned(connection: sqlite3.Connection, task_set: TaskSet, leases: Leases, limit: int) -> list[Task]:
    """Lease what became pending again before the place that leasing has come to."""
    tasks: list[Task] = []
    while len(tasks) < limit and (key := leases.pop_returned(task_set.set_id)) is not None:
        rows = pending_rows(connection, task_set, key, 1)
        if rows and rows[0][0] == key and key not in leases.taken(task_set.set_id):
            tasks.append(_task(task_set, rows[0]))
            leases.take(task_set.set_id, [(key, tasks[-1])])
    return tasks


def pending_rows(connection: sqlite3.Connection, task_set: TaskSet, start: StoredKey, limit: int) -> list[PendingRow]:
    """Up to `limit` pending objects from key `start` on, in key order.

    Rows of what is done are read over, at some ten million a second: an index of pending rows would cost each object
    more, once when it is named and once when it is done.
    """
    begin = start if isinstance(start, bytes) else _BEGINNING
    paged = pending_of_pages(connection, task_set.set_id, task_set.plan, begin, limit)
    end = paged[-1][0] if len(paged) == limit else _BEHIND_ALL
    rows: list[PendingRow] = connection.execute(
        f"{_SELECT_PENDING} WHERE set_id = ? AND plan = ? AND state = 0 AND key >= ? AND key <= ? ORDER BY key LIMIT ?",
        (task_set.set_id, task_set.plan, begin, end, limit),
    ).fetchall()
    return sorted([*paged, *rows], key=itemgetter(0))[:limit] if rows and paged else rows or paged


def last_key(connection: sqlite3.Connection, set_id: int) -> bytes:
    """The last key of a set; empty where there is none."""
    ends = key_bounds(connection, set_id)
    return _BEGINNING if ends is None else ends[1]


def key_bounds(connection: sqlite3.Connection, set_id: int) -> tuple[bytes, bytes] | None:
    """First and last key of a set; None where there is none."""
    ends = "(SELECT min(key) FROM objects WHERE set_id = ?), (SELECT max(key) FROM objects WHERE set_id = ?)"
    row = connection.execute(f"SELECT {ends}", (set_id, set_id)).fetchone()  # own text
    found = [ends for ends in (None if row[0] is None else row, bounds_of(connection, set_id)) if ends is not None]
    return (min(first for first, _ in found), max(last for _, last in found)) if found else None


def _task(task_set: TaskSet, row: PendingRow) -> Task:
    key, path, size, published, hint, attempts, generation = row
    return Task(
        task_set.spec,
        task_set.set_id,
        str(key, "utf-8", "surrogatepass"),
        None if path is None else unpack_name(path),
        size,
        published,
        hint,
        attempts,
        generation,
    )


def walk_page(
    connection: sqlite3.Connection,
    task_set: TaskSet,
    after: bytes | None,
    limit: int,
    state: State | None,
) -> tuple[list[Row], bytes | None]:
    """Named objects behind key `after`; the second value is where the next page begins, None at the end."""
    found, end = standings_page(connection, task_set, after, limit, state)
    return [object_row(task_set, *item) for item in found], end


def standings_page(
    connection: sqlite3.Connection,
    task_set: TaskSet,
    after: bytes | None,
    limit: int,
    state: State | None,
) -> tuple[list[Keyed], bytes | None]:
    """As :func:`walk_page`: where the objects stand."""
    hint = "INDEXED BY objects_failed" if state is State.FAILED else ""
    compare = ">=" if after is None else ">"
    filtered = f" AND state = {int(state)}" if state is not None else ""
    rows = connection.execute(
        f"SELECT key, {_COLUMNS} FROM objects {hint}"  # noqa: S608  # own column names and numbers
        f" WHERE set_id = ? AND plan = ? AND key {compare} ?{filtered} ORDER BY key LIMIT ?",
        (task_set.set_id, task_set.plan, after or _BEGINNING, limit),
    ).fetchall()
    paged = walk_pages(
        connection,
        task_set.set_id,
        after,
        limit,
        lambda standing: standing.plan == task_set.plan and state in (None, standing.state),
        pending=state in (None, PENDING),
    )
    return _merged(rows, paged, limit)


def rows_page(connection: sqlite3.Connection, task_set: TaskSet, after: bytes | None, limit: int) -> list[Keyed]:
    """Up to `limit` objects behind key `after` that lie in no page, in key order."""
    compare = ">=" if after is None else ">"
    rows = connection.execute(
        f"SELECT key, {_COLUMNS} FROM objects WHERE set_id = ? AND plan = ? AND key {compare} ? ORDER BY key LIMIT ?",  # noqa: S608  # own column names
        (task_set.set_id, task_set.plan, after or _BEGINNING, limit),
    ).fetchall()
    return [(row[0], Standing._make(row[1:])) for row in rows]


def _merged(rows: Sequence[tuple[Any, ...]], paged: list[Keyed], limit: int) -> tuple[list[Keyed], bytes | None]:
    """The first `limit` of both, in key order, and where the next page begins (Any: columns of a row)."""
    found = [(row[0], Standing._make(row[1:])) for row in rows]
    both = sorted([*found, *paged], key=itemgetter(0))[:limit] if paged else found
    return both, (both[-1][0] if len(both) == limit else None)


def unnamed_page(
    connection: sqlite3.Connection, task_set: TaskSet, after: bytes | None, limit: int
) -> tuple[list[Row], bytes | None]:
    """Objects on disk that the present plan does not name."""
    compare = ">=" if after is None else ">"
    rows = connection.execute(
        f"SELECT key, {_COLUMNS} FROM objects"  # noqa: S608  # own column names and numbers
        f" WHERE set_id = ? AND (? OR plan <> ?) AND key {compare} ? AND state IN (1, 2) ORDER BY key LIMIT ?",
        (task_set.set_id, not task_set.current, task_set.plan, after or _BEGINNING, limit),
    ).fetchall()
    paged = walk_pages(
        connection,
        task_set.set_id,
        after,
        limit,
        lambda standing: standing.state in ON_DISK and not (task_set.current and standing.plan == task_set.plan),
        pending=False,
    )
    found, end = _merged(rows, paged, limit)
    return [object_row(task_set, *item) for item in found], end


def object_row(task_set: TaskSet, key: bytes, standing: Standing) -> Row:
    """One object as others see it."""
    name = unpack_name(key)
    return row_of(
        task_set,
        name,
        standing,
        destination=task_set.destination(name, path_of(standing)),
        delivered=standing.delivered,
    )


def row_of(task_set: TaskSet, key: str | int, standing: Standing, *, destination: str, delivered: bytes | None) -> Row:
    """Row of a listed object or a chunk. Given in order, not by name: a walk over millions makes one for each."""
    state = standing.state
    size_bytes = None if state == ABSENT else standing.size_bytes
    verified = _VERIFIED_NAMES[standing.verified] if state in ON_DISK else ""
    stands = (destination, _STATES[state], size_bytes, standing.crc, verified)
    said = (delivered, standing.published, standing.computed)
    return Row(task_set.spec, task_set.set_id, key, *stands, *said, standing.generation, standing.epoch)


def stored_key(key: str | int) -> StoredKey:
    """A key as the tables hold it."""
    return key if isinstance(key, int) else pack_name(key)


def named_key(stored: StoredKey) -> str | int:
    """A key as others know it."""
    return stored if isinstance(stored, int) else unpack_name(stored)
