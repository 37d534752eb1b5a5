"""What everything that moves one object needs, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emasync.disk.interface import Sink
from emasync.engine.committer import Committer
from emasync.engine.interface import LedgerCalls, Threads
from emasync.engine.memory import MemoryBudget, Slabs
from emasync.model.events import OnEvent
from emasync.settings import Settings
from emasync.transport.interface import Fetcher


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveContext:
    """Surroundings of a transfer.

    Attributes
    ----------
    suspect_after_epoch : int or None
        After an unclean stop: facts newer than this epoch are checked before they are trusted.
    on_received : callable
        Told the number of body bytes as they arrive.
    """

    fetcher: Fetcher
    sink: Sink
    ledger: LedgerCalls
    threads: Threads
    memory: MemoryBudget
    slabs: Slabs
    committer: Committer
    settings: Settings
    on_event: OnEvent
    on_received: Callable[[int], None]
    suspect_after_epoch: int | None = None
