"""Batches of sealed small objects, appended as they come and brought to the rows of their objects later, many at once.

An object's row lies anywhere in a large table; a batch is one row at the end of a small one. So what has to be on disk
before a rename (law 1) is one short write, and a row is changed once, from pending to placed. Tallies are changed with
the batch: they are right at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emasync.ledger.entries import Entry, pack_entries, unpack_entries


@dataclass(slots=True)
class Batch:
    """Objects that were sealed together.

    Attributes
    ----------
    number : int
    epoch : int
    entries : sequence of Entry
    placed : bool
        Whether they are under their final names.
    """

    number: int
    epoch: int
    entries: Sequence[Entry]
    placed: bool = False


class Journal:
    """The batches that are not in the objects' rows yet; what memory holds changes after the commit only.

    Parameters
    ----------
    connection : sqlite3.Connection

    Attributes
    ----------
    batches : dict of int to Batch
        By number, in the order they came.
    objects : int
        In all of them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        rows = connection.execute("SELECT id, epoch, placed, facts FROM journal ORDER BY id")
        self.batches = {
            number: Batch(number, epoch, unpack_entries(facts, epoch), bool(placed))
            for number, epoch, placed, facts in rows
        }
        self.objects = sum(len(batch.entries) for batch in self.batches.values())
        self._last = max(self.batches, default=0)

    def next_number(self) -> int:
        """A number for a batch that none had since the ledger was opened."""
        self._last += 1
        return self._last

    def last_epoch(self) -> int:
        """The newest epoch of a batch; 0 for none."""
        return max((batch.epoch for batch in self.batches.values()), default=0)

    def write(self, batch: Batch) -> None:
        """Append a batch to the table; inside the transaction."""
        self._connection.execute(
            "INSERT INTO journal (id, epoch, placed, facts) VALUES (?, ?, 0, ?)",
            (batch.number, batch.epoch, pack_entries(batch.entries)),
        )

    def write_placed(self, batch: Batch) -> None:
        """Note in the table that a batch is placed; inside the transaction."""
        self._connection.execute("UPDATE journal SET placed = 1 WHERE id = ?", (batch.number,))

    def delete(self, batches: Iterable[Batch]) -> None:
        """Take batches out of the table; inside the transaction."""
        self._connection.executemany("DELETE FROM journal WHERE id = ?", [(batch.number,) for batch in batches])

    def add(self, batch: Batch) -> None:
        """Remember a batch that was committed."""
        self.batches[batch.number] = batch
        self.objects += len(batch.entries)

    def drop(self, batches: Iterable[Batch]) -> None:
        """Forget batches that were taken out."""
        for batch in batches:
            del self.batches[batch.number]
            self.objects -= len(batch.entries)
