"""What the journal holds, brought to the rows of its objects: in key order, each row once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import chain, groupby
from operator import itemgetter
from typing import Final, cast

from emasync.ledger.desk import Desk
from emasync.ledger.entries import Entry
from emasync.ledger.gridded import read_block, read_exception, write_block, write_exception
from emasync.ledger.journal import Batch
from emasync.ledger.pages import fold_into_pages, not_pending
from emasync.ledger.standing import PENDING, PLACED, SEALED
from emasync.ledger.tasksets import BLOCK, TaskSet

_FOLD_AT: Final = 4_096
"""Objects that wait in the journal: enough that neighbours share pages, and 3 MB of memory."""

_TOO_MANY: Final = 4 * _FOLD_AT
"""Objects beyond which nothing waits any more, whatever its epoch."""


_UPDATE: Final = {
    state: f"UPDATE objects SET state = {state}, stored = nullif(?3, size), crc = ?4, verified = ?5,"  # noqa: S608  # own numbers
    " validator = CASE WHEN ?6 IS hint THEN NULL ELSE coalesce(?6, x'') END, computed = ?7, epoch = ?9"
    f" WHERE set_id = ?1 AND key = ?2 AND state = {PENDING} AND generation = ?8"
    for state in (SEALED, PLACED)
}
"""Parameters are those of an :class:`Entry`."""


def ripe(batches: Iterable[Batch], objects: int, durable_epoch: int) -> list[Batch]:
    """Batches to fold now, if any: placed ones that are durable, which recovery need never look at.

    Parameters
    ----------
    batches : iterable of Batch
    objects : int
        In all of them.
    durable_epoch : int
    """
    if objects < _FOLD_AT:
        return []
    if objects >= _TOO_MANY:
        return list(batches)
    done = [batch for batch in batches if batch.placed and batch.epoch <= durable_epoch]
    return done if sum(len(batch.entries) for batch in done) >= _FOLD_AT // 2 else []


def fold(desk: Desk, batches: Iterable[Batch], durable_epoch: int) -> None:
    """Write the rows of batches, which the journal may forget after the commit; inside the transaction.

    Raises
    ------
    MachineError
        A row is not pending in the generation that was sealed: the ledger was changed by somebody else.
    """
    kept = list(batches)
    for placed, state in ((False, SEALED), (True, PLACED)):
        entries = sorted(chain.from_iterable(batch.entries for batch in kept if batch.placed is placed))
        listed = [entry for entry in entries if isinstance(entry[1], bytes)]
        for set_id, group in groupby(listed, key=itemgetter(0)):
            _fold_objects(desk.connection, fold_into_pages(desk.connection, set_id, list(group), state), state)
        if len(listed) < len(entries):
            _fold_chunks(desk, [entry for entry in entries if isinstance(entry[1], int)], state)
        desk.connection.executemany(
            "INSERT OR REPLACE INTO fresh (set_id, key, epoch, sealed) VALUES (?, ?, ?, ?)",
            [
                (entry[0], entry[1], entry[-1], not placed)
                for entry in entries
                if not placed or entry[-1] > durable_epoch
            ],
        )
    desk.journal.delete(kept)


def _fold_objects(connection: sqlite3.Connection, entries: list[Entry], state: int) -> None:
    if entries and connection.executemany(_UPDATE[state], entries).rowcount != len(entries):
        raise not_pending(entries[0].key)


def _fold_chunks(desk: Desk, entries: Iterable[Entry], state: int) -> None:
    for (set_id, number), group in groupby(entries, key=_block_of):
        _fold_block(desk.connection, desk.sets.get(set_id), number, list(group), state)


def _block_of(entry: Entry) -> tuple[int, int]:
    return entry.set_id, cast("int", entry.key) // BLOCK


def _fold_block(
    connection: sqlite3.Connection, task_set: TaskSet, number: int, entries: list[Entry], state: int
) -> None:
    from emasync.ledger.blocks import HUGE  # noqa: PLC0415  # numpy, when it is needed

    block = read_block(connection, task_set, number)
    chunks = [cast("int", entry.key) for entry in entries]
    positions = [chunk % BLOCK for chunk in chunks]
    block.states[positions] = state
    block.facts["size"][positions] = [min(entry.size, HUGE) for entry in entries]
    block.facts["crc"][positions] = [entry.crc for entry in entries]
    block.facts["verified"][positions] = [entry.verified for entry in entries]
    for entry, chunk in zip(entries, chunks, strict=True):
        if entry.size >= HUGE or entry.computed is not None:
            known = read_exception(connection, task_set.set_id, chunk)
            stored = entry.size if entry.size >= HUGE else None
            write_exception(connection, task_set.set_id, chunk, (*known[:3], stored, entry.computed))
    write_block(connection, task_set, number, block)
