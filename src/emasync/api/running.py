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
from emasync.engine.engine import Engine, EngineOutcome, Planner
from emasync.hooks.receipt import RunFacts
from emasync.manifest.manifest import Manifest
from emasync.model.events import Event, OnEvent, ignore_event
from emasync.model.receipt import Receipt, Totals
from emasync.plan.compile import compile_datasets
from emasync.plan.guards import Guard, Room
from emasync.plan.tools import PlanTools, SinkDocuments
from emasync.registry import LAYOUTS
from emasync.settings import Settings
from emasync.sources.interface import SourceContext


class Stopper:
    """Asks a run to stop soon and cleanly (exit code 3). Call from the run's loop, such as from a signal handler."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody asked; may be read from any thread."""
        return self._asked

    def attach(self, engine: Engine) -> None:
        """Connect to the engine that is to be stopped."""
        self._engine = engine
        if self._asked:
            engine.stop()

    def stop(self) -> None:
        """Stop as soon as what is whole is committed."""
        self._asked = True
        if self._engine is not None:
            self._engine.stop()


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
    if settings.workers != 1:
        message = f"workers: {settings.workers}: more than one process is not built yet; this run uses one"
        on_event(Event("warning", {"message": message}))
    async with open_resources(spec, on_event, make_sink=make_sink) as resources:
        started_s = resources.clock.time_s()
        engine = _engine(resources, settings, on_event, options, wanted)
        stopper.attach(engine)
        tools = replace(_tools(resources, loaded, settings, on_event), refresh=options.refresh)
        planner = _planner([entry for entry in loaded.datasets if entry.id in wanted], tools)
        outcome = await _move(engine, planner, Ticker(resources, engine.outcome, on_event))
        if outcome.stopped is None:
            await require_something(resources, wanted, on_event)
        facts = RunFacts(
            manifest=loaded.digest,
            wanted=wanted,
            started_s=started_s,
            finished_s=resources.clock.time_s(),
            totals=_totals(resources, outcome),
            placed_bytes=outcome.placed_bytes,
            stopped=outcome.stopped,
            unreachable=outcome.unreachable,
            mirrors=settings.mirrors,
        )
        return await close_books(resources, facts, on_event, lambda: stopper.asked)


def _engine(
    resources: Resources, settings: Settings, on_event: OnEvent, options: RunOptions, wanted: tuple[str, ...]
) -> Engine:
    return Engine(
        fetcher=resources.fetcher,
        sink=resources.sink,
        ledger=resources.ledger,
        threads=resources.threads,
        settings=settings,
        on_event=on_event,
        datasets=wanted,
        adopt=options.adopt,
        objects=options.objects,
        place=resources.place,
    )


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


async def _move(engine: Engine, planner: Planner, ticker: Ticker) -> EngineOutcome:
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(ticker.run())
        outcome = await engine.run(planner)
        ticking.cancel()
    return outcome


def _totals(resources: Resources, outcome: EngineOutcome) -> Totals:
    origins = resources.fetcher.statistics().values()
    return Totals(
        bytes_fetched=outcome.bytes_received,
        requests=sum(origin.requests for origin in origins),
        retries=sum(origin.retries for origin in origins),
    )
