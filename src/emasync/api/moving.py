"""What a run does: resources, planner, engine, receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emasync.api.books import close_books, require_something
from emasync.api.hooking import facts_in
from emasync.api.laying import hold_layout, outside
from emasync.api.manifests import remember
from emasync.api.options import RunOptions
from emasync.api.progress import Ticker
from emasync.api.recorder import Recorder, remember_run
from emasync.api.stopping import Stopper
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.disk.interface import Sink
from emasync.disk.outlying import open_root
from emasync.disk.probe import allocated_bytes
from emasync.engine.endings import EngineOutcome
from emasync.engine.engine import Planner
from emasync.engine.heartbeat import Heartbeat, Vitals
from emasync.errors import InputError, InterruptedRunError, MachineError
from emasync.executors.choice import choose, spare_cores
from emasync.executors.interface import Executor
from emasync.executors.local import LocalExecutor
from emasync.hooks.receipt import RunFacts
from emasync.ledger.interface import PlanFacts
from emasync.ledger.rebuild import KnownFiles
from emasync.manifest.manifest import Manifest
from emasync.model.events import Event, OnEvent
from emasync.model.location import Location
from emasync.model.receipt import Receipt, Totals
from emasync.plan.compile import compile_datasets
from emasync.plan.guards import Guard, Room
from emasync.plan.layout import layout_for
from emasync.plan.tools import PlanTools, SinkDocuments
from emasync.settings import HostPolicy, Settings
from emasync.sources.interface import SourceContext
from emasync.transport.mirrors import Mirrors
from emasync.transport.surroundings import Surroundings

if TYPE_CHECKING:
    from emasync.plan.lock_file import Lock

_LOOKED_AT = 1_000
"""Files of a dataset whose origins are looked at; the rest is like them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One run.

    Attributes
    ----------
    manifest : Manifest
    root : Path
    heartbeat : Heartbeat
        Asked what the run is about when nothing moves.
    recorder : Recorder
        Told of every event.
    options : RunOptions
    stopper : Stopper
    make_sink : callable or None
        None: local files.
    alone : bool
        Whether something of the caller's own lives in this process only.
    """

    manifest: Manifest
    root: Path
    heartbeat: Heartbeat
    recorder: Recorder
    options: RunOptions
    stopper: Stopper
    make_sink: Callable[[Path], Sink] | None
    alone: bool = False

    async def run(self, surroundings: Surroundings) -> Receipt:
        """Plan, transfer and verify.

        Parameters
        ----------
        surroundings : Surroundings
            Of this machine.

        Raises
        ------
        InputError, MachineError
            As :func:`emasync.run`.
        """
        settings = self.options.settings(self.manifest.settings)
        spec = RunSpec(
            root=self.root,
            state_dir=self.manifest.state_dir_for(),
            settings=settings,
            break_lock=self.options.break_lock,
            rebuild=True,
        )
        wanted = self.options.wanted(self.manifest)
        lock = await self._lock(wanted)
        entries = [entry for entry in self.manifest.datasets if entry.id in wanted]
        workers = await self._workers(settings, entries)
        folders = await asyncio.to_thread(outside, self.manifest)
        make_sink = self.make_sink or partial(open_root, folders=folders)
        async with open_resources(spec, self.recorder, make_sink=make_sink, surroundings=surroundings) as resources:
            await hold_layout(resources, self.manifest, wanted)
            await asyncio.to_thread(remember, resources.state_dir, self.manifest)
            receipt = await self._run(resources, settings, entries, workers=workers, lock=lock)
            if resources.known is not None:
                held = {tally.dataset for tally in await resources.ledger.call("tallies")}  # receipts of old name more
                complete = {dataset.id for dataset in receipt.datasets if dataset.status == "complete"} & held
                await asyncio.to_thread(KnownFiles.forget, resources.root, complete)
            return receipt

    async def _lock(self, wanted: Collection[str]) -> Lock | None:
        """The lock to hold to, if any.

        Raises
        ------
        InputError
            It cannot be used.
        """
        if not self.options.locked:
            return None
        if self.options.metadata_only:
            raise InputError("a lock describes all of the data: use --locked or --metadata-only")
        from emasync.api.locks import load_lock  # noqa: PLC0415 - most runs have none

        return await load_lock(self.manifest, self.options.lock_file, wanted)

    async def _run(
        self, resources: Resources, settings: Settings, entries: list[Any], *, workers: int, lock: Lock | None
    ) -> Receipt:
        """Any: each source has its own entry model."""
        started_s = resources.clock.time_s()
        self.recorder.begin()
        wanted = tuple(entry.id for entry in entries)
        tools = _tools(resources, self.manifest, settings, self.recorder)
        if self.options.metadata_only:
            tools = replace(tools, metadata_only=True)
            entries = await _without_full_plans(entries, tools)
        moved = tuple(entry.id for entry in entries)
        executor = self._executor(resources, settings, moved, workers=workers)
        self._watch(executor, resources)
        outcome = EngineOutcome()
        if lock is None or await self._held(lock, entries, tools, outcome):
            self.stopper.attach(executor)
            planner = _planner(entries, replace(tools, refresh=self.options.refresh and lock is None))
            outcome = await _move(executor, planner, Ticker(resources, executor, self.recorder))
            if outcome.stopped is None:
                await require_something(resources, moved, self.recorder)
        facts = RunFacts(
            manifest=self.manifest.digest,
            wanted=wanted,
            started_s=started_s,
            finished_s=resources.clock.time_s(),
            totals=_totals(executor),
            placed_bytes=outcome.placed_bytes,
            stopped=outcome.stopped,
            unreachable=outcome.unreachable,
            mirrors=settings.mirrors,
        )
        await remember_run(resources, self.recorder, facts, executor)
        hooked = [await facts_in(entry, tools.layout, tools.documents) for entry in entries if self.options.hooks]
        self.heartbeat.step = "writing checksums and receipt, running hooks"
        return await close_books(resources, facts, self.recorder, lambda: self.stopper.asked, hooked)

    def _watch(self, executor: Executor, resources: Resources) -> None:
        self.heartbeat.step = "planning and moving objects"
        self.heartbeat.watch(
            lambda: Vitals(
                origins=executor.statistics(),
                disk=executor.disk(),
                activities=executor.activities(),
                bandwidth_debt_s=resources.fetcher.bandwidth_debt_s,
                resumes_at_s=resources.fetcher.resumes_at_s,
            )
        )

    async def _held(self, lock: Lock, entries: list[Any], tools: PlanTools, outcome: EngineOutcome) -> bool:
        """Whether the plan is the lock's, so that data may move; what stopped that is in `outcome` (Any: as above)."""
        from emasync.api.locking import LockedPlanning  # noqa: PLC0415 - most runs have no lock
        from emasync.api.locks import boxes_of  # noqa: PLC0415 - as above
        from emasync.api.scratch import dry_copy  # noqa: PLC0415 - as above

        tools = replace(tools, boxes=boxes_of(lock))
        planning = LockedPlanning(
            lock=lock,
            tools=tools,
            known=self.manifest.datasets,
            dry_tools=partial(dry_copy, tools),
            refresh=self.options.refresh,
            hurry=lambda: self.stopper.asked,
        )
        self.stopper.attach(planning)
        try:
            return await planning.run(entries)
        except (MachineError, InterruptedRunError) as error:
            outcome.stopped = error
            return False

    async def _workers(self, settings: Settings, entries: list[Any]) -> int:
        """Number of worker processes; 0 for an engine here (Any: as above).

        Raises
        ------
        InputError
            What was asked for contradicts itself.
        """
        spare = await asyncio.to_thread(spare_cores)
        connections = _connections(entries, settings)
        workers = choose(self.options.executor, settings.workers, spare=spare, connections=connections)
        if workers:
            await asyncio.to_thread(import_module, "emasync.executors.processes")  # reads files: not on the loop
        if workers and self.alone:
            raise InputError(
                "a sink or surroundings of the caller's own live in this process only: use workers: 1, executor local"
            )
        return workers

    def _executor(self, resources: Resources, settings: Settings, wanted: tuple[str, ...], *, workers: int) -> Executor:
        adopt, objects = self.options.adopt, self.options.objects
        if workers == 0:
            return LocalExecutor(resources, settings, self.recorder, datasets=wanted, adopt=adopt, objects=objects)
        from emasync.executors.processes import Crew, ProcessExecutor  # noqa: PLC0415 - only where it is used

        crew = Crew(workers=workers, datasets=wanted, adopt=adopt, objects=objects)
        return ProcessExecutor(resources, settings, self.recorder, crew)


