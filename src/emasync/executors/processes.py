"""Engines in processes of their own, leased to by this one (law 12)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import cast

from emasync.assembly import Resources
from emasync.disk.writers import WriterStatistics
from emasync.engine.activities import Activities, Activity
from emasync.engine.endings import EngineOutcome
from emasync.engine.engine import Planner
from emasync.engine.upkeep import OwnUpkeep
from emasync.errors import EmasyncError, ErrorKind, InterruptedRunError, MachineError
from emasync.executors import messages as wire
from emasync.executors.aftermath import RootSync, settle
from emasync.executors.child import Child, LoopName
from emasync.executors.employment import Employment, Notice
from emasync.executors.epochs import EpochBook
from emasync.executors.hosts import OWNER, Hosts, Word
from emasync.executors.leases import LeaseBook
from emasync.executors.owner import Books, Desk
from emasync.executors.restarts import RESTARTS, WINDOW_S, RestartBudget
from emasync.executors.rows import CountsRow
from emasync.executors.tenancy import Note, Tenancy
from emasync.executors.values import error_of, kind_of
from emasync.model.events import Event, EventName, OnEvent
from emasync.model.receipt import Failure
from emasync.settings import Settings
from emasync.transport.interface import OriginStatistics

_log = logging.getLogger("emasync.executors")

TICK_S = 0.25
"""How often the owner's own limits are looked at; requests are answered as they come."""

GRACE_S = 1.8
"""Time for a worker to commit and leave when asked to (law 16); what is not committed by then is fetched again."""

