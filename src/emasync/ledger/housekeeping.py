"""What recovery and prune ask of a ledger beyond :class:`~emasync.ledger.interface.Ledger`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from emasync.ledger.interface import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A file of ours under a final name that no object stands for any more; whoever meets it may remove it.

    Attributes
    ----------
    destination : str
        Relative to the root.
    size_bytes, crc32c : int or None
        What was written there.
    """

    destination: str
    size_bytes: int | None
    crc32c: int | None


class Housekeeping(Protocol):
    """What recovery and prune ask beyond :class:`Ledger`."""

    def unfinished(self) -> frozenset[str]:
        """Names of the partials that hold finished parts; any other, once nothing is sealed, is nobody's."""
        ...

    def leftovers(self, limit: int, after: str = "") -> list[Leftover]:
        """Files that were placed and then invalidated, replaced in the plan or lost a clash, by name behind `after`.

        They may lie in the way of a newer file, and may be gone already.
        """
        ...

    def removable(self, destination: str) -> Leftover | None:
        """The file of ours under a final name that may make room there: a leftover, or one no plan names any more.

        Ask when a rename finds something in its place; None means that the file is not ours, or is wanted.
        """
        ...

    def forget_leftovers(self, destinations: Sequence[str]) -> None:
        """These files (leftovers, or what :meth:`removable` gave) are gone."""
        ...

    def last_epoch(self) -> int:
        """The newest epoch that any fact or part speaks of; a run counts on from here."""
        ...

    def unwanted(self, dataset: str | None = None) -> Iterator[Row]:
        """Walk objects on disk that the present plan no longer names, in (set, key) order in pages."""
        ...

    def retire(self, rows: Sequence[Row]) -> None:
        """These unwanted objects are about to go: their rows do now, their files are leftovers until they are gone."""
        ...

    def forget_dataset(self, dataset: str) -> bool:
        """Forget a dataset of which nothing is on disk any more; False where something still is."""
        ...
