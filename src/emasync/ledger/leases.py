"""What is being worked on: in the owner's memory only, so that a crash leaves no lease behind."""

from __future__ import annotations

from emasync.ledger.sidenotes import StoredKey


class Leases:
    """Leased keys by set, and from where on to look for more.

    A key stays leased until it is placed, absent, failed or released: an object that its worker invalidates and
    fetches again is not given to a second one.
    """

    __slots__ = ("_start", "_taken")

    def __init__(self) -> None:
        self._taken: dict[int, set[StoredKey]] = {}
        self._start: dict[int, StoredKey] = {}

    def __repr__(self) -> str:
        return f"<Leases { ({set_id: len(keys) for set_id, keys in self._taken.items() if keys}) }>"

    def start(self, set_id: int) -> StoredKey | None:
        """First key that may be pending and free; None for the very first."""
        return self._start.get(set_id)

    def taken(self, set_id: int) -> set[StoredKey]:
        """Leased keys of a set, to be looked at only."""
        return self._taken.get(set_id, _NOTHING)

    def take(self, set_id: int, key: StoredKey) -> None:
        """Lease a key; everything before it was leased or is not pending."""
        self._taken.setdefault(set_id, set()).add(key)

    def move(self, set_id: int, start: StoredKey) -> None:
        """Look from here on next time."""
        self._start[set_id] = start

    def settle(self, set_id: int, key: StoredKey) -> None:
        """The key is done with."""
        if taken := self._taken.get(set_id):
            taken.discard(key)

    def release(self, set_id: int, key: StoredKey) -> None:
        """The key may be leased again."""
        self.settle(set_id, key)
        self.rewind(set_id, key)

    def rewind(self, set_id: int, key: StoredKey) -> None:
        """Something at `key` is pending (again): look there too."""
        start = self._start.get(set_id)
        if start is not None:
            self._start[set_id] = min(key, start)  # keys of one set are of one kind

    def restart(self, set_id: int) -> None:
        """Look from the beginning next time."""
        self._start.pop(set_id, None)


_NOTHING: set[StoredKey] = set()
