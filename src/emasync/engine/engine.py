"""The engine: long-lived workers move leased tasks until the plan and the ledger have nothing left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import anyio

from emasync.disk.interface import Sink
from emasync.disk.pace import WriterPlace
from emasync.engine.activities import Activity
from emasync.engine.committer import Committer, Note
from emasync.engine.context import MoveContext
from emasync.engine.denials import Denials
from emasync.engine.endings import Endings, EngineOutcome
from emasync.engine.existing import look
from emasync.engine.interface import Threads
from emasync.engine.large import LargeObject
from emasync.engine.memory import Buffers, MemoryBudget, MemoryStatistics, Slabs
from emasync.engine.scheduler import Job, OriginQueue, PartJob, Scheduler
from emasync.engine.slices import fetch_slices, take_neighbours
from emasync.engine.small import SmallParcel, SmallRun, TooLargeError, fetch_generally, pack, seems_small
from emasync.engine.upkeep import OwnUpkeep, Upkeep
from emasync.errors import (
    EmasyncError,
    InterruptedRunError,
    MachineError,
)
from emasync.ledger.interface import LedgerCalls
from emasync.ledger.rebuild import KnownFiles
from emasync.model.clock import Clock, SystemClock
from emasync.model.digest import Span
from emasync.model.events import OnEvent
from emasync.model.task import Task, TaskKey
from emasync.settings import MIB, Settings
from emasync.transport.interface import Fetcher

DRAIN_S = 1.5
"""Longest wait for the disk after an interruption; what is not committed by then is fetched again."""

RACE_LOOK_S = 0.25

SLAB_BYTES = 1 * MIB
"""A piece on its way to the disk: hops of 1 to 8 MiB are noise, smaller ones are not."""

Planner = Callable[[Callable[[], None]], Awaitable[None]]
"""Compiles into the ledger and calls its argument whenever there is something new to lease."""


class _StopRequestedError(Exception):
    """Ends the task group of the workers."""


class Engine:
    """Moves what the ledger holds.

    Parameters
    ----------
    fetcher, sink, ledger, threads : the run's resources
    settings : Settings
    on_event : callable
    adopt : bool
        Take over files that are already there after checking them.
    objects : bool
        Tell of every placed object, not of failures only.
    datasets : collection of str, optional
        The datasets this run is about; others of the ledger are left alone. All by default.
    upkeep : Upkeep, optional
        Recovery and making room, where another process owns ledger and root.
    place : WriterPlace, optional
        Where small files are written; in threads until it is known that the loop is quick enough.
    clock : Clock, optional
        Tells which ranges are slow.
    known : KnownFiles, optional
        What tables of checksums say of files that a lost ledger knew.
    wanted : mapping of (set id, key) to (sequence of Span), optional
        Large objects of which only these bytes are fetched: the parts are kept, the object stays unfinished.
    """

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        sink: Sink,
        ledger: LedgerCalls,
        threads: Threads,
        settings: Settings,
        on_event: OnEvent,
        adopt: bool = False,
        objects: bool = False,
        datasets: Collection[str] | None = None,
        upkeep: Upkeep | None = None,
        place: WriterPlace | None = None,
        clock: Clock | None = None,
        known: KnownFiles | None = None,
        wanted: Mapping[tuple[int, TaskKey], Sequence[Span]] | None = None,
    ) -> None:
        self._wake = asyncio.Event()
        self._settings = settings
        self._on_event = on_event
        self._adopt = adopt
        self._known = known
        self._upkeep = upkeep or OwnUpkeep(
            ledger=ledger, sink=sink, threads=threads, on_event=on_event, datasets=datasets
        )
        self._scheduler = Scheduler(ledger, datasets)
        self._endings = Endings(self._scheduler, note=self._note, on_event=on_event, objects=objects)
        self._memory = memory = MemoryBudget(settings.max_memory_bytes)
        buffers = Buffers(memory)
        self._committer = Committer(
            sink=sink,
            ledger=ledger,
            threads=threads,
            checks=settings.checksums,
            max_objects=settings.commit_objects,
            max_bytes=settings.commit_bytes,
            give_back=buffers.give,
            place=place or WriterPlace(),
            on_outcome=self._endings.settled,
            on_committed=self._wake.set,
        )
        self._context = MoveContext(
            fetcher=fetcher,
            sink=sink,
            ledger=ledger,
            threads=threads,
            buffers=buffers,
            slabs=Slabs(memory, SLAB_BYTES),
            committer=self._committer,
            settings=settings,
            on_received=self._endings.received,
            clock=clock or SystemClock(),
            wanted=wanted or {},
        )
        self._denials = Denials(fetcher)
        self._workers: set[str] = set()
        self._had_folder: dict[int, bool] = {}
        self._planned = False
        self._swept = False
        self._done = False
        self._stop: EmasyncError | None = None

    def __repr__(self) -> str:
        return f"<Engine planned {self._planned}, {self._scheduler!r}, {self._committer!r}>"

    @property
    def outcome(self) -> EngineOutcome:
        """How the run goes, or ended."""
        return self._endings.outcome

    def _note(self, note: Note) -> None:
        self._committer.submit_now(note)

    def _count_races(self) -> None:
        hedges, outcome = self._context.all_hedges(), self.outcome
        outcome.races = sum(hedge.races for hedge in hedges)
        outcome.races_won = sum(hedge.won for hedge in hedges)
        outcome.raced_bytes = sum(hedge.raced_bytes for hedge in hedges)

    def memory_statistics(self) -> MemoryStatistics:
        """Bytes between socket and disk."""
        return self._memory.statistics()

    def stop(self, reason: EmasyncError | None = None) -> None:
        """Stop soon: commit what is whole, park ranges, leave. Safe to call more than once, on the loop."""
        self._stop = self._stop or reason or InterruptedRunError("interrupted; run again to resume")
        self._wake.set()

    # --- the run -----------------------------------------------------------------------------------------------

    async def run(self, planner: Planner | None = None) -> EngineOutcome:
        """Recover, then move everything that is pending and everything `planner` adds meanwhile.

        Returns
        -------
        EngineOutcome
            Also for machine errors and interruptions: they are in ``stopped``.
        """
        try:
            async with asyncio.TaskGroup() as outer:
                committing = outer.create_task(self._committer.run())
                try:
                    await self._move_all(planner)
                finally:
                    await self._drain(committing)
        except* _StopRequestedError:
            self.outcome.stopped = self._stop
        except* MachineError as group:
            self.outcome.stopped = _first(group)
        return self.outcome

    async def _drain(self, committing: asyncio.Task[None]) -> None:
        """Let the committer finish; bounded, and also when this task is being cancelled (law 16)."""
        self._committer.close()
        hurried = self._stop is not None or not self._done
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + DRAIN_S if hurried else float("inf")):
            await asyncio.wait({committing})
        if not committing.done():
            committing.cancel()

    @property
    def activities(self) -> tuple[Activity, ...]:
        """Long work that shows in no count."""
        return self._context.activities.going_on()

    async def _move_all(self, planner: Planner | None) -> None:
        with self._context.activities.on("checking", "what the last run left"):
            suspect = await self._upkeep.recover()
        self._context = replace(self._context, suspect_after_epoch=suspect)
        async with asyncio.TaskGroup() as moving:
            moving.create_task(self._plan(planner))
            moving.create_task(self._sweep())
            racing = moving.create_task(self._look_for_races())
            moving.create_task(self._feed(moving)).add_done_callback(lambda _: racing.cancel())

    async def _look_for_races(self) -> None:
        """Who has nothing to do looks now and then whether a range has become slow."""
        while True:
            await self._context.clock.sleep(RACE_LOOK_S)
            for queue in self._scheduler.queues():
                if queue.open and not queue.tasks:
                    queue.wake.set()

    async def _plan(self, planner: Planner | None) -> None:
        if planner is not None:
            await planner(self._tell_news)
        self._planned = True
        self._tell_news()

    async def _sweep(self) -> None:
        with self._context.activities.on("checking", "files of earlier runs"):
            await self._upkeep.sweep()
        self._swept = True
        self._tell_news()

    def _tell_news(self) -> None:
        self._scheduler.tell_news()
        self._wake.set()

    async def _feed(self, moving: asyncio.TaskGroup) -> None:
        """Lease, spawn workers, and notice the end."""
        while True:
            if self._stop is not None:
                raise _StopRequestedError
            self._wake.clear()
            complete = self._planned and self._swept
            leased = await self._scheduler.refill() if self._scheduler.wants_more() else []
            if leased:
                self._scheduler.add(await self._admit(leased))
                self._spawn(moving)
            elif complete and self._scheduler.quiet and self._committer.idle:
                self._finish()
                return
            else:
                if self._scheduler.quiet:
                    self._committer.hurry()
                await self._wake.wait()

    def _finish(self) -> None:
        self._done = True
        for queue in self._scheduler.queues():
            queue.wake.set()

    def _spawn(self, moving: asyncio.TaskGroup) -> None:
        for queue in self._scheduler.queues():
            if queue.origin not in self._workers and queue.tasks:
                self._workers.add(queue.origin)
                policy = self._settings.policy(queue.tasks[0].location)
                for _ in range(policy.max_connections):  # as many of them work as there are seats
                    moving.create_task(self._work(queue))

    async def _admit(self, tasks: list[Task]) -> list[Task]:
        """Set aside tasks whose destination is taken; adopt or fail them."""
        context = self._context
        await self._upkeep.clear()
        suspects = await self._where_files_may_lie(tasks)
        if not suspects:
            return tasks
        job = partial(
            look, context.sink, suspects, adopt=self._adopt, checks=self._settings.checksums, known=self._known
        )
        with context.activities.on("checking", f"{len(suspects)} files that lie there already"):
            existing = await context.threads.submit(job)
        aside: set[int] = set()
        for entry in existing:
            if entry.error is not None and await self._upkeep.make_room(entry.task.destination):
                continue
            aside.add(id(entry.task))
            for fact in entry.facts:
                self._note(Note(fact=fact))
            if entry.error is not None:
                self._endings.fail(entry.task, entry.error)
        return [task for task in tasks if id(task) not in aside]

    async def _where_files_may_lie(self, tasks: list[Task]) -> list[Task]:
        """Tasks of sets whose folder was there before this run: in a folder of ours there is nothing to look for.

        Should somebody else put a file there meanwhile, the rename finds it: it never replaces.
        """
        for task in tasks:
            if task.set_id not in self._had_folder:
                folder = task.spec.destination
                job = partial(self._context.sink.has_folder, folder)
                self._had_folder[task.set_id] = not folder or await self._context.threads.submit(job)
        return [task for task in tasks if self._had_folder[task.set_id]]

    # --- workers -----------------------------------------------------------------------------------------------

    async def _work(self, queue: OriginQueue) -> None:
        while not self._done:
            if not await self._work_once(queue) and not self._done:
                queue.wake.clear()
                await queue.wake.wait()

    async def _work_once(self, queue: OriginQueue) -> bool:
        """Move something, if there is anything; the seat comes before the job and its memory (law 4)."""
        async with AsyncExitStack() as seat:
            if queue.tasks or queue.open:
                await seat.enter_async_context(self._context.fetcher.seat(queue.place))
            job = queue.take()
            if job is None:
                return False
            try:
                await self._move(queue, job, seat)
            finally:
                queue.in_flight -= 1
                self._wake.set()
        return True

    async def _move(self, queue: OriginQueue, job: Job, seat: AsyncExitStack) -> None:
        task = job.owner.task if isinstance(job, PartJob) else job
        try:
            if isinstance(job, PartJob):
                await self._move_part(queue, job, seat)
            elif job.spec.slices is not None:
                await self._move_slices(queue, job)
            elif seems_small(job, self._settings.small_object_bytes):
                await self._move_small(queue, await pack(job, self._context), seat)
            else:
                await self._open_large(queue, job, seat)
        except MachineError:
            raise
        except EmasyncError as error:
            self._endings.trouble(queue, task, await self._denials.meaning(task, error))

    async def _move_small(self, queue: OriginQueue, first: SmallParcel, seat: AsyncExitStack) -> None:
        """Move `first` and the small objects of its set that follow, until one has to go another way."""
        run = SmallRun(queue, first, self._context, self._wake.set)
        spec = first.task.spec
        detour = await self._context.fetcher.express(spec.place_of_keys, first, run, encoded=spec.encoded)
        if detour is None:
            return
        task = detour.parcel.task
        try:
            await fetch_generally(detour, self._context)
        except TooLargeError:
            await self._open_large(queue, task, seat)
        except MachineError:
            raise
        except EmasyncError as error:
            self._endings.trouble(queue, task, await self._denials.meaning(task, error))
        finally:
            run.done()

    async def _move_slices(self, queue: OriginQueue, first: Task) -> None:
        """Move `first` and the slices that lie behind it in the same object."""
        tasks = take_neighbours(queue, first, self._context.policy(first).part_bytes)
        self._wake.set()
        for task, error in await fetch_slices(tasks, self._context):
            self._endings.trouble(queue, task, error)

    async def _open_large(self, queue: OriginQueue, task: Task, seat: AsyncExitStack) -> None:
        owner = LargeObject(task, self._context, queue.wake.set)
        await owner.open()
        queue.open.append(owner)
        if (span := owner.take()) is not None:
            await self._move_part(queue, PartJob(owner, span), seat)

    async def _move_part(self, queue: OriginQueue, job: PartJob, seat: AsyncExitStack) -> None:
        try:
            await job.owner.fetch(job.span, job.slow)
        finally:
            self._count_races()
            queue.wake.set()
        if job.owner.settled() and job.owner in queue.open:
            queue.open.remove(job.owner)
            await seat.aclose()  # reading a file back for its digest keeps nobody from the network
            await job.owner.finish()


def _first(group: BaseExceptionGroup[MachineError]) -> MachineError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
