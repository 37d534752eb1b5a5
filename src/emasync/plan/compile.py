"""Compile: manifest entry → findings of its source → task sets in the ledger, streaming."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeGuard

from emasync.errors import EmasyncError, InterruptedRunError, MachineError, SourceError
from emasync.ledger.interface import METADATA_PLAN, PlanState, Tally
from emasync.manifest.crop import SameAsCrop
from emasync.model.events import Event, EventValue
from emasync.plan.choice import Choice
from emasync.plan.files import FileShelves
from emasync.plan.intake import Intake
from emasync.plan.kept import keep_document
from emasync.plan.setbacks import named, together
from emasync.plan.tools import PlanTools
from emasync.plan.trees import take_tree
from emasync.plan.vanished import tell_vanished
from emasync.plan.verdict import decisive
from emasync.plan.written import restore_subset
from emasync.registry import SOURCES
from emasync.sources.interface import FilesFound, Finding, Kept, Setback, Source, TreeFound


async def compile_datasets(entries: Iterable[Any], tools: PlanTools, *, at_once: int = 4) -> bool:
    """Compile datasets side by side, behind those whose boxes they take over; one that fails does not stop the others.

    Parameters
    ----------
    entries : iterable of manifest entries
        Any: each source has an entry model of its own.
    tools : PlanTools
    at_once : int
        Datasets planned at the same time.

    Returns
    -------
    bool
        Whether all of them could be planned.

    Raises
    ------
    MachineError
        A guard or the machine stopped the run (law: exit 4), whatever the other datasets do.
    """
    slots = asyncio.Semaphore(at_once)
    wanted = list(entries)
    ended = {entry.id: asyncio.Event() for entry in wanted}

    async def one(entry: Any) -> bool:
        if isinstance(entry.crop, SameAsCrop) and (lender := ended.get(entry.crop.same_as)):
            await lender.wait()
        try:
            async with slots:
                return await compile_dataset(entry, tools)
        finally:
            ended[entry.id].set()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(entry)) for entry in wanted]
    except BaseExceptionGroup as failures:
        raise decisive(failures) from failures
    return all(task.result() for task in tasks)


async def compile_dataset(entry: Any, tools: PlanTools) -> bool:
    """Name everything that one manifest entry wants, in the ledger.

    Planned to the end before under the same digest: no request at all. Interrupted before: listings go on behind
    their cursors. Transfers may start after each page (``tools.wake``).

    Parameters
    ----------
    entry : manifest entry
        Any: each source has an entry model of its own; ``id``, ``digest`` and ``source`` are in all of them.
    tools : PlanTools

    Returns
    -------
    bool
        False when the dataset could not be planned; why is in the ledger.

    Raises
    ------
    MachineError
        A guard or the machine stopped the run.
    """
    state = await begin(entry, tools)
    tools.context.on_event(Event("dataset_started", {"dataset": entry.id, "planned": state.complete}))
    if state.complete:
        tools.wake()
        return True
    try:
        await look_over(entry, tools) if tools.metadata_only else await resolve(entry, tools)
    except (EmasyncError, ExceptionGroup) as failure:
        error = decisive(failure)
        if not isinstance(error, EmasyncError) or isinstance(error, MachineError | InterruptedRunError):
            raise error from failure
        await give_up(entry.id, error, tools)
        return False
    await tools.ledger.call("finish_plan", entry.id)
    if tools.refresh:
        await tell_vanished(entry.id, tools)
    tools.wake()
    return True


async def begin(entry: Any, tools: PlanTools) -> PlanState:
    """Open the plan (Any: as for :func:`compile_dataset`); a complete one gets back what is missing of its metadata."""
    refresh = tools.refresh and not entry.immutable
    digest = f"{METADATA_PLAN}{entry.digest}" if tools.metadata_only else entry.digest
    state: PlanState = await tools.ledger.call("begin_plan", entry.id, digest, refresh=refresh)
    if not state.complete or tools.metadata_only or not may_rewrite(entry):
        return state
    if await restore_subset(entry.id, tools.layout.folder(entry.id), entry.digest, tools.documents):
        return state
    again: PlanState = await tools.ledger.call("begin_plan", entry.id, entry.digest, refresh=True)
    return again


def may_rewrite(entry: Any) -> bool:
    """Whether metadata of ours may belong to the dataset (Any: as for :func:`compile_dataset`)."""
    choice = Choice.of(entry)
    return choice.standalone and choice.chooses


async def give_up(dataset: str, error: EmasyncError, tools: PlanTools) -> None:
    """Record that a dataset could not be planned. What was named so far is fetched all the same."""
    location = error.location or ""
    await tools.ledger.call("fail_plan", dataset, error.kind, error.message, location)
    fields: dict[str, EventValue] = {"dataset": dataset, "location": location, "kind": error.kind}
    tools.context.on_event(Event("failed", {**fields, "message": error.message}))
    tools.wake()


async def look_over(entry: Any, tools: PlanTools) -> None:
    """Bring what describes one dataset into the ledger, and no bulk (Any: as for :func:`compile_dataset`)."""
    from emasync.plan.survey import survey  # noqa: PLC0415 - few runs are about metadata only

    await survey(entry, tools)


async def resolve(entry: Any, tools: PlanTools) -> None:
    """Bring all findings of one entry's source into the ledger (Any: as for :func:`compile_dataset`).

    Raises
    ------
    SourceError
        The source finds nothing, or what it finds cannot be selected from.
    """
    make = await asyncio.to_thread(SOURCES.load, entry.source)  # imports read files
    source: Source = make(tools.context)
    intake = Intake(tools, entry.id)
    files = FileShelves(intake, entry, tools)
    setbacks: dict[str, SourceError] = {}
    looked_at = ""
    async for finding in source.resolve(entry):
        looked_at = place_of(finding) or looked_at
        try:
            await take(finding, intake, files, entry, tools)
        except SourceError as error:
            if not is_part(finding):
                raise
            setbacks.setdefault(finding.path, named(error, finding.path))
        if isinstance(finding, Setback):
            setbacks[f"setback {len(setbacks)}"] = finding.error
    await files.finish()
    if setbacks:
        raise together(list(setbacks.values()))
    if not intake.count.objects and not await known_objects(entry.id, tools):
        where = f" at {looked_at}" if looked_at else ""
        raise SourceError(
            f"dataset {entry.id!r}: nothing to fetch{where}; check its url and its include and exclude globs",
            location=looked_at or None,
        )


def is_part(finding: Finding) -> TypeGuard[TreeFound | FilesFound]:
    """Whether the rest of the dataset comes without it: one of several trees, or files that belong to one."""
    if isinstance(finding, TreeFound):
        return finding.asset or finding.part
    return isinstance(finding, FilesFound) and bool(finding.path)


def place_of(finding: Finding) -> str:
    """Where a finding was found; empty for what is no data."""
    if isinstance(finding, TreeFound):
        return str(finding.tree.base)
    return finding.base if isinstance(finding, FilesFound) else ""


async def take(finding: Finding, intake: Intake, files: FileShelves, entry: Any, tools: PlanTools) -> None:
    """Bring one finding into the ledger, or to its place (Any: as for :func:`compile_dataset`).

    Raises
    ------
    SourceError
        What is found cannot be selected from.
    """
    if isinstance(finding, FilesFound):
        await files.take(finding)
    elif isinstance(finding, TreeFound):
        await take_tree(intake, finding, entry, tools)
    elif isinstance(finding, Kept):
        await keep_document(intake, finding, tools.documents)


async def known_objects(dataset: str, tools: PlanTools) -> int:
    """Objects that earlier, interrupted compiles of this plan have named."""
    tallies: list[Tally] = await tools.ledger.call("tallies")
    return sum(sum(tally.objects.values()) for tally in tallies if tally.dataset == dataset)
