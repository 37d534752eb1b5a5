from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from emasync.ledger.interface import Row, Tally
from emasync.ledger.store import SqliteLedger
from emasync.ledger.thread import LedgerThread
from emasync.manifest.load import manifest_from_object
from emasync.model.clock import SystemClock
from emasync.model.events import Event
from emasync.model.receipt import Failure
from emasync.plan.compile import compile_dataset
from emasync.plan.guards import Guard
from emasync.plan.layout import MirrorLayout
from emasync.plan.tools import PlanTools
from emasync.plan.written import MemoryDocuments
from emasync.settings import Settings
from emasync.sources.interface import SourceContext
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Fetcher


@dataclass
class Bench:
    """A root to plan into: a real ledger, documents in memory, objects in memory."""

    folder: Path
    fetcher: MemoryFetcher = field(default_factory=MemoryFetcher)
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    events: list[Event] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    guard: Guard | None = None
    woken: int = 0
    entry: dict[str, object] = field(default_factory=dict)

    @asynccontextmanager
    async def tools(self, fetcher: Fetcher | None = None) -> AsyncIterator[PlanTools]:
        def wake() -> None:
            self.woken += 1

        opener: Callable[[], SqliteLedger] = lambda: SqliteLedger.open(  # noqa: E731  # a closure for the thread
            self.folder / ".emasync", root=self.folder, clock=SystemClock()
        )
        async with LedgerThread(opener) as ledger:
            yield PlanTools(
                context=SourceContext(
                    fetcher=fetcher or self.fetcher, settings=self.settings, on_event=self.events.append
                ),
                ledger=ledger,
                layout=MirrorLayout(),
                documents=self.documents,
                guard=self.guard,
                wake=wake,
            )

    async def manifest_entry(self, **entry: object) -> Any:
        data = {"id": "d", "source": "bucket", "url": "s3://bucket/p", **self.entry, **entry}
        manifest = await asyncio.to_thread(manifest_from_object, {"version": 1, "datasets": [data]})
        return manifest.datasets[0]

    async def compile(self, *, refresh: bool = False, fetcher: Fetcher | None = None, **entry: object) -> bool:
        made = await self.manifest_entry(**entry)
        async with self.tools(fetcher) as tools:
            return await compile_dataset(made, replace(tools, refresh=refresh))

    async def rows(self) -> list[Row]:
        async with self.tools() as tools:
            return await tools.ledger.call(lambda ledger: list(ledger.rows()))  # type: ignore[no-any-return]  # the door knows no types

    async def destinations(self) -> dict[str, int | None]:
        rows = await self.rows()
        found = {row.destination.removeprefix("d/"): row.size_bytes for row in rows}
        assert len(found) == len(rows), "a destination is named twice"
        return found

    async def order(self) -> list[tuple[int, str]]:
        """Open sets: rank and asset."""
        async with self.tools() as tools:
            return [(item.spec.rank, item.spec.asset) for item in await tools.ledger.call("open_sets")]

    async def failures(self) -> list[Failure]:
        async with self.tools() as tools:
            _, named = await tools.ledger.call("failures", "d", 100)
            return list(named)

    async def tally(self) -> Tally:
        async with self.tools() as tools:
            tallies: list[Tally] = await tools.ledger.call("tallies")
            return tallies[0]

    def put(self, objects: Mapping[str, bytes]) -> None:
        for key, data in objects.items():
            self.fetcher.put(f"s3://bucket/{key}", data)

    def requests(self) -> list[str]:
        """Locations asked for since the last call."""
        asked = [call.location for call in self.fetcher.log]
        self.fetcher.log.clear()
        return asked

    def told(self, name: str) -> list[Mapping[str, Any]]:
        return [event.fields for event in self.events if event.event == name]


@pytest.fixture
def bench(tmp_path: Path, blockbuster: BlockBuster) -> Bench:
    # the thread has said that it is over when it is joined
    blockbuster.functions["threading.Lock.acquire"].can_block_in("emasync/ledger/thread.py", "aclose")
    return Bench(tmp_path)
