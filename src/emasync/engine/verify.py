"""Files under their final names against what the ledger says of them. Nothing is changed here."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from emasync.disk.crc import crc32c_of
from emasync.disk.interface import Sink
from emasync.engine.interface import Threads
from emasync.engine.recovery import pages
from emasync.ledger.interface import Ledger, LedgerCalls, Piece, Row
from emasync.ledger.sittings import Sittings
from emasync.model.digest import Span
from emasync.model.task import State, TaskKey

READ_BYTES = 1 << 20
"""In one call: fits the processor's cache, so that the CRC reads what is still there."""

JOB_BYTES = 64 << 20
JOB_FILES = 512
"""Most of either in one hop to a thread."""

SMALLEST_IN_PARTS_BYTES = 64 << 10
"""Smaller files were never fetched in parts: that is the smallest part a manifest may ask for."""

SAMPLE_EVERY = 64
"""A quick look reads one file in so many, and of each large file one piece in so many, one at least."""

AHEAD = 2
"""Jobs that wait, a thread: none of them has to."""


class Flaw(NamedTuple):
    """What is wrong with one file.

    Attributes
    ----------
    row : Row
    kind : {"missing", "size", "bytes"}
    message : str
        Names the file, what was expected and what is there.
    bad : tuple of Span
        Spans whose bytes are others; empty: all of the file, or unknown.
    """

    row: Row
    kind: str
    message: str
    bad: tuple[Span, ...] = ()


class Look(NamedTuple):
    """One file to look at, and what of it to read at once.

    Attributes
    ----------
    row : Row
    pieces : tuple of Piece
        To be read and compared.
    stray : tuple of Piece
        Read instead, when somebody else wrote the file: all of it.
    """

    row: Row
    pieces: tuple[Piece, ...]
    stray: tuple[Piece, ...] = ()


class Seen(NamedTuple):
    """What a job found.

    Attributes
    ----------
    flaws : list of Flaw
    read_bytes : int
    """

    flaws: list[Flaw]
    read_bytes: int


class _Job(NamedTuple):
    """A job of a thread.

    Attributes
    ----------
    done : Future
    last : bool
        Of its page.
    """

    done: asyncio.Future[Seen]
    last: bool


@dataclass(slots=True)
class Inspection:
    """How far an inspection has come. Mutable: its loop changes it.

    Attributes
    ----------
    objects, size_bytes : int
        Looked at.
    read_bytes : int
        Of them, read and compared.
    flawed : int
    """

    objects: int = 0
    size_bytes: int = 0
    read_bytes: int = 0
    flawed: int = 0


