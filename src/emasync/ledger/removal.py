"""Files of ours that may go: leftovers, and objects that no present plan names."""

from __future__ import annotations

from typing import NamedTuple

from emasync.ledger.counts import Deltas
from emasync.ledger.desk import Desk
from emasync.ledger.gridded import GriddedBook
from emasync.ledger.housekeeping import Leftover
from emasync.ledger.listed import delete_standing, path_of, read_standing
from emasync.ledger.places import above
from emasync.ledger.standing import ON_DISK, Standing, count_standing, pending_again
from emasync.ledger.tasksets import SELECT_SET, TaskSet, unpack_set
from emasync.model.packing import pack_name, unpack_name


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
