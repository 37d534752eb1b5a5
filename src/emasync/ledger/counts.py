"""Tallies that are kept, never computed: differences gathered in a transaction and added at its end."""

from __future__ import annotations

import sqlite3
from typing import Final

from emasync.ledger.interface import METADATA_PLAN, Tally
from emasync.ledger.schema import COUNTS
from emasync.model.task import State

SIZE_ONLY, COMPUTED, PUBLISHED = 0, 1, 2
"""How a placed object was verified, as stored."""

VERIFIED: Final = {"size_only": SIZE_ONLY, "computed": COMPUTED, "published": PUBLISHED}
VERIFIED_NAMES: Final = ("size_only", "computed", "published")

BYTES: Final = len(State)
"""Column of the bytes of state 0; states follow."""
BY_CHECK: Final = {
    PUBLISHED: COUNTS.index("published"),
    COMPUTED: COUNTS.index("computed"),
    SIZE_ONLY: COUNTS.index("size_only"),
}
UNKNOWN_SIZE: Final = COUNTS.index("unknown_size")
ON_DISK: Final = COUNTS.index("on_disk")

_LIST = ", ".join(COUNTS)
_ADD = ", ".join(f"{name} = {name} + ?" for name in COUNTS)
_NAMED = [name for name in COUNTS if name != "on_disk"]


class Deltas:
    """Differences of one transaction, by task set.

    A row counts for its set while it was named in the set's plan generation, and for its dataset while the set
    was named in the dataset's. Files on disk count for both, named or not: the rest of them is unwanted.
    """

    __slots__ = ("_of_set",)

    def __init__(self) -> None:
        self._of_set: dict[int, list[int]] = {}

    def of(self, set_id: int) -> list[int]:
        """Differences of one set in the order of :data:`~emasync.ledger.schema.COUNTS`, to be changed in place."""
        found = self._of_set.get(set_id)
        if found is None:
            found = self._of_set[set_id] = [0] * len(COUNTS)
        return found

    def write(self, connection: sqlite3.Connection) -> None:
        """Add the differences to the tables; inside the transaction."""
        for set_id, delta in self._of_set.items():
            if any(delta):
                connection.execute(f"UPDATE set_counts SET {_ADD} WHERE id = ?", (*delta, set_id))  # noqa: S608  # own column names
                self._write_dataset(connection, set_id, delta)

    @staticmethod
    def _write_dataset(connection: sqlite3.Connection, set_id: int, delta: list[int]) -> None:
        dataset_id, current = connection.execute(
            "SELECT d.id, s.plan = d.generation FROM sets s JOIN datasets d ON d.id = s.dataset_id WHERE s.id = ?",
            (set_id,),
        ).fetchone()
        shown = delta if current else [*([0] * ON_DISK), delta[ON_DISK]]
        connection.execute(f"UPDATE dataset_counts SET {_ADD} WHERE id = ?", (*shown, dataset_id))  # noqa: S608  # own column names


def open_dataset_counts(connection: sqlite3.Connection, dataset_id: int) -> None:
    """Begin the tally of a plan generation; files on disk stay counted."""
    connection.execute("INSERT OR IGNORE INTO dataset_counts (id) VALUES (?)", (dataset_id,))
    zero = ", ".join(f"{name} = 0" for name in _NAMED)
    connection.execute(f"UPDATE dataset_counts SET {zero} WHERE id = ?", (dataset_id,))  # noqa: S608  # own column names


def reopen_set_counts(connection: sqlite3.Connection, set_id: int) -> None:
    """Begin to count a listed set again: objects count as they are named."""
    zero = ", ".join(f"{name} = 0" for name in _NAMED)
    connection.execute(f"UPDATE set_counts SET {zero} WHERE id = ?", (set_id,))  # noqa: S608  # own column names


def show_set_counts(connection: sqlite3.Connection, set_id: int, dataset_id: int) -> None:
    """Let a gridded set, named again as a whole, count for its dataset."""
    row = connection.execute(f"SELECT {_LIST} FROM set_counts WHERE id = ?", (set_id,)).fetchone()  # noqa: S608  # own column names
    shown = [*row[:ON_DISK], 0]
    connection.execute(f"UPDATE dataset_counts SET {_ADD} WHERE id = ?", (*shown, dataset_id))  # noqa: S608  # own column names


def read_tallies(connection: sqlite3.Connection) -> list[Tally]:
    """Counts of all datasets in the order of planning: one row a dataset is read."""
    columns = ", ".join(("d.name", "d.digest", "d.complete", *(f"c.{name}" for name in COUNTS)))
    rows = connection.execute(
        f"SELECT {columns} FROM datasets d JOIN dataset_counts c ON c.id = d.id ORDER BY d.id"  # noqa: S608  # own column names
    )
    return [_tally(*row) for row in rows]


def _tally(name: str, digest: str, complete: int, *numbers: int) -> Tally:
    by_name = dict(zip(COUNTS, numbers, strict=True))
    planned = bool(complete)
    named_on_disk = by_name["sealed"] + by_name["placed"]
    return Tally(
        dataset=name,
        objects={state: numbers[state] for state in State},
        bytes={state: numbers[BYTES + state] for state in State},
        published=by_name["published"],
        computed=by_name["computed"],
        size_only=by_name["size_only"],
        unknown_size=by_name["unknown_size"],
        unwanted=by_name["on_disk"] - named_on_disk if planned else 0,
        on_disk=by_name["on_disk"],
        planned=planned,
        metadata_only=digest.startswith(METADATA_PLAN),
    )
