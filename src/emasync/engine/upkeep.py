"""What keeps ledger and disk together around the moving: recovery before it, sweeping and making room beside it.

Whoever owns ledger and root does it (:class:`OwnUpkeep`); an engine that works for another process asks that one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from emasync.disk.interface import Sink
from emasync.engine import recovery
from emasync.engine.interface import Threads
from emasync.ledger.interface import LedgerCalls
from emasync.model.events import Event, OnEvent


class Upkeep(Protocol):
    """What an engine asks beside moving."""

    async def recover(self) -> int | None:
        """Bring disk and ledger together after a stop; once, before anything moves.

        Returns
        -------
        int or None
            After an unclean stop: facts newer than this epoch are checked before they are trusted.
        """
        ...

    async def sweep(self) -> None:
        """Look at every file that was placed by earlier runs: what is gone becomes pending."""
        ...

    async def clear(self) -> None:
        """Remove files of ours that no object stands for any more."""
        ...

    async def make_room(self, destination: str) -> bool:
        """Remove a file of ours that the present plan does not name; False when what lies there is not ours."""
        ...


class OwnUpkeep:
    """Upkeep by the process that owns ledger and root.

    Parameters
    ----------
    ledger, sink, threads : the run's resources
    on_event : callable
    datasets : collection of str or None
        The datasets this run is about; None for all.
    """

    def __init__(
        self,
        *,
        ledger: LedgerCalls,
        sink: Sink,
        threads: Threads,
        on_event: OnEvent,
        datasets: Collection[str] | None,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._threads = threads
        self._on_event = on_event
        self._datasets = datasets
        self._before: tuple[str, ...] = ()

    async def recover(self) -> int | None:
        """See :class:`Upkeep`; failed objects of these datasets become pending too."""
        suspect = await recovery.suspect_after(self._ledger)
        found = await recovery.recover(self._ledger, self._sink, self._threads, suspect)
        if found.dropped:
            message = f"{found.dropped} objects were not safely on disk when the last run stopped; fetching them again"
            self._on_event(Event("warning", {"message": message}))
        known = [tally.dataset for tally in await self._ledger.call("tallies")]
        self._before = tuple(name for name in known if self._datasets is None or name in self._datasets)
        for dataset in self._before:
            await self._ledger.call("retry_failed", dataset)
        return suspect

    async def sweep(self) -> None:
        """See :class:`Upkeep`: the datasets that were known when this run began."""
        for dataset in self._before:
            await recovery.sweep(self._ledger, self._sink, self._threads, dataset)

    async def clear(self) -> None:
        """See :class:`Upkeep`."""
        await recovery.clear_leftovers(self._ledger, self._sink, self._threads)

    async def make_room(self, destination: str) -> bool:
        """See :class:`Upkeep`."""
        return await recovery.make_room(self._ledger, self._sink, self._threads, destination)
