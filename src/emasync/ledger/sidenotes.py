"""Small bounded tables beside the objects: failure details, leftovers, unfinished large objects."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.housekeeping import Leftover
from emasync.ledger.interface import Part, PartDone, PartialStarted, PartialState
from emasync.ledger.plans import MAX_MESSAGE
from emasync.model.packing import pack_name, pack_validator, unpack_name, unpack_validator
from emasync.model.task import partial_name

StoredKey = bytes | int
"""A key as the tables hold it: bytes of a listed object, number of a chunk."""

MAX_DETAILS: Final = 2_000
"""Failures of one dataset whose message is kept; all are counted and keep their kind (law 4)."""


class FailureDetails:
    """Messages of failures, a bounded number a dataset.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kept: dict[int, int] = {}
        self.reload()

    def reload(self) -> None:
        """Count again what the table holds, after a rollback too."""
        rows = self._connection.execute(
            "SELECT s.dataset_id, count(*) FROM failures f JOIN sets s ON s.id = f.set_id GROUP BY s.dataset_id"
        )
        self._kept = dict(rows.fetchall())

    def note(self, dataset_id: int, set_id: int, key: StoredKey, message: str, location: str) -> None:
        """Keep the message of a failure, if there is room."""
        self.drop(dataset_id, set_id, key)
        if self._kept.get(dataset_id, 0) >= MAX_DETAILS:
            return
        self._connection.execute(
            "INSERT INTO failures (set_id, key, location, message) VALUES (?, ?, ?, ?)",
            (set_id, key, pack_name(location), pack_name(message[:MAX_MESSAGE])),
        )
        self._kept[dataset_id] = self._kept.get(dataset_id, 0) + 1

    def drop(self, dataset_id: int, set_id: int, key: StoredKey) -> None:
        """Forget the message of a failure that is over."""
        if not self._kept.get(dataset_id):
            return
        gone = self._connection.execute("DELETE FROM failures WHERE set_id = ? AND key = ?", (set_id, key)).rowcount
        self._kept[dataset_id] -= gone

    def read(self, set_id: int, key: StoredKey) -> tuple[str, str | None]:
        """Message and location of a failure; a stand-in where the table was full."""
        row = self._connection.execute(
            "SELECT message, location FROM failures WHERE set_id = ? AND key = ?", (set_id, key)
        ).fetchone()
        if row is None:
            return f"one of more than {MAX_DETAILS} failures of this dataset; run again to see its message", None
        return unpack_name(row[0]), unpack_name(row[1])


class Leftovers:
    """Files of ours under final names that no row stands for.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._some = False
        self.reload()

    def reload(self) -> None:
        """Look again whether there are any, after a rollback too."""
        self._some = self._connection.execute("SELECT 1 FROM leftovers LIMIT 1").fetchone() is not None

    @property
    def some(self) -> bool:
        """Whether there may be any."""
        return self._some

    def note(self, destination: str, size_bytes: int | None, crc32c: int | None) -> None:
        """Remember a file that may be in the way of a newer one."""
        self._connection.execute(
            "INSERT OR REPLACE INTO leftovers (destination, size, crc) VALUES (?, ?, ?)",
            (pack_name(destination), size_bytes, crc32c),
        )
        self._some = True

    def forget(self, destination: str) -> None:
        """The file is gone, or stands for a row again."""
        if self._some:
            self._connection.execute("DELETE FROM leftovers WHERE destination = ?", (pack_name(destination),))

    def read(self, limit: int, after: str = "") -> list[Leftover]:
        """The first `limit` behind the name `after`, in the order of their names."""
        if not self._some:
            return []
        rows = self._connection.execute(
            "SELECT destination, size, crc FROM leftovers WHERE destination > ? ORDER BY destination LIMIT ?",
            (pack_name(after), limit),
        ).fetchall()
        self._some = bool(rows) or bool(after) or limit <= 0
        return [Leftover(destination=unpack_name(name), size_bytes=size, crc32c=crc) for name, size, crc in rows]


class Partials:
    """Unfinished large objects and their parts.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._open: dict[tuple[int, StoredKey], tuple[int, int, bytes | None]] = {}
        self.reload()

    def reload(self) -> None:
        """Read the headers again (not the parts), after a rollback too."""
        rows = self._connection.execute("SELECT set_id, key, generation, size, validator FROM partials")
        self._open = {(set_id, key): (generation, size, data) for set_id, key, generation, size, data in rows}

    def known(self, set_id: int, key: StoredKey) -> bool:
        """Whether an object has an open partial."""
        return bool(self._open) and (set_id, key) in self._open

    def start(self, fact: PartialStarted, key: StoredKey, generation: int) -> None:
        """Begin, or go on with, the partial of the object's present generation.

        Raises
        ------
        MachineError
            Another validator or size under the same generation: an invalidation has to come first (law 2).
        """
        if fact.generation < generation:
            return
        header = (fact.generation, fact.size_bytes, pack_validator(fact.validator))
        known = self._open.get((fact.set_id, key))
        if known == header:
            return
        if fact.generation > generation or (known is not None and known[0] == generation):
            raise MachineError(
                f"object {fact.key!r}: partial of generation {fact.generation} starts while {known} of generation"
                f" {generation} is open; record Invalidated first, and report this as a bug",
                kind=ErrorKind.LEDGER,
            )
        self.drop(fact.set_id, key)
        self._connection.execute("INSERT INTO partials VALUES (?, ?, ?, ?, ?)", (fact.set_id, key, *header))
        self._open[fact.set_id, key] = header

    def part(self, fact: PartDone, key: StoredKey) -> None:
        """Keep a finished span; one of another generation than the open partial's is ignored."""
        known = self._open.get((fact.set_id, key))
        if known is None or known[0] != fact.generation:
            return
        if not 0 <= fact.start < fact.stop <= known[1]:
            raise MachineError(
                f"object {fact.key!r}: part [{fact.start}, {fact.stop}) of {known[1]} bytes; report this as a bug",
                kind=ErrorKind.LEDGER,
            )
        self._connection.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
            (fact.set_id, key, fact.start, fact.stop, fact.crc32c, fact.epoch),
        )

    def drop(self, set_id: int, key: StoredKey) -> None:
        """Forget the partial of an object, and its parts."""
        if self._open.pop((set_id, key), None) is not None:
            self._connection.execute("DELETE FROM partials WHERE set_id = ? AND key = ?", (set_id, key))
            self._connection.execute("DELETE FROM parts WHERE set_id = ? AND key = ?", (set_id, key))

    def names(self) -> frozenset[str]:
        """Names of the files that hold finished parts."""
        return frozenset(
            partial_name(set_id, key if isinstance(key, int) else unpack_name(key), generation)
            for (set_id, key), (generation, _, _) in self._open.items()
        )

    def read(self, set_id: int, key: StoredKey) -> PartialState | None:
        """What is known of an unfinished object, parts by their start."""
        known = self._open.get((set_id, key))
        if known is None:
            return None
        rows: Sequence[tuple[int, int, int, int]] = self._connection.execute(
            "SELECT start, stop, crc, epoch FROM parts WHERE set_id = ? AND key = ? ORDER BY start", (set_id, key)
        ).fetchall()
        generation, size, validator = known
        return PartialState(
            generation=generation,
            size_bytes=size,
            validator=unpack_validator(validator),
            parts=tuple(Part(start=start, stop=stop, crc32c=crc, epoch=epoch) for start, stop, crc, epoch in rows),
        )
