"""The engine of this process."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from emasync.assembly import Resources
from emasync.disk.writers import WriterStatistics
from emasync.engine.activities import Activity
from emasync.engine.endings import EngineOutcome
from emasync.engine.engine import Engine, Planner
from emasync.errors import EmasyncError
from emasync.model.events import OnEvent
from emasync.settings import Settings
from emasync.transport.interface import OriginStatistics


class LocalExecutor:
    """One engine, here; an :class:`~emasync.executors.interface.Executor`.

    Parameters
    ----------
    resources : Resources
    settings : Settings
    on_event : callable
    datasets : collection of str
        What this run is about.
    adopt, objects : bool
        As :class:`~emasync.engine.engine.Engine`.
    """

    def __init__(
        self,
        resources: Resources,
        settings: Settings,
        on_event: OnEvent,
        *,
        datasets: Collection[str],
        adopt: bool = False,
        objects: bool = False,
    ) -> None:
        self._fetcher = resources.fetcher
        self._threads = resources.threads
        self._engine = Engine(
            fetcher=resources.fetcher,
            sink=resources.sink,
            ledger=resources.ledger,
            threads=resources.threads,
            place=resources.place,
            settings=settings,
            on_event=on_event,
            datasets=datasets,
            adopt=adopt,
            objects=objects,
            known=resources.known,
        )
        self.outcome = self._engine.outcome

    def __repr__(self) -> str:
        return f"<LocalExecutor {self._engine!r}>"

    def stop(self, reason: EmasyncError | None = None) -> None:
        """See :class:`~emasync.executors.interface.Executor`."""
        self._engine.stop(reason)

    async def run(self, planner: Planner | None = None) -> EngineOutcome:
        """See :class:`~emasync.executors.interface.Executor`."""
        return await self._engine.run(planner)

    def activities(self) -> tuple[Activity, ...]:
        """See :class:`~emasync.executors.interface.Executor`."""
        return self._engine.activities

    def disk(self) -> WriterStatistics:
        """See :class:`~emasync.executors.interface.Executor`."""
        return self._threads.statistics()

    def statistics(self) -> Mapping[str, OriginStatistics]:
        """See :class:`~emasync.executors.interface.Executor`."""
        return self._fetcher.statistics()