LEAVE_S = 2.0
"""Time for a worker that said its last word to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """How many workers, and what each is told.

    Attributes
    ----------
    workers : int
    datasets : collection of str
        What this run is about.
    adopt, objects : bool
        As :class:`~emasync.engine.engine.Engine`.
    loop : {"auto", "asyncio"}
        Event loop of the workers.
    restarts : int
        Most restarts of one worker within a minute.
    """

    workers: int
    datasets: Collection[str]
    adopt: bool = False
    objects: bool = False
    loop: LoopName = "auto"
    restarts: int = RESTARTS


class ProcessExecutor:
    """Several engines; an :class:`~emasync.executors.interface.Executor`.

    Parameters
    ----------
    resources : Resources
        Of this process, which owns root and ledger.
    settings : Settings
    on_event : callable
    crew : Crew
    """

    def __init__(self, resources: Resources, settings: Settings, on_event: OnEvent, crew: Crew) -> None:
        self.outcome = EngineOutcome()
        self._resources = resources
        self._settings = settings
        self._on_event = on_event
        self._crew = crew
        self._upkeep = OwnUpkeep(
            ledger=resources.ledger,
            sink=resources.sink,
            threads=resources.threads,
            on_event=on_event,
            datasets=crew.datasets,
        )
        self._hosts = Hosts(settings, resources.clock, self._send_word)
        self._tenancy = Tenancy(self._note_own, bandwidth_capped=settings.bandwidth_capped)
        self._tenancy.govern(resources.fetcher.share_limits(self._tenancy))
        self._activities = Activities()
        self._numbers = count(OWNER + 1)
        self._employed: dict[int, Employment] = {}
        self._counts: dict[int, CountsRow] = {}
        self._disks: dict[int, WriterStatistics] = {}
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop: EmasyncError | None = None
        self._complete = False
        self._lost: set[str] = set()

    def __repr__(self) -> str:
        return f"<ProcessExecutor {list(self._employed.values())}>"

    # --- from outside ------------------------------------------------------------------------------------------

    def stop(self, reason: EmasyncError | None = None) -> None:
        """See :class:`~emasync.executors.interface.Executor`."""
        self._stop = self._stop or reason or InterruptedRunError("interrupted; run again to resume")
        if not self._stopped.done():
            self._stopped.set_result(None)

    def activities(self) -> tuple[Activity, ...]:
        """See :class:`~emasync.executors.interface.Executor`."""
        return self._activities.going_on()

    def disk(self) -> WriterStatistics:
        """See :class:`~emasync.executors.interface.Executor`."""
        return WriterStatistics.together((self._resources.threads.statistics(), *self._disks.values()))

    def statistics(self) -> Mapping[str, OriginStatistics]:
        """See :class:`~emasync.executors.interface.Executor`."""
        self._hosts.report(OWNER, self._tenancy.rows())
        return self._hosts.statistics()

    async def run(self, planner: Planner | None = None) -> EngineOutcome:
        """See :class:`~emasync.executors.interface.Executor`."""
        try:
            await self._run(planner)
        except* MachineError as group:
            self.outcome.stopped = _first(group)
        if self._stop is not None and not isinstance(self.outcome.stopped, MachineError):
            self.outcome.stopped = self._stop
        return self.outcome

    # --- the run -----------------------------------------------------------------------------------------------

    async def _run(self, planner: Planner | None) -> None:
        with self._activities.on("checking", "what the last run left"):
            suspect = await self._upkeep.recover()
        books = Books(
            ledger=self._resources.ledger,
            upkeep=self._upkeep,
            leases=LeaseBook(self._crew.workers),
            epochs=EpochBook(await self._resources.ledger.call("last_epoch")),
            datasets=self._crew.datasets,
        )
        root = await self._resources.threads.submit(RootSync, *self._resources.folders)
        try:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat())
                planning = group.create_task(self._prepare(planner))
                self._stopped.add_done_callback(lambda _: planning.cancel())
                async with asyncio.TaskGroup() as crew:
                    for _ in range(self._crew.workers):
                        crew.create_task(self._keep(books, suspect, root))
                beating.cancel()
        finally:
            root.close()

    async def _prepare(self, planner: Planner | None) -> None:
        """Plan and sweep; then nothing more will come."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._plan(planner))
            group.create_task(self._sweep())
        self._complete = True
        self._tell_all(wire.Complete())

    async def _plan(self, planner: Planner | None) -> None:
        if planner is not None:
            await planner(self._tell_news)
        self._tell_news()

    async def _sweep(self) -> None:
        with self._activities.on("checking", "files of earlier runs"):
            await self._upkeep.sweep()
        self._tell_news()

    async def _beat(self) -> None:
        while True:
            await self._resources.clock.sleep(TICK_S)
            self._tenancy.tick()
            self._hosts.report(OWNER, self._tenancy.rows())

    # --- workers -----------------------------------------------------------------------------------------------

    async def _keep(self, books: Books, suspect: int | None, root: RootSync) -> None:
        """See to it that one worker is at work until it has finished, or the run stops."""
        budget = RestartBudget(self._crew.restarts, WINDOW_S)
        while not self._stopped.done():
            employment = await self._employ(books, suspect)
            if employment.finished is not None:
                self._part(employment.finished)
                return
            if self._stopped.done():
                return
            fate = employment.child.fate if employment.wrong is None else f"{employment.child.fate}: {employment.wrong}"
            self._on_event(Event("warning", {"message": f"{fate}; what it held goes to others"}))
            await settle(employment.worker, books, self._resources.sink, self._resources.threads, root)
            self._tell_news()
            if not budget.take(self._resources.clock.monotonic_s()):
                raise MachineError(
                    f"{fate}, after {self._crew.restarts} restarts within {WINDOW_S:.0f} s. If the machine is short of "
                    "memory use fewer workers or a smaller max_memory; run again to resume",
                    kind=ErrorKind.DISK,
                )

    async def _employ(self, books: Books, suspect: int | None) -> Employment:
        """One life of a worker, from its start until its process is gone."""
        child = await Child.spawn(self._resources.lock.fileno(), self._crew.loop)
        desk = Desk(next(self._numbers), books)
        employment = Employment(
            child, desk, self._hello(suspect), self._notice, lambda: self._resources.fetcher.granted
        )
        if self._complete:
            employment.send(wire.Complete())
        self._employed[employment.worker] = employment
        serving = asyncio.create_task(employment.run())
        try:
            ends: set[asyncio.Future[None]] = {serving, self._stopped}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._see_off(employment, serving)
        return employment

    async def _see_off(self, employment: Employment, serving: asyncio.Task[None]) -> None:
        """The worker leaves: by itself, because it was asked to, or killed. Also while this task is cancelled."""
        if not serving.done():
            employment.stop(self._stop or InterruptedRunError("interrupted; run again to resume"))
            await asyncio.wait({serving}, timeout=GRACE_S)
        by_itself = serving.done() and employment.wrong is None
        await employment.child.end(LEAVE_S if by_itself else 0.0)
        del self._employed[employment.worker]
        if (disk := self._disks.get(employment.worker)) is not None:
            self._disks[employment.worker] = disk.at_rest
        self._hosts.leave(employment.worker)
        await serving

    def _hello(self, suspect: int | None) -> wire.Hello:
        workers = self._crew.workers
        settings = replace(
            self._settings,
            workers=1,
            commit_objects=max(1, self._settings.commit_objects // workers),  # what a crash of all may cost
            commit_bytes=max(1, self._settings.commit_bytes // workers),
        )
        return wire.Hello(
            protocol=wire.PROTOCOL,
            version=wire.VERSION,
            root=os.fsencode(self._resources.root.absolute()),
            settings=settings,
            adopt=self._crew.adopt,
            objects=self._crew.objects,
            suspect_after_epoch=suspect,
            create_s=self._resources.filesystem.create_s,
            network_disk=self._resources.filesystem.network,
        )

    def _part(self, finished: wire.Finished) -> None:
        """What a worker says at the end."""
        for row in finished.unreachable:
            failure = Failure(location=row.location, kind=kind_of(row.kind), message=row.message, attempts=row.attempts)
            self.outcome.unreachable.setdefault(row.dataset, failure)
        if finished.stopped is not None:
            error = error_of(finished.stopped)
            if isinstance(error, MachineError) and not isinstance(self.outcome.stopped, MachineError):
                self.outcome.stopped = error
            self.stop(error)

    # --- what is said ------------------------------------------------------------------------------------------

    def _tell_all(self, message: wire.Message) -> None:
        for employment in self._employed.values():
            employment.send(message)

    def _tell_news(self) -> None:
        self._tell_all(wire.News())

    def _send_word(self, tenant: int, word: Word) -> None:
        if tenant == OWNER:
            self._tell_own(word)
        elif (employment := self._employed.get(tenant)) is not None:
            employment.send(word)

    def _tell_own(self, word: Word) -> None:
        match word:
            case wire.Share():
                self._tenancy.offer(word)
            case wire.Hold():
                self._tenancy.hold(word.origin, word.delay_s)
            case wire.GivenUp():
                self._tenancy.give_up(word.origin, word.reason)
            case wire.Alive():
                self._tenancy.alive(word.origin)

    def _note_own(self, note: Note) -> None:
        self._note(OWNER, note)

    def _note(self, tenant: int, note: Note) -> None:
        match note:
            case wire.Slots():
                self._hosts.hear(tenant, note)
            case wire.Held():
                self._hosts.held(tenant, note.origin, note.delay_s)
            case wire.GivenUp():
                self._hosts.gave_up(tenant, note.origin, note.reason)

    def _notice(self, worker: int, notice: Notice) -> None:
        match notice:
            case wire.Told():
                for name, fields in notice.events:
                    self._pass_on(Event(cast("EventName", name), fields))
            case wire.Report():
                self._count(worker, notice.counts)
                self._disks[worker] = notice.disk
                self._hosts.report(worker, notice.origins)
            case wire.Logged():
                logging.getLogger(notice.logger).log(notice.level, "worker %d: %s", worker, notice.text)
            case _:
                self._note(worker, notice)

    def _pass_on(self, event: Event) -> None:
        """Tell of an event; that a dataset lost its origin is told once, not by each worker."""
        if event.event == "failed" and event.fields.get("kind") == ErrorKind.UNREACHABLE:
            dataset = str(event.fields.get("dataset"))
            if dataset in self._lost:
                return
            self._lost.add(dataset)
        self._on_event(event)

    def _count(self, worker: int, counts: CountsRow) -> None:
        self._counts[worker] = counts
        rows = self._counts.values()
        self.outcome.placed = sum(row.placed for row in rows)
        self.outcome.placed_bytes = sum(row.placed_bytes for row in rows)
        self.outcome.failed = sum(row.failed for row in rows)
        self.outcome.bytes_received = sum(row.bytes_received for row in rows)
        self.outcome.races = sum(row.races for row in rows)
        self.outcome.races_won = sum(row.races_won for row in rows)
        self.outcome.raced_bytes = sum(row.raced_bytes for row in rows)


def _first(group: BaseExceptionGroup[MachineError]) -> MachineError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
