"""What is being worked on: in the owner's memory only, so that a crash leaves no lease behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from heapq import heappop, heappush
from itertools import groupby
from operator import itemgetter
from typing import Final

from emasync.ledger.entries import Entry
from emasync.ledger.sidenotes import StoredKey
from emasync.model.task import Task

MAX_RETURNED: Final = 4_096
"""Keys of one set that are remembered as pending again; beyond, leasing goes back to the first of them."""


class Mark(Enum):
    """Why a leased object is not as it was leased."""

    CHANGED = "changed"
    JOURNALLED = "journalled"
    """Sealed in a batch that its row does not know of yet."""


Leased = Task | Mark
"""What is known of a leased object: its row as it was leased, while that holds."""


class Leases:
    """Leased keys by set, and from where on to look for more.

    A key stays leased until it is placed, absent, failed or released: an object that its worker invalidates and
    fetches again is not given to a second one.
    """

    __slots__ = ("_returned", "_start", "_taken")

    def __init__(self) -> None:
        self._taken: dict[int, dict[StoredKey, Leased]] = {}
        self._start: dict[int, StoredKey] = {}
        self._returned: dict[int, list[bytes]] = {}

    def __repr__(self) -> str:
        return f"<Leases { ({set_id: len(keys) for set_id, keys in self._taken.items() if keys}) }>"

    def start(self, set_id: int) -> StoredKey | None:
        """First key that may be pending and free, but for those of :meth:`pop_returned`; None for the very first."""
        return self._start.get(set_id)

    def taken(self, set_id: int) -> Mapping[StoredKey, Leased]:
        """Leased keys of a set, to be looked at only."""
        return self._taken.setdefault(set_id, {})

    def take(self, set_id: int, tasks: Iterable[tuple[StoredKey, Task]]) -> None:
        """Lease keys; everything before them was leased or is not pending."""
        self._taken.setdefault(set_id, {}).update(tasks)

    def move(self, set_id: int, start: StoredKey) -> None:
        """Look from here on next time."""
        self._start[set_id] = start

    def settle(self, set_id: int, key: StoredKey) -> None:
        """The key is done with."""
        if taken := self._taken.get(set_id):
            taken.pop(key, None)

    def doubt(self, set_id: int, key: StoredKey) -> None:
        """Something happened to the object: it is not as it was leased."""
        if (taken := self._taken.get(set_id)) and key in taken:
            taken[key] = Mark.CHANGED

    def doubt_all(self) -> None:
        """Anything may have happened to any object."""
        for taken in self._taken.values():
            taken.update(dict.fromkeys(taken, Mark.CHANGED))

    def journal(self, entries: Iterable[Entry]) -> None:
        """Leased objects were sealed in a batch."""
        for set_id, keys in _by_set(entries):
            self._taken[set_id].update(dict.fromkeys(keys, Mark.JOURNALLED))

    def unjournal(self, entries: Iterable[Entry], *, placed: bool) -> None:
        """The rows of a batch's objects are up to date; placed objects are done with."""
        for set_id, keys in _by_set(entries):
            taken = self._taken.setdefault(set_id, {})
            for key in keys:
                if taken.pop(key, None) is not None and not placed:
                    taken[key] = Mark.CHANGED

    def journalled(self, set_id: int, key: StoredKey) -> bool:
        """Whether the object was sealed in a batch that its row does not know of yet."""
        return self._taken.get(set_id, _NOTHING).get(key) is Mark.JOURNALLED

    def release(self, set_id: int, key: StoredKey) -> None:
        """The key may be leased again; the journal does not hold its object."""
        self.settle(set_id, key)
        self.bring_back(set_id, key)

    def bring_back(self, set_id: int, key: StoredKey) -> None:
        """The object at `key` is pending (again): look there too."""
        start = self._start.get(set_id)
        if start is None or key >= start:  # type: ignore[operator]  # keys of one set are of one kind
            return
        if isinstance(key, int):
            self._start[set_id] = key
            return
        returned = self._returned.setdefault(set_id, [])
        heappush(returned, key)
        if len(returned) > MAX_RETURNED:
            self._start[set_id] = returned[0]
            returned.clear()

    def pop_returned(self, set_id: int) -> bytes | None:
        """The first key that was brought back and not looked at since."""
        returned = self._returned.get(set_id)
        return heappop(returned) if returned else None

    def rewind(self, set_id: int, key: StoredKey) -> None:
        """Many objects from `key` on are pending: go back there."""
        start = self._start.get(set_id)
        if start is not None and key < start:  # type: ignore[operator]  # keys of one set are of one kind
            self._start[set_id] = key
            self._returned[set_id] = sorted(other for other in self._returned.get(set_id, ()) if other < key)  # type: ignore[operator]  # as above

    def restart(self, set_id: int) -> None:
        """Look from the beginning next time."""
        self._start.pop(set_id, None)
        self._returned.pop(set_id, None)


def _by_set(entries: Iterable[Entry]) -> Iterator[tuple[int, list[StoredKey]]]:
    """Keys of neighbouring entries of one set."""
    for set_id, group in groupby(entries, key=itemgetter(0)):
        yield set_id, [entry[1] for entry in group]


_NOTHING: Mapping[StoredKey, Leased] = {}
