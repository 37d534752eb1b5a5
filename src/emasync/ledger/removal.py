"""Files of ours that may go: leftovers, and objects that no present plan names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from emasync.ledger.counts import Deltas
from emasync.ledger.desk import Desk
from emasync.ledger.gridded import GriddedBook
from emasync.ledger.housekeeping import Leftover
from emasync.ledger.interface import Row
from emasync.ledger.listed import delete_standing, path_of, read_standing, stored_key
from emasync.ledger.places import above
from emasync.ledger.sidenotes import StoredKey
from emasync.ledger.standing import ON_DISK, Standing, count_standing, pending_again
from emasync.ledger.tasksets import SELECT_SET, TaskSet, unpack_set
from emasync.model.packing import pack_name, unpack_name

_OF_SETS: Final = (
    "objects", "pages", "page_names", "page_facts", "places", "partials", "parts", "pieces", "fresh", "failures",
    "blocks", "block_facts", "chunks",
)  # fmt: skip
"""Tables whose rows belong to a task set."""

_ASKED_AT_ONCE: Final = 400


class Holder(NamedTuple):
    """An object that lies at a destination and that no present plan names."""

    task_set: TaskSet
    key: bytes | int
    standing: Standing


def removable(desk: Desk, destination: str) -> Leftover | None:
    """The file of ours at `destination` that may make room there."""
    row = desk.connection.execute(
        "SELECT size, crc FROM leftovers WHERE destination = ?", (pack_name(destination),)
    ).fetchone()
    if row is not None:
        return Leftover(destination=destination, size_bytes=row[0], crc32c=row[1])
    holder = find_holder(desk, destination)
    if holder is None:
        return None
    return Leftover(destination=destination, size_bytes=holder.standing.size_bytes, crc32c=holder.standing.crc)


def forget_file(desk: Desk, destination: str) -> None:
    """The file at `destination` is gone: forget the leftover, or the unnamed object; a named one is kept."""
    desk.leftovers.forget(destination)
    holder = find_holder(desk, destination)
    if holder is None:
        return
    deltas = Deltas()
    count_standing(deltas, holder.task_set, -1, holder.standing)
    if isinstance(holder.key, int):
        _clear_chunk(desk, holder, holder.key, deltas)
    else:
        delete_standing(desk.connection, holder.task_set.set_id, holder.key)
        desk.places.release(desk.places.of(destination))
    desk.connection.execute("DELETE FROM fresh WHERE set_id = ? AND key = ?", (holder.task_set.set_id, holder.key))
    deltas.write(desk.connection)


def _clear_chunk(desk: Desk, holder: Holder, chunk: int, deltas: Deltas) -> None:
    book, cleared = GriddedBook(desk.connection), pending_again(holder.standing)
    book.put(holder.task_set, chunk, cleared)
    book.write()
    count_standing(deltas, holder.task_set, 1, cleared)


def find_holder(desk: Desk, destination: str) -> Holder | None:
    """The object that lies at `destination` without being named by a present plan."""
    owner = desk.places.owner(desk.places.of(destination))
    if owner is None or owner.key is None:
        return _find_chunk(desk, destination)
    task_set = desk.sets.get(owner.set_id)
    standing = read_standing(desk.connection, owner.set_id, owner.key)
    if standing is None or standing.state not in ON_DISK:
        return _find_chunk(desk, destination)
    if task_set.current and standing.plan == task_set.plan:
        return None
    if task_set.destination(unpack_name(owner.key), path_of(standing)) != destination:
        return None  # the same place in another case
    return Holder(task_set, owner.key, standing)


def _find_chunk(desk: Desk, destination: str) -> Holder | None:
    """Look through gridded sets of older plans whose folder `destination` lies in."""
    folders = [b"", *above(pack_name(destination))]
    marks = ", ".join("?" * len(folders))
    rows = desk.connection.execute(
        f"{SELECT_SET} WHERE s.grid IS NOT NULL AND s.plan <> d.generation AND s.destination IN ({marks})", folders
    ).fetchall()
    for task_set in map(unpack_set, rows):
        chunk = task_set.grid.number_at(destination.removeprefix(task_set.folder))
        if chunk is None:
            continue
        standing = GriddedBook(desk.connection).read(task_set, chunk)
        if standing.state in ON_DISK:
            return Holder(task_set, chunk, standing)
    return None


def retire(desk: Desk, rows: Sequence[Row]) -> None:
    """Drop the rows of unwanted objects; their files are leftovers from now on. Rows that are wanted again stay.

    A file that an object of the present plan stands for too is no leftover: chunks of two grids may have one place.
    """
    deltas, book, grids = (
        Deltas(),
        GriddedBook(desk.connection),
        _current_grids(desk, [row.destination for row in rows]),
    )
    gone: list[tuple[Row, StoredKey, Standing]] = []
    for row in rows:
        key, task_set = stored_key(row.key), desk.sets.get(row.set_id)
        standing = book.read(task_set, key) if isinstance(key, int) else read_standing(desk.connection, row.set_id, key)
        if standing is None or standing.state not in ON_DISK:
            continue
        if task_set.current and standing.plan == task_set.plan:
            continue
        count_standing(deltas, task_set, -1, standing)
        if isinstance(key, int):
            cleared = pending_again(standing)
            book.put(task_set, key, cleared)
            count_standing(deltas, task_set, 1, cleared)
        else:
            delete_standing(desk.connection, row.set_id, key)
        gone.append((row, key, standing))
    book.write()
    deltas.write(desk.connection)
    _release(desk, [(row, key) for row, key, _ in gone])
    for row, _, standing in gone:
        if not _stands(desk, row.destination, grids):
            desk.leftovers.note(row.destination, standing.size_bytes, standing.crc)


def _release(desk: Desk, gone: Iterable[tuple[Row, StoredKey]]) -> None:
    """Give up what belongs to rows that are gone."""
    for row, key in gone:
        desk.partials.drop(row.set_id, key)
        desk.pieces.drop(row.set_id, key)
        desk.connection.execute("DELETE FROM fresh WHERE set_id = ? AND key = ?", (row.set_id, key))
        if not isinstance(key, int):
            place = desk.places.of(row.destination)
            desk.connection.execute("DELETE FROM places WHERE place = ? AND set_id = ?", (place, row.set_id))
    desk.places.forget()


def stands(desk: Desk, destination: str) -> bool:
    """Whether an object of a present plan is on disk under this very name."""
    return _stands(desk, destination, _current_grids(desk, [destination]))


def _current_grids(desk: Desk, destinations: Iterable[str]) -> dict[bytes, list[TaskSet]]:
    """Gridded sets of present plans whose folders lead to `destinations`, by folder."""
    folders = list({b"", *(folder for name in destinations for folder in above(pack_name(name)))})
    found: dict[bytes, list[TaskSet]] = {}
    for start in range(0, len(folders), _ASKED_AT_ONCE):
        part = folders[start : start + _ASKED_AT_ONCE]
        query = (
            f"{SELECT_SET} WHERE s.grid IS NOT NULL AND s.plan = d.generation"
            f" AND s.destination IN ({', '.join('?' * len(part))})"
        )
        for task_set in map(unpack_set, desk.connection.execute(query, part)):
            found.setdefault(pack_name(task_set.spec.destination), []).append(task_set)
    return found


def _stands(desk: Desk, destination: str, grids: dict[bytes, list[TaskSet]]) -> bool:
    owner = desk.places.owner(desk.places.of(destination))
    if owner is not None and owner.key is not None:
        task_set, standing = desk.sets.get(owner.set_id), read_standing(desk.connection, owner.set_id, owner.key)
        if standing is not None and standing.state in ON_DISK and task_set.current and standing.plan == task_set.plan:
            return True
    sets = (task_set for folder in (b"", *above(pack_name(destination))) for task_set in grids.get(folder, ()))
    for task_set in sets:
        chunk = task_set.grid.number_at(destination.removeprefix(task_set.folder))
        if chunk is not None and GriddedBook(desk.connection).read(task_set, chunk).state in ON_DISK:
            return True
    return False


def forget_dataset(desk: Desk, dataset: str) -> bool:
    """Drop everything that is known of a dataset, if none of its files is on disk any more."""
    connection = desk.connection
    row = connection.execute(
        "SELECT d.id, c.on_disk FROM datasets d JOIN dataset_counts c ON c.id = d.id WHERE d.name = ?", (dataset,)
    ).fetchone()
    if row is None or row[1]:
        return row is None
    sets = "SELECT id FROM sets WHERE dataset_id = ?"
    for table in _OF_SETS:
        connection.execute(f"DELETE FROM {table} WHERE set_id IN ({sets})", (row[0],))  # noqa: S608  # own names
    connection.execute(f"DELETE FROM set_counts WHERE id IN ({sets})", (row[0],))  # noqa: S608  # own text
    connection.execute("DELETE FROM sets WHERE dataset_id = ?", (row[0],))
    connection.execute("DELETE FROM dataset_counts WHERE id = ?", (row[0],))
    connection.execute("DELETE FROM datasets WHERE id = ?", (row[0],))
    connection.execute("DELETE FROM meta WHERE name = ?", (f"held {dataset}",))
    desk.sets.forget()
    desk.places.forget()
    desk.partials.reload()
    desk.details.reload()
    return True
