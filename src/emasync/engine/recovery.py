"""What a stop left behind: finish renames, distrust what was not durable, notice what is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Iterator
from dataclasses import dataclass
from itertools import islice

from emasync.disk.interface import Sink
from emasync.engine.digests import hash_pieces, holds, read_pieces
from emasync.engine.interface import Threads
from emasync.errors import DestinationError, ErrorKind
from emasync.ledger.housekeeping import Leftover
from emasync.ledger.interface import Fact, Failed, Invalidated, Ledger, LedgerCalls, Placed, Row
from emasync.model.task import State, TaskKey, partial_name

REMOVED = "removed"
"""Partial name that a final file takes on its way out; one thread at a time does that."""

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


async def suspect_after(ledger: LedgerCalls) -> int | None:
    """After an unclean stop, the durable epoch: what is newer is read before it is trusted; None after a clean one."""

    def ask(held: Ledger) -> int | None:
        return None if held.clean else held.durable_epoch()

    suspect: int | None = await ledger.call(ask)
    return suspect


async def recover(ledger: LedgerCalls, sink: Sink, threads: Threads, suspect_after_epoch: int | None) -> Recovery:
    """Bring disk and ledger together after a stop (law 1).

    Parameters
    ----------
    suspect_after_epoch : int or None
        After an unclean stop, the durable epoch: placed files newer than it are read before they are trusted.
    """
    found = await settle_sealed(ledger, sink, threads)
    dropped = found.dropped
    if suspect_after_epoch is not None:
        async for page in pages(ledger, state=State.PLACED, after_epoch=suspect_after_epoch):
            bad = await threads.submit(_untrue, sink, page)
            dropped += len(bad)
            if bad:
                await _drop(ledger, sink, threads, bad)
    await clear_leftovers(ledger, sink, threads)
    await threads.submit(_discard_orphans, sink, await ledger.call("unfinished"))
    await threads.submit(sink.sync_folders)
    return Recovery(placed=found.placed, dropped=dropped)


async def settle_sealed(
    ledger: LedgerCalls, sink: Sink, threads: Threads, only: Container[tuple[int, TaskKey]] | None = None
) -> Recovery:
    """Finish the renames of sealed objects that nobody is at work on; what is not whole is dropped.

    Parameters
    ----------
    only : container of (set id, key), optional
        Objects that somebody left behind while others are at work; all by default.
    """
    placed = dropped = 0
    async for page in pages(ledger, state=State.SEALED):
        rows = [row for row in page if only is None or (row.set_id, row.key) in only]
        facts = await threads.submit(_settle_sealed, sink, rows)
        await ledger.call("record", facts, durable=True)
        placed += sum(isinstance(fact, Placed) for fact in facts)
        dropped += sum(isinstance(fact, Invalidated) for fact in facts)
    return Recovery(placed=placed, dropped=dropped)


async def _drop(ledger: LedgerCalls, sink: Sink, threads: Threads, rows: list[Row]) -> None:
    """The negative fact is durable before anything happens to the file (law 2)."""
    facts = [Invalidated(set_id=row.set_id, key=row.key) for row in rows]
    await ledger.call("record", facts, durable=True)
    await threads.submit(_remove_all, sink, rows)
    await ledger.call("forget_leftovers", [row.destination for row in rows])


async def clear_leftovers(ledger: LedgerCalls, sink: Sink, threads: Threads) -> int:
    """Remove files of ours that no object stands for any more, so that they lie in nobody's way; gives how many."""
    cleared = 0
    while left := await ledger.call("leftovers", PAGE):
        cleared += await threads.submit(_remove_if_ours, sink, left)
        await ledger.call("forget_leftovers", [item.destination for item in left])
    return cleared


async def make_room(ledger: LedgerCalls, sink: Sink, threads: Threads, destination: str) -> bool:
    """Remove a file of ours that the present plan does not name from `destination`; False when it is not ours."""
    item: Leftover | None = await ledger.call("removable", destination)
    if item is None or not await threads.submit(_remove_if_ours, sink, [item]):
        return False
    await ledger.call("forget_leftovers", [destination])
    return True


async def sweep(ledger: LedgerCalls, sink: Sink, threads: Threads, dataset: str) -> int:
    """Look at every placed file of `dataset`: gone ones become pending, changed ones fail. Gives how many."""
    found = 0
    async for page in pages(ledger, state=State.PLACED, dataset=dataset):
        facts = await threads.submit(_missing, sink, page)
        found += len(facts)
        if facts:
            await ledger.call("record", facts, durable=True)
    return found


def _true(sink: Sink, row: Row) -> bool:
    return holds(sink, row.destination, row.size_bytes, row.crc32c)


def _remove_if_ours(sink: Sink, items: list[Leftover]) -> int:
    """Remove the files that still are what was written; one that somebody changed stays."""
    ours = [item for item in items if holds(sink, item.destination, item.size_bytes, item.crc32c)]
    for item in ours:
        _remove(sink, item.destination)
    return len(ours)


def _remove_all(sink: Sink, rows: list[Row]) -> None:
    for row in rows:
        if sink.stat(row.destination) is not None:
            _remove(sink, row.destination)


def _remove(sink: Sink, destination: str) -> None:
    sink.retract(destination, REMOVED)
    sink.discard(REMOVED)


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
        return _true(sink, row)
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
        return _true(sink, row)
    return True


def _untrue(sink: Sink, rows: list[Row]) -> list[Row]:
    """Placed rows that are not true; a rename that the power cut undid is done again first."""
    return [row for row in rows if not _true(sink, row) and not _settle(sink, row)]


def _discard_orphans(sink: Sink, known: frozenset[str]) -> None:
    for name in list(sink.partials()):
        if name not in known:
            sink.discard(name)


def _missing(sink: Sink, rows: list[Row]) -> list[Fact]:
    facts: list[Fact] = []
    for row in rows:
        found = sink.stat(row.destination)
        if found is None:
            facts.append(Invalidated(set_id=row.set_id, key=row.key))
        elif found.size_bytes != row.size_bytes:
            facts.append(Invalidated(set_id=row.set_id, key=row.key))
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
