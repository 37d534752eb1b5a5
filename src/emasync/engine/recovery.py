"""What a stop left behind: finish renames, distrust what was not durable, notice what is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice

from emasync.disk.interface import Sink
from emasync.engine.digests import hash_pieces, read_pieces
from emasync.engine.interface import LedgerCalls, Threads
from emasync.errors import DestinationError, ErrorKind
from emasync.ledger.interface import Fact, Failed, Invalidated, Placed, Row
from emasync.model.task import State, partial_name

PAGE = 1_000
"""Rows looked at in one hop to a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found.

    Attributes
    ----------
    placed : int
        Sealed files whose rename was finished.
    dropped : int
        Objects that must be fetched again.
    """

    placed: int
    dropped: int


async def pages(ledger: LedgerCalls, **filters: object) -> AsyncIterator[list[Row]]:
    """Rows of the ledger, a page at a time; the ledger is free for others between pages."""
    rows: Iterator[Row] = await ledger.call("rows", **filters)
    while page := await ledger.call(lambda _: list(islice(rows, PAGE))):
        yield page


async def recover(ledger: LedgerCalls, sink: Sink, threads: Threads, suspect_after_epoch: int | None) -> Recovery:
    """Bring disk and ledger together after a stop (law 1).

    Parameters
    ----------
    suspect_after_epoch : int or None
        After an unclean stop, the durable epoch: placed files newer than it are read before they are trusted.
    """
    placed = dropped = 0
    async for page in pages(ledger, state=State.SEALED):
        facts = await threads.submit(_settle_sealed, sink, page)
        await ledger.call("record", facts, durable=True)
        placed += sum(isinstance(fact, Placed) for fact in facts)
        dropped += sum(isinstance(fact, Invalidated) for fact in facts)
    if suspect_after_epoch is not None:
        async for page in pages(ledger, state=State.PLACED, after_epoch=suspect_after_epoch):
            bad = await threads.submit(_distrust, sink, page)
            dropped += len(bad)
            if bad:
                await ledger.call("record", bad, durable=True)
    await threads.submit(sink.sync_folders)
    return Recovery(placed=placed, dropped=dropped)


async def sweep(ledger: LedgerCalls, sink: Sink, threads: Threads, dataset: str | None = None) -> int:
    """Look at every placed file (of `dataset`); those that are gone become pending, those of another size fail. Gives how many."""
    found = 0
    async for page in pages(ledger, state=State.PLACED, dataset=dataset):
        facts = await threads.submit(_missing, sink, page)
        found += len(facts)
        if facts:
            await ledger.call("record", facts, durable=True)
    return found


def holds(sink: Sink, row: Row) -> bool:
    """Whether the final file of `row` has its size and CRC-32C (reads it whole)."""
    facts = sink.stat(row.destination)
    if facts is None or facts.size_bytes != row.size_bytes:
        return False

    def read(offset: int, size_bytes: int) -> bytes:
        return sink.read_final(row.destination, offset, size_bytes)

    return hash_pieces(read_pieces(read, facts.size_bytes), ())[0] == row.crc32c


def _settle_sealed(sink: Sink, rows: list[Row]) -> list[Fact]:
    return [
        Placed(set_id=row.set_id, key=row.key) if _settle(sink, row) else Invalidated(set_id=row.set_id, key=row.key)
        for row in rows
    ]


def _settle(sink: Sink, row: Row) -> bool:
    """Sealed + partial: rename. Sealed + final: placed, if it is the same file."""
    name = partial_name(row.set_id, row.key, row.generation)
    partial = sink.reopen(name)
    if partial is None:
        return holds(sink, row)
    try:
        crc, _ = hash_pieces(read_pieces(partial.read, row.size_bytes or 0), ())
    finally:
        partial.close()
    if crc != row.crc32c:
        sink.discard(name)
        return False
    try:
        sink.place(name, row.destination)
    except DestinationError:
        sink.discard(name)
        return holds(sink, row)
    return True


def _distrust(sink: Sink, rows: list[Row]) -> list[Fact]:
    bad: list[Fact] = []
    for row in rows:
        if holds(sink, row):
            continue
        if sink.stat(row.destination) is not None:
            name = partial_name(row.set_id, row.key, row.generation)
            sink.retract(row.destination, name)
            sink.discard(name)
        bad.append(Invalidated(set_id=row.set_id, key=row.key))
    return bad


def _missing(sink: Sink, rows: list[Row]) -> list[Fact]:
    facts: list[Fact] = []
    for row in rows:
        found = sink.stat(row.destination)
        if found is None:
            facts.append(Invalidated(set_id=row.set_id, key=row.key))
        elif found.size_bytes != row.size_bytes:
            facts.append(
                Failed(
                    set_id=row.set_id,
                    key=row.key,
                    location=row.location,
                    kind=ErrorKind.SIZE_MISMATCH,
                    message=f"{row.destination} was {row.size_bytes} bytes when it was placed and has "
                    f"{found.size_bytes} now: somebody changed it. Move it away and run again to fetch it anew",
                    attempts=1,
                )
            )
    return facts
