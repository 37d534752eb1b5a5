"""Running a manifest: resources, engine, planner, receipt."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from emasync.api.blocking import blocking
from emasync.api.books import close_books, require_something
from emasync.api.options import ManifestLike, RunOptions, load
from emasync.api.progress import Ticker
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.disk.interface import Sink
from emasync.disk.probe import allocated_bytes
from emasync.disk.sink import PARTIAL_FOLDER, LocalSink
from emasync.engine.engine import EngineOutcome, Planner
from emasync.errors import InputError
from emasync.executors.choice import choose, spare_cores
from emasync.executors.interface import Executor
from emasync.executors.local import LocalExecutor
from emasync.hooks.receipt import RunFacts
from emasync.manifest.manifest import Manifest
from emasync.model.events import OnEvent, ignore_event
from emasync.model.location import Location
from emasync.model.receipt import Receipt, Totals
from emasync.plan.compile import compile_datasets
from emasync.plan.guards import Guard, Room
from emasync.plan.tools import PlanTools, SinkDocuments
from emasync.registry import LAYOUTS
from emasync.settings import HostPolicy, Settings
from emasync.sources.interface import SourceContext
from emasync.transport.mirrors import Mirrors

_LOOKED_AT = 1_000
"""Files of a dataset whose origins are looked at; the rest is like them."""


class Stopper:
    """Asks a run to stop soon and cleanly (exit code 3). Call from the run's loop, such as from a signal handler."""

    def __init__(self) -> None:
        self._executor: Executor | None = None
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody asked; may be read from any thread."""
        return self._asked

    def attach(self, executor: Executor) -> None:
        """Connect to what is to be stopped."""
        self._executor = executor
        if self._asked:
            executor.stop()

    def stop(self) -> None:
        """Stop as soon as what is whole is committed."""
        self._asked = True
        if self._executor is not None:
            self._executor.stop()


def run(
    manifest: ManifestLike,
    *,
    root: str | os.PathLike[str] | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
) -> Receipt:
    """Plan, transfer and verify; blocks. Works inside a running loop (Jupyter) too, in a thread of its own.

    Parameters
    ----------
    manifest : path, mapping or Manifest
    root : path, optional
        Relative to the working directory; wins over the manifest's.
    on_event : callable
        Called with each :class:`~emasync.model.events.Event`, in the run's thread.
    options : RunOptions, optional

    Returns
    -------
    Receipt
        ``receipt.ok`` tells whether everything is complete; failures are in it, not raised.

    Raises
    ------
    InputError
        The manifest or the options are wrong; nothing was contacted.
    MachineError
        The root cannot be opened: no permission, locked, ledger unreadable.
    """
    return blocking(lambda: arun(manifest, root=root, on_event=on_event, options=options))


async def arun(
    manifest: ManifestLike,
    *,
    root: str | os.PathLike[str] | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
    stopper: Stopper | None = None,
    make_sink: Callable[[Path], Sink] = LocalSink,
) -> Receipt:
    """Plan, transfer and verify; cancellable (what is whole is committed first). Otherwise as :func:`run`.

    Parameters
    ----------
    stopper : Stopper, optional
        Stops the run from outside with a receipt.
    make_sink : callable
        Opens the root for writing; another implementation of :class:`~emasync.disk.interface.Sink`.
    """
    options = options if options is not None else RunOptions()
    loaded = await asyncio.to_thread(load, manifest)
    wanted = options.wanted(loaded)
    settings = options.settings(loaded.settings)
    spec = RunSpec(
        root=loaded.root_for(None if root is None else Path(root)),
        state_dir=loaded.state_dir_for(),
        settings=settings,
        break_lock=options.break_lock,
    )
    stopper = stopper if stopper is not None else Stopper()
    entries = [entry for entry in loaded.datasets if entry.id in wanted]
    workers = await _workers(options, settings, entries, make_sink)
    async with open_resources(spec, on_event, make_sink=make_sink) as resources:
        started_s = resources.clock.time_s()
        executor = _executor(resources, settings, on_event, options, wanted, workers=workers)
        stopper.attach(executor)
        tools = replace(_tools(resources, loaded, settings, on_event), refresh=options.refresh)
        outcome = await _move(executor, _planner(entries, tools), Ticker(resources, executor, on_event))
        if outcome.stopped is None:
            await require_something(resources, wanted, on_event)
        facts = RunFacts(
            manifest=loaded.digest,
            wanted=wanted,
            started_s=started_s,
            finished_s=resources.clock.time_s(),
            totals=_totals(executor),
            placed_bytes=outcome.placed_bytes,
            stopped=outcome.stopped,
            unreachable=outcome.unreachable,
            mirrors=settings.mirrors,
        )
        return await close_books(resources, facts, on_event, lambda: stopper.asked)


async def _workers(
    options: RunOptions, settings: Settings, entries: list[Any], make_sink: Callable[[Path], Sink]
) -> int:
    """Number of worker processes; 0 for an engine here.

    Raises
    ------
    InputError
        What was asked for contradicts itself.
    """
    spare = await asyncio.to_thread(spare_cores)
    workers = choose(options.executor, settings.workers, spare=spare, connections=_connections(entries, settings))
    if workers and make_sink is not LocalSink:
        raise InputError("a sink of the caller's own lives in the caller's process: use workers: 1, executor local")
    return workers


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


def _executor(
    resources: Resources,
    settings: Settings,
    on_event: OnEvent,
    options: RunOptions,
    wanted: tuple[str, ...],
    *,
    workers: int,
) -> Executor:
    if workers == 0:
        return LocalExecutor(
            resources, settings, on_event, datasets=wanted, adopt=options.adopt, objects=options.objects
        )
    from emasync.executors.processes import Crew, ProcessExecutor  # noqa: PLC0415 - only where it is used

    crew = Crew(workers=workers, datasets=wanted, adopt=options.adopt, objects=options.objects)
    return ProcessExecutor(resources, settings, on_event, crew)


def _planner(entries: list[Any], tools: PlanTools) -> Planner:
    """The compile of `entries` (Any: each source has its own entry model) as the engine calls it."""

    async def planner(wake: Callable[[], None]) -> None:
        await compile_datasets(entries, replace(tools, wake=wake))

    return planner


def _tools(resources: Resources, manifest: Manifest, settings: Settings, on_event: OnEvent) -> PlanTools:
    def measure() -> Room:
        return Room(
            free_bytes=resources.sink.free_bytes(),
            free_inodes=resources.sink.free_inodes(),
            unfinished_bytes=allocated_bytes(resources.root / PARTIAL_FOLDER),
        )

    return PlanTools(
        context=SourceContext(fetcher=resources.fetcher, settings=settings, on_event=on_event),
        ledger=resources.ledger,
        layout=LAYOUTS.load(manifest.layout.kind)(),
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
