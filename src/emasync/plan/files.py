"""Files that a source names one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from emasync.errors import NotFoundError, RangeNotSatisfiedError
from emasync.ledger.interface import Tally
from emasync.model.digest import Span
from emasync.model.events import Event
from emasync.model.globs import Selection
from emasync.model.packing import pack_validator
from emasync.model.task import ObjectEntry, TaskSetSpec, escape_for_log
from emasync.plan.choice import Wanted
from emasync.plan.intake import Intake, Shelf, path_of
from emasync.plan.tools import PlanTools
from emasync.sources.interface import FilesFound

AT_ONCE: Final = 16
"""Files asked about at the same time; the origin's limiter may allow fewer."""


class FileShelves:
    """Sets of named files: one a base.

    Parameters
    ----------
    intake : Intake
    entry : manifest entry
        Any: each source has an entry model of its own; ``selection`` and ``allow_missing`` are in all of them.
    tools : PlanTools
    """

    def __init__(self, intake: Intake, entry: Any, tools: PlanTools) -> None:
        self._intake = intake.accepting(may_be_missing(entry))
        self._globs: Selection = entry.selection
        self._tools = tools
        self._open: dict[int, Shelf] = {}
        self._fresh: bool | None = None

    async def take(self, found: FilesFound) -> None:
        """Admit one page; what the globs leave out is left out.

        Raises
        ------
        MachineError
            A guard does not hold.
        SourceError
            The layout lacks what would tell where the files belong.
        TransportError
            A file that is on disk could not be compared (``--refresh``).
        """
        wanted = [item for item in found.entries if self._globs.wants(path_of(item))]
        if not wanted:
            return
        if self._tools.refresh and not await self._nothing_on_disk():
            wanted = await self._asked(found, wanted)
        intake = await self._intake.taking(found)
        shelf = await intake.shelf(found.base, asset=found.asset, rank=found.rank, encoded=found.encoded)
        self._open[shelf.set_id] = shelf
        await intake.add(shelf, wanted)

    async def finish(self) -> None:
        """All files are named."""
        for shelf in self._open.values():
            await self._intake.finish(shelf)

    async def _nothing_on_disk(self) -> bool:
        """Whether there is nothing to compare."""
        if self._fresh is None:
            tallies: list[Tally] = await self._tools.ledger.call("tallies")
            self._fresh = not any(tally.on_disk for tally in tallies if tally.dataset == self._intake.dataset)
        return self._fresh

    async def _asked(self, found: FilesFound, entries: list[ObjectEntry]) -> list[ObjectEntry]:
        """Ask about files of which nobody says what would tell another version: one byte each."""
        spec = TaskSetSpec(dataset=self._intake.dataset, base=found.base, destination="", encoded=found.encoded)
        answers: dict[str, ObjectEntry] = {}

        async def work(waiting: Iterator[ObjectEntry]) -> None:
            for entry in waiting:
                answers[entry.key] = await self._ask(spec, entry)

        silent = [entry for entry in entries if entry.listed is None and not entry.digests]
        waiting = iter(silent)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(silent))):
                group.create_task(work(waiting))
        return [answers.get(entry.key, entry) for entry in entries]

    async def _ask(self, spec: TaskSetSpec, entry: ObjectEntry) -> ObjectEntry:
        location = spec.locate(entry.key)
        try:
            head = (await self._tools.context.fetcher.read(location, span=Span(0, 1))).head
        except RangeNotSatisfiedError:
            return entry._replace(size_bytes=0)
        except NotFoundError:
            message = f"{escape_for_log(path_of(entry))} is not at its place any more; what is on disk stays"
            self._tools.context.on_event(Event("warning", {"dataset": spec.dataset, "message": message}))
            return entry
        size_bytes = entry.size_bytes if entry.size_bytes is not None else head.total_bytes
        return entry._replace(size_bytes=size_bytes, listed=pack_validator(head.validator))


def may_be_missing(entry: Any, lead: str = "") -> Wanted | None:
    """Globs of what a manifest entry accepts to be missing (Any: each source has an entry model of its own).

    Parameters
    ----------
    lead : str
        As in :class:`~emasync.plan.choice.Wanted`.
    """
    return Wanted(Selection(entry.allow_missing), lead) if entry.allow_missing else None
