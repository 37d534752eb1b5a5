"""Digests that take bytes in their order, run behind what has landed without a gap while the rest is on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from emasync.engine.digests import READ_BYTES, hash_state
from emasync.ledger.interface import Part

Read = Callable[[int, int], bytes]
"""``read(offset, size_bytes)``."""


class PrefixHashes:
    """Hash functions over the first bytes of one object (mutable; belongs to one object in flight).

    Parameters
    ----------
    kinds : iterable of str
    size_bytes : int
        Of the object.

    Attributes
    ----------
    kinds : frozenset of str
    reached : int
        So many bytes went through.
    busy : bool
        Whoever is about to run them says so: one at a time.
    """

    def __init__(self, kinds: Iterable[str], size_bytes: int) -> None:
        self._states = {kind: hash_state(kind, size_bytes) for kind in kinds}
        self._size_bytes = size_bytes
        self._landed = 0
        self.kinds = frozenset(self._states)
        self.reached = 0
        self.busy = False

    def __repr__(self) -> str:
        return f"<PrefixHashes {', '.join(sorted(self.kinds))}: {self.reached} of {self._size_bytes} bytes>"

    def landed(self, done: Mapping[int, Part]) -> int:
        """Where the bytes end that have landed without a gap, from parts by their start."""
        while (part := done.get(self._landed)) is not None and part.stop > part.start:
            self._landed = part.stop
        return self._landed

    def run(self, read: Read, stop: int) -> None:
        """In a thread: take the bytes up to `stop`, or to the end of what can be read."""
        while self.reached < stop and (piece := read(self.reached, min(READ_BYTES, stop - self.reached))):
            for state in self._states.values():
                state.update(piece)
            self.reached += len(piece)

    def hexdigests(self, read: Read) -> dict[str, str]:
        """In a thread: the digests by kind; what has not gone through is read now."""
        self.run(read, self._size_bytes)
        return {kind: state.hexdigest() for kind, state in self._states.items()}
