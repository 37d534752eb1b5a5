"""Claims that need no row of their own: an object called by its key lies in its set's folder under that key.

Nearly all objects of listed sets are such. Who claims a place is found by asking the sets whose folder leads to it.
An object that lost its place to another keeps its row, failed as a name clash, and claims nothing.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from emasync.errors import ErrorKind
from emasync.ledger.listed import key_bounds
from emasync.ledger.pages import claims_of_pages

_CLAIMS: Final = f"path IS NULL AND (state <> 4 OR failure <> '{ErrorKind.NAME_CLASH}')"
"""Rows that claim the place their key stands for."""

_BEHIND_ALL: Final = b"\xff"
"""Greater than any key: no UTF-8 begins like this."""

Bounds = tuple[bytes, bytes]
"""First and last key."""


def folders_of(place: bytes, longest_bytes: int) -> Iterator[bytes]:
    """Every folder, with its slash, that may lead to `place`; the root, empty, first.

    None above `longest_bytes`: keys of strangers may be thousands of folders deep.
    """
    yield b""
    cut = place.find(b"/")
    while 0 <= cut < longest_bytes:
        yield place[: cut + 1]
        cut = place.find(b"/", cut + 1)


class Rooms:
    """Folders of the listed sets, and what their rows claim in them.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._of_folder: dict[bytes, list[int]] = {}
        self._folders: list[bytes] = []
        self._longest_bytes = 0
        self._bounds: dict[int, Bounds | None] = {}

    def forget(self) -> None:
        """Drop what is remembered of the sets: one was added, or a transaction failed."""
        self._of_folder.clear()
        self._folders.clear()
        self._bounds.clear()

    def grow(self, set_id: int, first: bytes, last: bytes) -> None:
        """Keys from `first` to `last` were added to a set."""
        if (known := self._bounds.get(set_id)) is not None:
            self._bounds[set_id] = (min(known[0], first), max(known[1], last))
        else:
            self._bounds.pop(set_id, None)

    def owner(self, place: bytes) -> tuple[int, bytes] | None:
        """Set and key of the object that lies at `place` by its key."""
        self._load()
        for folder in folders_of(place, self._longest_bytes):
            key = place[len(folder) :]
            for set_id in self._of_folder.get(folder, ()):
                bounds = self._bounds_of(set_id)
                if bounds is not None and bounds[0] <= key <= bounds[1] and self._claims(set_id, key):
                    return set_id, key
        return None

    def _claims(self, set_id: int, key: bytes) -> bool:
        found = self._connection.execute(
            f"SELECT 1 FROM objects WHERE set_id = ? AND key = ? AND {_CLAIMS}",  # noqa: S608  # own text
            (set_id, key),
        )
        return found.fetchone() is not None or claims_of_pages(self._connection, set_id, key, key + b"\0", 1) == [key]

    def between(self, start: bytes, stop: bytes, limit: int) -> list[tuple[bytes, int, bytes]]:
        """Up to `limit` claims in ``[start, stop)``: place, set and key."""
        found: list[tuple[bytes, int, bytes]] = []
        for folder, set_id in self._rooms_between(start, stop):
            low = start[len(folder) :] if start.startswith(folder) else b""
            high = stop[len(folder) :] if stop.startswith(folder) else _BEHIND_ALL
            bounds = self._bounds_of(set_id)
            if bounds is None or bounds[1] < low or bounds[0] >= high:
                continue
            left = limit - len(found)
            rows = self._connection.execute(
                f"SELECT key FROM objects WHERE set_id = ? AND key >= ? AND key < ? AND {_CLAIMS} LIMIT ?",  # noqa: S608  # own text
                (set_id, low, high, left),
            ).fetchall()
            keys = [*(key for (key,) in rows), *claims_of_pages(self._connection, set_id, low, high, left)]
            found += [(folder + key, set_id, key) for key in sorted(keys)[:left]]
            if len(found) >= limit:
                break
        return found

    def _rooms_between(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, int]]:
        """Rooms that reach into ``[start, stop)``: around one of its ends, or inside."""
        self._load()
        inside = self._folders[bisect_left(self._folders, start) : bisect_left(self._folders, stop)]
        for folder in dict.fromkeys(
            (*folders_of(start, self._longest_bytes), *folders_of(stop, self._longest_bytes), *inside)
        ):
            for set_id in self._of_folder.get(folder, ()):
                yield folder, set_id

    def _bounds_of(self, set_id: int) -> Bounds | None:
        if set_id not in self._bounds:
            self._bounds[set_id] = key_bounds(self._connection, set_id)
        return self._bounds[set_id]

    def _load(self) -> None:
        if self._of_folder:
            return
        for set_id, name in self._connection.execute("SELECT id, destination FROM sets WHERE grid IS NULL"):
            self._of_folder.setdefault(name + b"/" if name else b"", []).append(set_id)
        self._folders = sorted(self._of_folder)
        self._longest_bytes = max(map(len, self._folders), default=0)
