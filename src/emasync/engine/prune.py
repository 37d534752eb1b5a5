"""Files that the present plans no longer name, and files of ours that nobody stands for: looked at, then removed.

A file goes only while it is what was written: size and CRC-32C. Its row goes first, durably, and leaves the file a
leftover (law 2): a stop between both is made up for by the next prune or run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, NamedTuple

from emasync.disk.crc import crc32c_of
from emasync.disk.interface import FileFacts, Sink
from emasync.engine.interface import Threads
from emasync.engine.recovery import PAGE, REMOVED, pages
from emasync.errors import InterruptedRunError
from emasync.ledger.housekeeping import Leftover
from emasync.ledger.interface import LedgerCalls, Row
from emasync.model.task import State

READ_BYTES: Final = 1 << 20
"""In one call, and between two looks whether to stop."""

JOB_BYTES: Final = 64 << 20
"""Most bytes in one hop to a thread, but for a larger file."""

MAX_NAMED: Final = 1_000
"""Changed files of a dataset that are named; all are counted (law 4)."""

DROPPED: Final = "dropped"
"""Digest of the plan of a dataset that is wanted no more: it names nothing."""


class Doomed(NamedTuple):
    """A file that may go, and the row that stands for it; None for a leftover."""

    file: Leftover
    row: Row | None = None


class Judged(NamedTuple):
    """What is there.

    Attributes
    ----------
    doomed : Doomed
    state : {"ours", "gone", "changed"}
    facts : FileFacts or None
        When its bytes were read.
    """

    doomed: Doomed
    state: Literal["ours", "gone", "changed"]
    facts: FileFacts | None = None


@dataclass(slots=True)
class Cleared:
    """What went, or would go. Mutable: the loop that removes changes it.

    Attributes
    ----------
    objects, size_bytes : int
        Files removed.
    gone : int
        Were not there any more.
    changed : int
        Stay: somebody changed them.
    changed_files : list of str
        The first of them, relative to the root.
    folders : int
        Removed because they became empty.
    """

    objects: int = 0
    size_bytes: int = 0
    gone: int = 0
    changed: int = 0
    changed_files: list[str] = field(default_factory=list)
    folders: int = 0

    def stays(self, destination: str) -> None:
        """Count a file that somebody changed."""
        self.changed += 1
        if len(self.changed_files) < MAX_NAMED:
            self.changed_files.append(destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruner:
    """Removes files of one root.

    Attributes
    ----------
    ledger, sink, threads : of the root
    remove_folders : callable
        Takes folders away, and those they lie in, as far as they are empty; gives how many.
    dry_run : bool
        Look, and change nothing.
    """

    ledger: LedgerCalls
    sink: Sink
    threads: Threads
    remove_folders: Callable[[Iterable[str]], int]
    dry_run: bool = False

    async def leftovers(self) -> Cleared:
        """Files of ours that no object stands for."""
        cleared, after = Cleared(), ""
        while found := await self.ledger.call("leftovers", PAGE, after):
            after = found[-1].destination
            await self._clear([Doomed(item) for item in found], cleared)
        return cleared

    async def unwanted(self, dataset: str) -> Cleared:
        """Files of a dataset that its plan no longer names."""
        cleared = Cleared()
        async for rows in self._unwanted(dataset):
            await self._clear([doomed(row) for row in rows], cleared)
        return cleared

    async def drop(self, dataset: str) -> Cleared:
        """All files of a dataset; its plan names nothing from now on."""
        if self.dry_run:
            cleared = await self.unwanted(dataset)
            for state in (State.SEALED, State.PLACED):
                async for rows in pages(self.ledger, dataset=dataset, state=state):
                    await self._clear([doomed(row) for row in rows], cleared)
            return cleared
        await self.ledger.call("begin_plan", dataset, DROPPED)
        await self.ledger.call("finish_plan", dataset)
        return await self.unwanted(dataset)

    async def _unwanted(self, dataset: str) -> AsyncIterator[list[Row]]:
        rows: Iterator[Row] = await self.ledger.call("unwanted", dataset)
        while page := await self.ledger.call(lambda _: list(islice(rows, PAGE))):
            yield page

    async def _clear(self, page: Sequence[Doomed], cleared: Cleared) -> None:
        judged = await self._judge(page)
        going = [item for item in judged if item.state != "changed"]
        for item in judged:
            if item.state == "changed":
                cleared.stays(item.doomed.file.destination)
        ours = [item for item in going if item.facts is not None]
        cleared.gone += len(going) - len(ours)
        stayed = [] if self.dry_run else await self._remove(page, going, ours, cleared)
        for name in stayed:
            cleared.stays(name)
        removed = [item for item in ours if item.doomed.file.destination not in stayed]
        cleared.objects += len(removed)
        cleared.size_bytes += sum(item.doomed.file.size_bytes or 0 for item in removed)

    async def _remove(
        self, page: Sequence[Doomed], going: Sequence[Judged], ours: Sequence[Judged], cleared: Cleared
    ) -> frozenset[str]:
        """The rows, then the files, then the memory of them; gives files that were changed in the last moment."""
        rows = [item.doomed.row for item in going if item.doomed.row is not None]
        if rows:
            await self.ledger.call("retire", rows)
        stayed = await self.threads.submit(_remove_unchanged, self.sink, ours)
        names = [item.doomed.file.destination for item in going]
        cleared.folders += await self.threads.submit(self._settle, names)
        # a leftover that somebody changed is not ours any more
        forgotten = names + [item.file.destination for item in page if item.row is None]
        await self.ledger.call("forget_leftovers", list(dict.fromkeys(forgotten)))
        return stayed

    def _settle(self, names: Sequence[str]) -> int:
        """Removals are durable before the ledger forgets the files."""
        removed = self.remove_folders({name.rpartition("/")[0] for name in names})
        self.sink.sync_folders()
        return removed

    async def _judge(self, page: Sequence[Doomed]) -> list[Judged]:
        stop = threading.Event()
        jobs = [self.threads.submit(_look_at, self.sink, job, stop) for job in _jobs(page)]
        try:
            return [item for job in jobs for item in await job]
        finally:
            stop.set()
            await asyncio.gather(*jobs, return_exceptions=True)


def doomed(row: Row) -> Doomed:
    """The file of a row."""
    return Doomed(Leftover(destination=row.destination, size_bytes=row.size_bytes, crc32c=row.crc32c), row)


def _jobs(page: Sequence[Doomed]) -> Iterator[list[Doomed]]:
    job: list[Doomed] = []
    left_bytes = JOB_BYTES
    for item in page:
        job.append(item)
        left_bytes -= item.file.size_bytes or 0
        if left_bytes <= 0:
            yield job
            job, left_bytes = [], JOB_BYTES
    if job:
        yield job


def _look_at(sink: Sink, job: Sequence[Doomed], stop: threading.Event) -> list[Judged]:
    """In a thread: read what may go."""
    buffer = memoryview(bytearray(READ_BYTES))
    found = []
    for item in job:
        facts = sink.stat(item.file.destination)
        if facts is None:
            found.append(Judged(item, "gone"))
            continue
        same = facts.size_bytes == item.file.size_bytes and _crc(sink, item.file, buffer, stop) == item.file.crc32c
        found.append(Judged(item, "ours", facts) if same else Judged(item, "changed"))
    return found


def _crc(sink: Sink, file: Leftover, buffer: memoryview, stop: threading.Event) -> int:
    crc = 0
    for piece in sink.scan_final(file.destination, 0, file.size_bytes or 0, buffer):
        if stop.is_set():
            raise InterruptedRunError("interrupted while files were read that may go; prune again to go on")
        crc = crc32c_of(piece, crc)
    return crc


def _remove_unchanged(sink: Sink, ours: Sequence[Judged]) -> frozenset[str]:
    """In a thread: remove files that are still those that were read; gives the others."""
    stayed = set()
    for item in ours:
        name = item.doomed.file.destination
        if sink.stat(name) != item.facts:
            stayed.add(name)
            continue
        sink.retract(name, REMOVED)
        sink.discard(REMOVED)
    return frozenset(stayed)
