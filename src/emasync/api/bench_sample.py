"""What a measurement asks for: a sample of the planned objects, by origin, small and large apart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

from emasync.errors import EmasyncError
from emasync.ledger.interface import LedgerCalls, Tally
from emasync.ledger.store import SqliteLedger
from emasync.ledger.thread import LedgerThread
from emasync.manifest.entry import Entry
from emasync.manifest.manifest import Manifest
from emasync.model.clock import Clock
from emasync.model.digest import Span
from emasync.model.events import OnEvent
from emasync.model.location import Location
from emasync.model.receipt import Failure
from emasync.model.task import State
from emasync.plan.compile import compile_datasets
from emasync.plan.layout import layout_for
from emasync.plan.tools import PlanTools
from emasync.plan.verdict import decisive
from emasync.plan.written import MemoryDocuments
from emasync.settings import Settings
from emasync.sources.interface import SourceContext
from emasync.transport.governed import GovernedFetcher
from emasync.transport.mirrors import Mirrors

MOST_OBJECTS: Final = 20_000
"""Objects of a sample; listing goes no further."""

MOST_PROBED: Final = 64
"""Objects whose size nobody said and which are asked for it."""

NAMED_FAILURES: Final = 10

Kind = Literal["large", "small"]


@dataclass(frozen=True, slots=True)
class Item:
    """One object to be fetched."""

    location: Location
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Objects of one origin and one kind.

    Attributes
    ----------
    origin : str
        That is asked (a mirror's, where one stands in).
    host : Location
        Any place of it, for its policy.
    kind : {"large", "small"}
        Large ones are fetched in parts.
    items : tuple of Item
        Not empty; bounded by :data:`MOST_OBJECTS`.
    """

    origin: str
    host: Location
    kind: Kind
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What planning found, as far as it went.

    Attributes
    ----------
    samples : tuple of Sample
    failures : tuple of Failure
        Named ones: datasets that could not be planned.
    """

    samples: tuple[Sample, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Plans as a run does, into a ledger that is thrown away, until there are enough objects.

    Attributes
    ----------
    fetcher : GovernedFetcher
    settings : Settings
    clock : Clock
    on_event : callable
    limit_s : float
        Longest planning.
    """

    fetcher: GovernedFetcher
    settings: Settings
    clock: Clock
    on_event: OnEvent
    limit_s: float

    async def take(self, manifest: Manifest, entries: Sequence[Entry]) -> Found:
        """Sample the objects that `entries` of `manifest` want.

        Raises
        ------
        MachineError
            Of the temporary ledger.
        """
        async with AsyncExitStack() as stack:
            folder = await asyncio.to_thread(TemporaryDirectory, prefix="emasync-bench-")
            stack.push_async_callback(asyncio.to_thread, folder.cleanup)
            path = Path(folder.name)
            ledger = await stack.enter_async_context(
                LedgerThread(lambda: SqliteLedger.open(path, root=path, clock=self.clock))
            )
            await self._plan(ledger, manifest, entries)
            rows: list[_Row] = []
            failures: list[Failure] = []
            for entry in entries:
                rows += await ledger.call(_pending, entry.id, MOST_OBJECTS // len(entries))
                failures += (await ledger.call("failures", entry.id, NAMED_FAILURES))[1]
        return Found(tuple(self._apart(await self._sized(rows))), tuple(failures[:NAMED_FAILURES]))

    async def _plan(self, ledger: LedgerThread, manifest: Manifest, entries: Sequence[Entry]) -> None:
        pages = asyncio.Event()
        tools = PlanTools(
            context=SourceContext(fetcher=self.fetcher, settings=self.settings, on_event=self.on_event),
            ledger=ledger,
            layout=layout_for(manifest.layout),
            documents=MemoryDocuments(),
            wake=pages.set,
        )
        try:
            async with asyncio.TaskGroup() as group:
                planning = group.create_task(compile_datasets(entries, tools))
                enough = group.create_task(_enough(ledger, pages))
                late = group.create_task(self.clock.sleep(self.limit_s))
                await asyncio.wait((planning, enough, late), return_when=asyncio.FIRST_COMPLETED)
                for task in (planning, enough, late):
                    task.cancel()
        except ExceptionGroup as failures:
            raise decisive(failures) from failures

    async def _sized(self, rows: Sequence[_Row]) -> list[Item]:
        """The rows with their sizes; some whose size is not known are asked for it."""
        known = [Item(Location.parse(location), size_bytes) for location, size_bytes in rows if size_bytes]
        unknown = (Location.parse(location) for location, size_bytes in rows if size_bytes is None)
        asked = [await self._probed(location) for location in islice(unknown, MOST_PROBED)]
        return [*known, *(item for item in asked if item is not None)]

    async def _probed(self, location: Location) -> Item | None:
        try:
            document = await self.fetcher.read(location, span=Span(0, 1))
        except EmasyncError:
            return None  # an absent chunk, or what the measurement would trip over as well
        return Item(location, document.head.total_bytes) if document.head.total_bytes else None

    def _apart(self, items: Iterable[Item]) -> Iterable[Sample]:
        mirrors, groups = Mirrors(self.settings.mirrors), dict[tuple[str, Kind], list[Item]]()
        hosts: dict[str, Location] = {}
        for item in items:
            asked = mirrors.route(item.location).asked
            hosts.setdefault(asked.origin, asked)
            kind: Kind = "small" if item.size_bytes <= self.settings.small_object_bytes else "large"
            groups.setdefault((asked.origin, kind), []).append(item)
        for (origin, kind), members in sorted(groups.items()):
            yield Sample(origin=origin, host=hosts[origin], kind=kind, items=tuple(members))


_Row = tuple[str, int | None]


def _pending(ledger: SqliteLedger, dataset: str, limit: int) -> list[_Row]:
    rows = ledger.rows(dataset=dataset, state=State.PENDING)
    return [(row.location, row.size_bytes) for row in islice(rows, limit)]


async def _enough(ledger: LedgerCalls, pages: asyncio.Event) -> None:
    """Return when the ledger has as many objects as a sample."""
    objects = 0
    while objects < MOST_OBJECTS:
        await pages.wait()
        pages.clear()
        tallies: list[Tally] = await ledger.call("tallies")
        objects = sum(sum(tally.objects.values()) for tally in tallies)
