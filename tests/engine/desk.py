"""A root and what it takes to run engines over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from emasync.disk.interface import Sink
from emasync.disk.sink import LocalSink
from emasync.disk.writers import WriterPool
from emasync.engine.endings import EngineOutcome
from emasync.engine.engine import Engine, Planner
from emasync.engine.interface import Threads
from emasync.ledger.interface import LedgerCalls
from emasync.ledger.store import SqliteLedger
from emasync.ledger.thread import LedgerThread
from emasync.model.clock import SystemClock
from emasync.model.digest import Span, Validator
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.model.task import ObjectEntry, State, TaskSetSpec
from emasync.settings import Settings
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Fetcher, Head, Receiver

BASE = "https://example.org/b"

PART = 4 << 10


class Desk:
    """A root, and what it takes to run engines over it one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fetcher = MemoryFetcher(block_bytes=1 << 10)
        self.settings = Settings(
            small_object_bytes=1 << 10, hosts={"example.org": {"part_bytes": PART, "max_connections": 4}}
        )
        self.events: list[Event] = []
        self.engine: Engine | None = None
        self.wrap_sink: Callable[[LocalSink], Sink] = lambda sink: sink
        self.wrap_ledger: Callable[[LedgerThread], LedgerCalls] = lambda ledger: ledger
        self.wrap_threads: Callable[[WriterPool], Threads] = lambda threads: threads
        self.boot_id: str | None = None
        self.wrap_fetcher: Callable[[MemoryFetcher], Fetcher] = lambda fetcher: fetcher

    def put(self, objects: Mapping[str, bytes]) -> None:
        for key, data in objects.items():
            self.fetcher.put(f"{BASE}/{key}", data)

    def file(self, key: str) -> Path:
        return self.root / "d" / key

    def content(self, keys: Iterable[str]) -> dict[str, bytes]:
        return {key: self.file(key).read_bytes() for key in keys}

    def partials(self) -> list[Path]:
        folder = self.root / ".emasync" / "partial"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def asked(self) -> list[tuple[str, int | None]]:
        """Key and first byte of every transfer so far."""
        return [
            (row.location.removeprefix(BASE + "/"), row.span.start if isinstance(row.span, Span) else None)
            for row in self.fetcher.log
        ]

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[LedgerThread]:
        state = self.root / ".emasync"
        async with LedgerThread(lambda: self._open_ledger(state)) as ledger:
            yield ledger

    def _open_ledger(self, state: Path) -> SqliteLedger:
        return SqliteLedger.open(state, root=self.root, clock=SystemClock(), boot_id=self.boot_id)

    async def plan(self, *entries: ObjectEntry, absent_ok: bool = False, dataset: str = "d") -> None:
        spec = TaskSetSpec(dataset=dataset, base=BASE, destination=dataset, absent_ok=absent_ok)
        async with self.ledger() as ledger:
            await ledger.call("begin_plan", dataset, "0" * 64)
            set_id = await ledger.call("add_set", spec)
            await ledger.call("add_entries", set_id, list(entries))
            await ledger.call("finish_set", set_id)
            await ledger.call("finish_plan", dataset)

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[Engine]:
        threads = WriterPool(2)
        local = await asyncio.to_thread(LocalSink, self.root)
        async with self.ledger() as ledger:
            self.engine = Engine(
                fetcher=self.wrap_fetcher(self.fetcher),
                sink=self.wrap_sink(local),
                ledger=self.wrap_ledger(ledger),
                threads=self.wrap_threads(threads),
                settings=self.settings,
                on_event=self.events.append,
                **options,
            )
            try:
                yield self.engine
            finally:
                await threads.aclose()
                await asyncio.to_thread(local.close)

    async def run(self, planner: Planner | None = None, **options: Any) -> EngineOutcome:
        async with self.opened(**options) as engine:
            return await engine.run(planner)

    async def objects(self, state: State, dataset: str = "d") -> int:
        async with self.ledger() as ledger:
            tallies = await ledger.call("tallies")
        return sum(tally.objects.get(state, 0) for tally in tallies if tally.dataset == dataset)

    async def kinds(self, dataset: str = "d") -> list[str]:
        """Kinds of the recorded failures."""
        async with self.ledger() as ledger:
            _, failures = await ledger.call("failures", dataset, 100)
        return sorted(str(failure.kind) for failure in failures)

    def policy(self, **fields: float) -> None:
        hosts = {"example.org": {**self.settings.hosts["example.org"], **fields}}
        self.settings = replace(self.settings, hosts=hosts)


class Meddled(MemoryFetcher):
    """Lets a test act before each transfer: change the object, raise, wait, or ask for another span.

    `meddle` is told the receiver and the span, and gives the span that is really asked for.
    """

    def __init__(
        self, objects: Mapping[str, bytes], meddle: Callable[[Receiver, Span | None], Awaitable[Span | None]]
    ) -> None:
        super().__init__(objects)
        self._meddle = meddle

    async def transfer(
        self,
        location: Location,
        receiver: Receiver,
        *,
        span: Span | None = None,
        validator: Validator | None = None,
    ) -> Head:
        asked = await self._meddle(receiver, span)
        return await super().transfer(location, receiver, span=asked, validator=validator)