def _connections(entries: list[Any], settings: Settings) -> int:
    """Connections that the policies allow to the origins of `entries`, as far as the manifest names them.

    Any: each source has its own entry model; one that names no URL stands for one origin.
    """
    mirrors, limits = Mirrors(settings.mirrors), {}
    for entry in entries:
        urls = [entry.url] if hasattr(entry, "url") else [file.url for file in getattr(entry, "files", ())[:_LOOKED_AT]]
        for url in urls:
            asked = mirrors.route(Location.parse(url)).asked
            limits[asked.origin] = settings.policy(asked).max_connections
        if not urls:
            limits[entry.id] = HostPolicy().max_connections
    return sum(limits.values())


def _planner(entries: list[Any], tools: PlanTools) -> Planner:
    """The compile of `entries` (Any: each source has its own entry model) as the engine calls it."""

    async def planner(wake: Callable[[], None]) -> None:
        await compile_datasets(entries, replace(tools, wake=wake))

    return planner


async def _without_full_plans(entries: list[Any], tools: PlanTools) -> list[Any]:
    """Datasets of which the root holds no full plan: that is not given up for a smaller one (Any: as above)."""
    kept = []
    for entry in entries:
        facts: PlanFacts | None = await tools.ledger.call("plan_facts", entry.id)
        if facts is None or facts.digest != entry.digest:
            kept.append(entry)
            continue
        message = f"dataset {entry.id!r} was planned with all its data here, which stays; run without --metadata-only"
        tools.context.on_event(Event("warning", {"dataset": entry.id, "message": message}))
    return kept


def _tools(resources: Resources, manifest: Manifest, settings: Settings, on_event: OnEvent) -> PlanTools:
    def measure() -> Room:
        return Room(
            free_bytes=resources.sink.free_bytes(),
            free_inodes=resources.sink.free_inodes(),
            unfinished_bytes=sum(map(allocated_bytes, resources.partial_folders)),
        )

    return PlanTools(
        context=SourceContext(fetcher=resources.fetcher, settings=settings, on_event=on_event, folder=manifest.folder),
        ledger=resources.ledger,
        layout=layout_for(manifest.layout),
        documents=SinkDocuments(resources.sink),
        guard=Guard(max_total_bytes=settings.max_total_bytes, reserve_bytes=settings.reserve_bytes, measure=measure),
        wake=lambda: None,
    )


async def _move(executor: Executor, planner: Planner, ticker: Ticker) -> EngineOutcome:
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(ticker.run())
        outcome = await executor.run(planner)
        ticking.cancel()
    return outcome


def _totals(executor: Executor) -> Totals:
    origins = executor.statistics().values()
    return Totals(
        bytes_fetched=executor.outcome.bytes_received,
        requests=sum(origin.requests for origin in origins),
        retries=sum(origin.retries for origin in origins),
    )
