"""The one door from findings into the ledger: names are mapped, guards are held, sleepers are woken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from emasync.errors import DestinationError, ErrorKind
from emasync.ledger.interface import Admission, Clash, Failed
from emasync.model.events import Event, EventName, EventValue
from emasync.model.redaction import redact
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.plan.choice import Wanted
from emasync.plan.guards import Demand
from emasync.plan.layout import Layout, kept_place
from emasync.plan.tools import PlanTools
from emasync.sources.interface import FilesFound, TreeFound

MAY_BE_MISSING_ASSET = ":may-be-missing"
"""Ends the asset of a set whose objects the manifest accepts to be missing (``allow_missing``)."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """An open task set.

    Attributes
    ----------
    set_id : int
    spec : TaskSetSpec
    """

    set_id: int
    spec: TaskSetSpec


@dataclass(slots=True)
class Count:
    """What a compile has named so far (mutable).

    Attributes
    ----------
    objects : int
    known_bytes : int
        Sum of the sizes that are known.
    """

    objects: int = 0
    known_bytes: int = 0


class Intake:
    """Brings one dataset's findings into the ledger.

    Parameters
    ----------
    tools : PlanTools
    dataset : str
    path : str
        What the source calls the tree that is taken in; empty for the dataset itself.
    count : Count, optional
        Shared by all intakes of one compile.
    may_be_missing : Wanted, optional
        Globs of what is accepted to be missing (``allow_missing``); nothing by default.
    layout : Layout, optional
        Settled for what is taken in; the plan's own by default.

    Attributes
    ----------
    dataset : str
    path : str
        Folder of the tree below the dataset's, empty for that folder itself.
    count : Count
    """

    def __init__(
        self,
        tools: PlanTools,
        dataset: str,
        path: str = "",
        count: Count | None = None,
        may_be_missing: Wanted | None = None,
        *,
        layout: Layout | None = None,
    ) -> None:
        self.dataset = dataset
        self.count = count if count is not None else Count()
        self._layout = layout if layout is not None else tools.layout
        self.path = self._layout.tree(path)
        self._source_path = path
        self._tools = tools
        self._may_be_missing = may_be_missing
        self._open: dict[TaskSetSpec, Shelf] = {}

    @property
    def home(self) -> str:
        """Folder of the dataset's data, relative to the root."""
        return self._layout.folder(self.dataset)

    @property
    def folder(self) -> str:
        """Folder that destinations lie in, relative to the root."""
        return f"{self.home}/{self.path}" if self.path else self.home

    async def taking(self, found: FilesFound | TreeFound) -> Intake:
        """The intake of one finding, whose place is settled with this.

        Raises
        ------
        SourceError
            The layout lacks what would tell its place.
        """
        layout = await self._tools.layout.settle(self.dataset, found, self._tools.documents)
        return Intake(self._tools, self.dataset, found.path, self.count, self._may_be_missing, layout=layout)

    def accepting(self, may_be_missing: Wanted | None) -> Intake:
        """The same intake, which accepts that some of what it takes is missing."""
        return Intake(self._tools, self.dataset, self._source_path, self.count, may_be_missing, layout=self._layout)

    def place(self, path: str) -> str:
        """Place of a path below the tree's folder.

        Raises
        ------
        DestinationError
            The layout has none for it.
        """
        return self._layout.place(path)

    def kept(self, path: str) -> str:
        """Where the document called `path` in the tree is kept as received, relative to the root.

        Raises
        ------
        DestinationError
            No reversible name fits.
        """
        return kept_place(self.dataset, self.named(path))

    def named(self, path: str) -> str:
        """What the source calls `path` of this tree, below the dataset."""
        return "/".join(part for part in (self._source_path, path) if part)

    async def shelf(self, base: str, *, asset: str, rank: int, encoded: bool = False, absent_ok: bool = False) -> Shelf:
        """Open a listed set whose keys, or paths, lie below the dataset's folder."""
        spec = TaskSetSpec(
            dataset=self.dataset,
            asset=asset,
            rank=rank,
            base=base,
            destination=self.folder,
            encoded=encoded,
            absent_ok=absent_ok,
        )
        return await self.open(spec)

    async def open(self, spec: TaskSetSpec) -> Shelf:
        """Open a task set, or find it again. A gridded one is complete with this.

        Globs over paths are asked for a grid's first chunk: a grid is a formula.
        """
        if spec.grid is not None and len(spec.grid) and self._may_be_missing is not None:
            inside = "/".join(part for part in (spec.asset, spec.grid.key(0)) if part)
            if self._may_be_missing(inside):
                spec = replace(spec, absent_ok=True, accepted=True)
        if (known := self._open.get(spec)) is not None:
            return known
        shelf = self._open[spec] = Shelf(await self._tools.ledger.call("add_set", spec), spec)
        if spec.grid is not None:
            self.count.objects += len(spec.grid)
            await self._hold_guard()
            self._tools.wake()
        self._tell("asset_planned", asset=spec.asset, location=spec.base)
        return shelf

    async def _optional(self, shelf: Shelf) -> Shelf:
        """The set beside `shelf` of what may be missing."""
        asset = shelf.spec.asset + MAY_BE_MISSING_ASSET
        return await self.open(replace(shelf.spec, asset=asset, absent_ok=True, accepted=True))

    async def forget(self, destinations: Sequence[str]) -> None:
        """Files that were fetched for an earlier plan are gone, or ours now: no later plan may count on them."""
        await self._tools.ledger.call("forget_leftovers", destinations)

    def count_written(self, count: int) -> None:
        """Documents of ours count as found: a subset may consist of little else."""
        self.count.objects += count

    async def resume_point(self, shelf: Shelf) -> str | None:
        """Last key of an interrupted listing; None at the beginning."""
        cursor: str | None = await self._tools.ledger.call("cursor", shelf.set_id)
        return cursor

    async def finished(self, shelf: Shelf) -> bool:
        """Whether the set is listed to its end."""
        return bool(await self._tools.ledger.call("set_finished", shelf.set_id))

    async def finish(self, shelf: Shelf) -> None:
        """The set is listed to its end."""
        await self._tools.ledger.call("finish_set", shelf.set_id)

    async def add(self, shelf: Shelf, entries: Sequence[ObjectEntry], *, cursor: str | None = None) -> None:
        """Admit one page.

        Parameters
        ----------
        shelf : Shelf
        entries : sequence of ObjectEntry
            ``path`` is where the source wants it below the dataset; None: the key.
        cursor : str, optional
            Where the listing stands, committed with the rows.

        Raises
        ------
        MachineError
            A guard does not hold.
        """
        if (accepts := self._may_be_missing) is not None and not shelf.spec.absent_ok:
            optional = [entry for entry in entries if accepts(path_of(entry))]
            if optional:
                names = {entry.key for entry in optional}
                entries = [entry for entry in entries if entry.key not in names]
                await self.add(await self._optional(shelf), optional)
        if not entries and cursor is None:
            return
        named, refused = place_all(entries, self._layout)
        admission: Admission = await self._tools.ledger.call("add_entries", shelf.set_id, named, cursor)
        if refused:
            await self._fail(shelf, refused)
        self._report_clashes(shelf, admission.clashes)
        self.count.objects += len(entries)
        self.count.known_bytes += sum(entry.size_bytes or 0 for entry in entries)
        self._tell("plan_progress", objects=self.count.objects, known_bytes=self.count.known_bytes)
        await self._hold_guard()
        self._tools.wake()

    async def _fail(self, shelf: Shelf, refused: Iterable[tuple[ObjectEntry, DestinationError]]) -> None:
        facts = [
            Failed(
                set_id=shelf.set_id,
                key=entry.key,
                location=redact(shelf.spec.locate(entry.key)),
                kind=error.kind,
                message=error.message,
                attempts=0,
            )
            for entry, error in refused
        ]
        await self._tools.ledger.call("record", facts)
        for fact in facts:
            self._tell("failed", location=fact.location, kind=fact.kind, message=fact.message)

    def _report_clashes(self, shelf: Shelf, clashes: Iterable[Clash]) -> None:
        for clash in clashes:
            self._tell(
                "failed",
                location=redact(shelf.spec.locate(clash.key)) if clash.set_id == shelf.set_id else clash.destination,
                kind=ErrorKind.NAME_CLASH,
                message=f"{clash.destination}: its place is taken by {clash.other} ({clash.kind})",
            )

    async def _hold_guard(self) -> None:
        if self._tools.guard is not None:
            demand = Demand.of(await self._tools.ledger.call("tallies"))
            await asyncio.to_thread(self._tools.guard.check, demand)

    def _tell(self, event: EventName, **fields: EventValue) -> None:
        self._tools.context.on_event(Event(event, {"dataset": self.dataset, **fields}))


