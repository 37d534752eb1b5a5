"""What to move next: leases runs of tasks from the ledger and deals them out, an origin at a time.

Nothing here grows with the work: a few hundred leased tasks an origin, and the large objects that are open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from emasync.engine.hedging import Flight
from emasync.engine.large import LargeObject
from emasync.ledger.interface import LedgerCalls, OpenSet
from emasync.model.digest import Span
from emasync.model.location import Location
from emasync.model.task import Task

LEASE = 1024
"""Tasks a lease: 2 ms of ledger time for a tenth of a second of work at least."""

SLICES = 4096
"""Slices a lease: requests are merged among those that are queued, and 512 of them may be one region."""

LOW_WATER = 512
"""An origin with fewer queued tasks gets more."""


@dataclass(frozen=True, slots=True)
class PartJob:
    """A span of an open large object; `slow` is who fetches it already, and is raced."""

    owner: LargeObject
    span: Span
    slow: Flight | None = None


Job = Task | PartJob


@dataclass(slots=True)
class OriginQueue:
    """Work for one origin.

    Attributes
    ----------
    place : Location
        Anything at the origin.
    tasks : deque of Task
        Leased and not begun.
    open : list of LargeObject
        Begun; their spans go before new tasks, so that files get finished.
    in_flight : int
        Jobs that workers hold.
    dead : str or None
        Why this origin was given up for this run.
    dry : bool
        Whether the ledger had nothing more for it when it was last asked.
    """

    origin: str
    place: Location
    tasks: deque[Task] = field(default_factory=deque)
    open: list[LargeObject] = field(default_factory=list)
    in_flight: int = 0
    dead: str | None = None
    dry: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> Job | None:
        """Next job, if any."""
        for owner in self.open:
            if (span := owner.take()) is not None:
                self.in_flight += 1
                return PartJob(owner, span)
        if self.tasks:
            self.in_flight += 1
            return self.tasks.popleft()
        for owner in self.open:
            if (found := owner.race()) is not None:
                self.in_flight += 1
                return PartJob(owner, found[1], slow=found[0])
        return None

    @property
    def hungry(self) -> bool:
        """Whether more tasks may be queued here."""
        return self.dead is None and len(self.tasks) < LOW_WATER

    @property
    def quiet(self) -> bool:
        """Whether nothing is queued, open or in flight."""
        return not (self.tasks or self.open or self.in_flight)


class Scheduler:
    """Queues of all origins, filled from the ledger in rank order.

    Parameters
    ----------
    ledger : LedgerCalls
    datasets : collection of str, optional
        Lease nothing of other datasets.
    """

    def __init__(self, ledger: LedgerCalls, datasets: Collection[str] | None = None) -> None:
        self._ledger = ledger
        self._queues: dict[str, OriginQueue] = {}
        self._origins: dict[int, str] = {}
        self._news = True
        self._datasets = None if datasets is None else frozenset(datasets)

    def __repr__(self) -> str:
        rows = ", ".join(f"{q.origin}: {len(q.tasks)} queued, {q.in_flight} in flight" for q in self.queues())
        return f"<Scheduler {rows or 'empty'}>"

    def queues(self) -> list[OriginQueue]:
        """All origins met so far."""
        return list(self._queues.values())

    @property
    def quiet(self) -> bool:
        """Whether no origin has anything queued or in flight."""
        return all(queue.quiet for queue in self._queues.values())

    def _queue_of(self, opened: OpenSet) -> OriginQueue:
        origin = self._origins.get(opened.set_id)
        if origin is None:
            place = Location.parse(opened.spec.base)
            origin = self._origins[opened.set_id] = place.origin
            if origin not in self._queues:
                self._queues[origin] = OriginQueue(origin, place)
        return self._queues[origin]

    def tell_news(self) -> None:
        """Something became pending: the ledger is worth asking again, for every origin."""
        self._news = True

    def wants_more(self) -> bool:
        """Whether a lease may be worth the trip to the ledger: not for each object of an origin that has no more."""
        return self._news or self.quiet or any(q.hungry and not q.dry for q in self._queues.values())

    async def refill(self) -> list[Task]:
        """Lease for every origin that runs low; gives the new tasks, which are not queued yet."""
        self._news = False
        leased: list[Task] = []
        room: dict[str, int] = {}
        for opened in await self._ledger.call("open_sets"):
            if self._datasets is not None and opened.spec.dataset not in self._datasets:
                continue
            queue = self._queue_of(opened)
            left = room.setdefault(queue.origin, LEASE if queue.hungry else 0)
            if left <= 0:
                continue
            wanted = left if opened.spec.slices is None else SLICES
            tasks: list[Task] = await self._ledger.call("lease", opened.set_id, wanted)
            room[queue.origin] = max(0, left - len(tasks))
            leased += tasks
        for queue in self._queues.values():
            queue.dry = queue.hungry and room.get(queue.origin, LEASE) > 0
        return leased

    def add(self, tasks: list[Task]) -> None:
        """Queue leased tasks with their origins and wake the workers."""
        for task in tasks:
            queue = self._queues[self._origins[task.set_id]]
            queue.tasks.append(task)
            queue.wake.set()

    def queue_for(self, task: Task) -> OriginQueue:
        """The queue a leased task belongs to."""
        return self._queues[self._origins[task.set_id]]

    def give_up(self, queue: OriginQueue, reason: str) -> list[Task]:
        """Mark an origin as dead for this run; gives its queued tasks, to be released."""
        queue.dead = queue.dead or reason
        tasks = list(queue.tasks)
        queue.tasks.clear()
        return tasks
