"""What a run asks of an executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from emasync.disk.writers import WriterStatistics
from emasync.engine.activities import Activity
from emasync.engine.endings import EngineOutcome
from emasync.engine.engine import Planner
from emasync.errors import EmasyncError
from emasync.transport.interface import OriginStatistics


class Executor(Protocol):
    """Moves what the ledger holds, with one engine or several.

    Attributes
    ----------
    outcome : EngineOutcome
        Of all engines together; grows while they run.
    """

    outcome: EngineOutcome

    def stop(self, reason: EmasyncError | None = None) -> None:
        """Stop soon: commit what is whole, park ranges, leave. Safe to call more than once, on the loop."""
        ...

    async def run(self, planner: Planner | None = None) -> EngineOutcome:
        """Recover, then move everything that is pending and everything `planner` adds meanwhile."""
        ...

    def activities(self) -> tuple[Activity, ...]:
        """Long work of this process that shows in no count."""
        ...

    def disk(self) -> WriterStatistics:
        """Jobs of the disks, all processes together."""
        ...

    def statistics(self) -> Mapping[str, OriginStatistics]:
        """State of each origin, all processes together."""
        ...