def path_of(item: ObjectEntry) -> str:
    """Path below the dataset, or its tree, as the source names it."""
    return item.path if item.path is not None else item.key


def place_all(
    entries: Iterable[ObjectEntry], layout: Layout
) -> tuple[list[ObjectEntry], list[tuple[ObjectEntry, DestinationError]]]:
    """Give every entry its place; a refused one keeps the name it came with, to be recorded as a failure.

    Returns
    -------
    tuple of list of ObjectEntry and list of (ObjectEntry, DestinationError)
        All entries, and the refused ones among them.
    """
    named: list[ObjectEntry] = []
    refused: list[tuple[ObjectEntry, DestinationError]] = []
    for entry in entries:
        try:
            named.append(placed(entry, layout))
        except DestinationError as error:
            named.append(entry)
            refused.append((entry, error))
    return named, refused


def placed(entry: ObjectEntry, layout: Layout) -> ObjectEntry:
    """`entry` with its place below the dataset's folder; ``path`` stays None where that is the key itself.

    Raises
    ------
    DestinationError
        The layout has no place for it.
    """
    key, _, path, *_ = entry
    place = layout.place(key if path is None else path)
    if place == key:
        return entry if path is None else entry._replace(path=None)
    return entry if place == path else entry._replace(path=place)
