"""What everything that moves one object needs, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from emasync.disk.interface import Sink
from emasync.engine.activities import Activities
from emasync.engine.committer import Committer
from emasync.engine.hedging import HedgeBudget
from emasync.engine.interface import Threads
from emasync.engine.memory import Buffers, Slabs
from emasync.ledger.interface import LedgerCalls
from emasync.model.clock import Clock
from emasync.model.digest import Span
from emasync.model.task import Task, TaskKey
from emasync.settings import HostPolicy, Settings
from emasync.transport.interface import Fetcher


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveContext:
    """Surroundings of a transfer.

    Attributes
    ----------
    clock : Clock
    suspect_after_epoch : int or None
        After an unclean stop: facts newer than this epoch are checked before they are trusted.
    on_received : callable
        Told the number of body bytes as they arrive.
    activities : Activities
        Told of long work that shows in no count.
    seen_part_bytes : dict of int to int
        Part size of the last upload of each task set whose cut was found out.
    wanted : mapping of (set id, key) to (sequence of Span)
        Large objects of which so much is to be fetched and no more: they stay unfinished. All others are fetched whole.
    """

    fetcher: Fetcher
    sink: Sink
    ledger: LedgerCalls
    threads: Threads
    buffers: Buffers
    slabs: Slabs
    committer: Committer
    settings: Settings
    on_received: Callable[[int], None]
    clock: Clock
    suspect_after_epoch: int | None = None
    activities: Activities = field(default_factory=Activities)
    seen_part_bytes: dict[int, int] = field(default_factory=dict)
    wanted: Mapping[tuple[int, TaskKey], Sequence[Span]] = field(default_factory=dict)
    _hedges: dict[str, HedgeBudget] = field(default_factory=dict)
    _policies: dict[int, HostPolicy] = field(default_factory=dict)

    def policy(self, task: Task) -> HostPolicy:
        """Policy of the origin of `task`; the tasks of a set share it, so it is looked up once a set."""
        found = self._policies.get(task.set_id)
        if found is None:
            found = self._policies[task.set_id] = self.settings.policy(task.location)
        return found

    def hedges(self, task: Task) -> HedgeBudget:
        """What may be raced at the origin of `task`."""
        origin = task.location.origin
        if origin not in self._hedges:
            self._hedges[origin] = HedgeBudget(self.policy(task).hedge_share)
        return self._hedges[origin]

    def all_hedges(self) -> tuple[HedgeBudget, ...]:
        """Of all origins met."""
        return tuple(self._hedges.values())
