"""Destinations, claimed once over the whole ledger (law 14).

An object that is called by its key needs no row for its claim (``rooms.py``); one whose layout mapped its name does,
and on a filesystem that takes two cases for one name every object does.

A gridded set claims its folder only, by a place that ends in a slash: chunk names follow from the grid, so two
chunks of one set cannot clash, and a listed file can sit beside chunks (array metadata does). A listed file whose
name is that of a chunk of a gridded set is not noticed here; the rename that replaces nothing is the guard.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from emasync.ledger.rooms import Rooms
from emasync.ledger.tasksets import TaskSets
from emasync.model.packing import pack_name, unpack_name

_CACHED_FOLDERS: Final = 1 << 16
_ASKED_AT_ONCE: Final = 400


class Owner(NamedTuple):
    """Who claims a place; `key` is None for the folder of a gridded set."""

    set_id: int
    key: bytes | None


def above(place: bytes) -> list[bytes]:
    """Folders that a place lies in, the nearest first."""
    found = []
    cut = place.rfind(b"/")
    while cut > 0:
        found.append(place[:cut])
        cut = place.rfind(b"/", 0, cut)
    return found


def after_folder(place: bytes) -> bytes:
    """First name behind everything inside `place` as a folder (``0`` follows ``/`` in ASCII)."""
    return place + b"0"


class Places:
    """Claims of destinations.

    Parameters
    ----------
    connection : sqlite3.Connection
    sets : TaskSets
    casefold : bool
        Whether names that differ in case only are one place (case-insensitive filesystem).
    """

    def __init__(self, connection: sqlite3.Connection, sets: TaskSets, *, casefold: bool) -> None:
        self._connection = connection
        self._sets = sets
        self._casefold = casefold
        self._rooms = Rooms(connection)
        self._folders: set[bytes] = set()

    def of(self, destination: str) -> bytes:
        """The place of a destination."""
        return pack_name(destination.casefold() if self._casefold else destination)

    def inside(self, folder: bytes, name: bytes) -> bytes:
        """The place of a destination given as folder (with its slash, or empty) and name."""
        return self.of(unpack_name(folder + name)) if self._casefold else folder + name

    def owner(self, place: bytes) -> Owner | None:
        """Who claims a place."""
        row = self._connection.execute("SELECT set_id, key FROM places WHERE place = ?", (place,)).fetchone()
        if row is None:
            found = None if self._casefold else self._rooms.owner(place)
            return None if found is None else Owner(*found)
        return self._owner(place, row[0], row[1])

    def _owner(self, place: bytes, set_id: int, key: bytes | None) -> Owner:
        if key is None and not place.endswith(b"/"):
            key = place[len(pack_name(self._sets.get(set_id).folder)) :]
        return Owner(set_id, key)

    def claim_folder(self, place: bytes, set_id: int) -> None:
        """Claim the free folder of a gridded set, given with its slash."""
        self._insert([(place, set_id, None)])

    def claim(self, set_id: int, folder: bytes, claims: Sequence[tuple[bytes, bytes]]) -> None:
        """Claim free places for objects whose rows are there already.

        Parameters
        ----------
        set_id : int
        folder : bytes
            The set's, with its slash, or empty.
        claims : sequence of (bytes, bytes)
            Place and key.
        """
        if not claims:
            return
        keys = [key for _, key in claims]
        self._rooms.grow(set_id, min(keys), max(keys))
        kept = [(place, set_id, self._stored_key(place, folder, key)) for place, key in claims]
        self._insert(kept if self._casefold else [row for row in kept if row[2] is not None])

    def _stored_key(self, place: bytes, folder: bytes, key: bytes) -> bytes | None:
        """What the claim's row has to say of the key: nothing where it follows from the place."""
        return None if place == folder + key else key

    def _insert(self, rows: list[tuple[bytes, int, bytes | None]]) -> None:
        self._connection.executemany("INSERT INTO places (place, set_id, key) VALUES (?, ?, ?)", rows)

    def release(self, place: bytes) -> None:
        """Give a place up; the row of its object is gone, or about to be."""
        self._connection.execute("DELETE FROM places WHERE place = ?", (place,))
        self.forget()

    def forget(self) -> None:
        """Drop what is remembered of folders and sets; after a rollback too."""
        self._folders.clear()
        self._rooms.forget()

    def file_above(self, place: bytes) -> bytes | None:
        """The place of a file where `place` needs a folder, if there is one.

        Folders that were looked at are remembered: something lies in them, so that no file is admitted in their
        place (:meth:`below` finds it).
        """
        fresh = []
        for folder in above(place):
            if folder in self._folders:
                break
            if self.owner(folder) is not None:
                return folder
            fresh.append(folder)
        if len(self._folders) > _CACHED_FOLDERS:
            self._folders.clear()
        self._folders.update(fresh)
        return None

    def below(self, place: bytes, limit: int) -> list[tuple[bytes, Owner]]:
        """Up to `limit` claims inside `place` as a folder."""
        start, stop = place + b"/", after_folder(place)
        rows = self._connection.execute(
            "SELECT place, set_id, key FROM places WHERE place >= ? AND place < ? LIMIT ?", (start, stop, limit)
        ).fetchall()
        found = [(inner, self._owner(inner, set_id, key)) for inner, set_id, key in rows]
        if not self._casefold and len(found) < limit:
            others = self._rooms.between(start, stop, limit - len(found))
            found += [(inner, Owner(set_id, key)) for inner, set_id, key in others]
        return found

    def any_at(self, places: Sequence[bytes]) -> bool:
        """Whether one of `places`, or something inside one as a folder, may be claimed.

        Chunks out of shards come shard by shard, and their names lie between each other: that much of the range is
        claimed says little. Names that begin with one of `places` may be taken for something inside.
        """
        start, stop = min(places), max(map(after_folder, places))
        if not self._any_between(start, stop):
            return False
        if not self._casefold and self._rooms.between(start, stop, 1):
            return True
        return any(self._any_claimed(places[at : at + _ASKED_AT_ONCE]) for at in range(0, len(places), _ASKED_AT_ONCE))

    def _any_claimed(self, places: Sequence[bytes]) -> bool:
        wanted = ", ".join(["(?, ?)"] * len(places))
        row = self._connection.execute(
            f"WITH wanted (start, stop) AS (VALUES {wanted}) SELECT 1 FROM wanted CROSS JOIN places"  # noqa: S608  # own text
            " ON place >= start AND place < stop LIMIT 1",
            [bound for place in places for bound in (place, after_folder(place))],
        ).fetchone()
        return row is not None

    def _any_between(self, start: bytes, stop: bytes) -> bool:
        """Whether anything is claimed in ``[start, stop)``."""
        row = self._connection.execute(
            "SELECT 1 FROM places WHERE place >= ? AND place < ? LIMIT 1", (start, stop)
        ).fetchone()
        return row is not None or (not self._casefold and bool(self._rooms.between(start, stop, 1)))


def shown(place: bytes) -> str:
    """A place for messages."""
    return unpack_name(place)