class Inspector:
    """Looks at the files of a root.

    Parameters
    ----------
    ledger, sink, threads : of the root
    full : bool
        Read all bytes; otherwise sizes and times of all files, and a sample of bytes.
    seed : int
        Which sample; another one each day finds what the last did not look at.
    sittings : Sittings
        A file whose time lies in none of them is read.
    ahead : int
        Jobs at a time.
    """

    def __init__(
        self,
        *,
        ledger: LedgerCalls,
        sink: Sink,
        threads: Threads,
        full: bool,
        seed: int,
        sittings: Sittings,
        ahead: int | None = None,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._threads = threads
        self._full = full
        self._seed = seed
        self._sittings = sittings
        self._ahead = ahead or AHEAD * (os.cpu_count() or 1)
        self.seen = Inspection()

    def __repr__(self) -> str:
        return f"<Inspector {'full' if self._full else 'quick'} {self.seen!r}>"

    async def flaws(self, dataset: str) -> AsyncIterator[Flaw]:
        """Look at every placed file of `dataset`; one flaw a file, those of one file together.

        Threads have work while the next page is read: flaws are told a page at a time, when its last job is done.
        """
        under_way: deque[_Job] = deque()
        waiting: dict[tuple[int, str | int], Flaw] = {}
        try:
            async for page in pages(self._ledger, state=State.PLACED, dataset=dataset):
                jobs = list(_jobs(await self._looks(page)))
                for left, job in zip(range(len(jobs) - 1, -1, -1), jobs, strict=True):
                    done = self._threads.submit(_look_at, self._sink, job, self._sittings)
                    under_way.append(_Job(done, last=not left))
                    if len(under_way) >= self._ahead:
                        for flaw in await self._first(under_way, waiting):
                            yield flaw
            while under_way:
                for flaw in await self._first(under_way, waiting):
                    yield flaw
        finally:
            if under_way:
                await asyncio.wait([job.done for job in under_way])

    async def _first(self, under_way: deque[_Job], waiting: dict[tuple[int, str | int], Flaw]) -> list[Flaw]:
        """Wait for the job that began first; gives the flaws of its page when it is the last one there."""
        job = under_way[0]
        self._take(await job.done, waiting)
        under_way.popleft()
        if not job.last:
            return []
        flaws = list(waiting.values())
        waiting.clear()
        return flaws

    async def _looks(self, page: Sequence[Row]) -> list[Look]:
        def read(ledger: Ledger) -> dict[tuple[int, TaskKey], tuple[Piece, ...]]:
            large = (row for row in page if (row.size_bytes or 0) > SMALLEST_IN_PARTS_BYTES)
            return {(row.set_id, row.key): ledger.pieces(row.set_id, row.key) for row in large}

        known = await self._ledger.call(read)
        looks = []
        for row in page:
            size_bytes = row.size_bytes or 0
            pieces = known.get((row.set_id, row.key)) or (Piece(0, size_bytes, row.crc32c or 0),)
            self.seen.objects += 1
            self.seen.size_bytes += size_bytes
            looks.append(self._look(row, pieces))
        return looks

    def _look(self, row: Row, pieces: tuple[Piece, ...]) -> Look:
        if self._full:
            return Look(row, pieces)
        every = SAMPLE_EVERY if len(pieces) == 1 else min(SAMPLE_EVERY, len(pieces))  # one of a large file at least
        first = (self.seen.objects + self._seed) % every
        return Look(row, tuple(piece for index, piece in enumerate(pieces) if index % every == first), pieces)

    def _take(self, found: Seen, waiting: dict[tuple[int, str | int], Flaw]) -> None:
        self.seen.read_bytes += found.read_bytes
        for flaw in found.flaws:
            name = (flaw.row.set_id, flaw.row.key)
            known = waiting.get(name)
            if known is None:
                self.seen.flawed += 1
                waiting[name] = flaw
            elif known.kind == flaw.kind:
                waiting[name] = known._replace(bad=tuple(dict.fromkeys((*known.bad, *flaw.bad))))


def _jobs(looks: Sequence[Look]) -> Iterator[list[Look]]:
    """Small files together, pieces of large ones apart, so that all threads are busy."""
    job: list[Look] = []
    left_bytes = JOB_BYTES
    for look in looks:
        for part in _split(look):
            job.append(part)
            left_bytes -= sum(piece.stop - piece.start for piece in part.pieces)
            if left_bytes <= 0 or len(job) >= JOB_FILES:
                yield job
                job, left_bytes = [], JOB_BYTES
    if job:
        yield job


def _split(look: Look) -> Iterator[Look]:
    """A look in steps of :data:`JOB_BYTES`; only the first one asks about a stray."""
    start = 0
    while True:
        stop, size_bytes = start, 0
        while stop < len(look.pieces) and size_bytes < JOB_BYTES:
            size_bytes += look.pieces[stop].stop - look.pieces[stop].start
            stop += 1
        yield look._replace(pieces=look.pieces[start:stop], stray=look.stray if start == 0 else ())
        start = stop
        if start >= len(look.pieces):
            return


def _look_at(sink: Sink, looks: Sequence[Look], sittings: Sittings) -> Seen:
    """In a thread."""
    buffer = memoryview(bytearray(READ_BYTES))
    flaws, read_bytes = [], 0
    for look in looks:
        row = look.row
        facts = sink.stat(row.destination)
        if facts is None:
            flaws.append(Flaw(row, "missing", f"{row.destination} is not there (or is no regular file)"))
            continue
        if facts.size_bytes != row.size_bytes:
            message = f"{row.destination} has {facts.size_bytes} bytes, it was placed with {row.size_bytes}"
            flaws.append(Flaw(row, "size", message))
            continue
        strange = look.stray and not sittings.hold(facts.mtime_ns / 1e9)
        pieces = look.stray if strange else look.pieces
        bad = bad_pieces(sink, row.destination, pieces, buffer)
        read_bytes += sum(piece.stop - piece.start for piece in pieces)
        if bad:
            flaws.append(_other_bytes(row, bad))
    return Seen(flaws, read_bytes)


def bad_pieces(sink: Sink, destination: str, pieces: Sequence[Piece], buffer: memoryview) -> list[Piece]:
    """In a thread: those of `pieces` whose bytes on disk are others; `buffer` is what they are read into."""
    return [piece for piece in pieces if _crc(sink, destination, piece, buffer) != piece.crc32c]


def _crc(sink: Sink, destination: str, piece: Piece, buffer: memoryview) -> int:
    """CRC-32C of a piece as it lies on disk; of less when the file ends early."""
    crc = 0
    for data in sink.scan_final(destination, piece.start, piece.stop, buffer):
        crc = crc32c_of(data, crc)
    return crc


def _other_bytes(row: Row, bad: Sequence[Piece]) -> Flaw:
    spans = tuple(Span(piece.start, piece.stop) for piece in bad)
    whole = len(spans) == 1 and spans[0] == Span(0, row.size_bytes or 0)
    where = "" if whole else f" in {len(spans)} of its parts, the first at byte {spans[0].start}"
    return Flaw(row, "bytes", f"{row.destination} has other bytes than were checked and placed{where}", spans)
