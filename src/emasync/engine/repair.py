"""Turning flawed files back into unfinished ones: what is still good of them is not fetched again."""

from __future__ import annotations

from collections.abc import Sequence

from emasync.disk.interface import Sink
from emasync.engine.interface import Threads
from emasync.engine.recovery import REMOVED
from emasync.engine.verify import READ_BYTES, Flaw, bad_pieces
from emasync.ledger.interface import Fact, Invalidated, LedgerCalls, PartDone, PartialStarted, Piece
from emasync.model.task import partial_name


async def reopen(flaw: Flaw, ledger: LedgerCalls, sink: Sink, threads: Threads) -> None:
    """Make the object of `flaw` pending; the good parts of its file stay as those of an unfinished one.

    The final name goes first: a stop in between leaves a file that is missing, and nobody takes it for whole. Then
    everything the ledger has to know goes into one durable transaction (law 2).

    Raises
    ------
    MachineError
    """
    row = flaw.row
    pieces = await ledger.call("pieces", row.set_id, row.key) if flaw.kind == "bytes" else ()
    good = await threads.submit(_good, sink, row.destination, pieces)
    if flaw.kind != "missing":
        name = partial_name(row.set_id, row.key, row.generation + 1) if good else REMOVED
        await threads.submit(_take_back, sink, row.destination, name)
    await ledger.call("record", _facts(flaw, good), durable=True)
    await ledger.call("forget_leftovers", [row.destination])


def _good(sink: Sink, destination: str, pieces: Sequence[Piece]) -> list[Piece]:
    """In a thread: all pieces are read, as a quick look may have seen one of them only."""
    bad = set(bad_pieces(sink, destination, pieces, memoryview(bytearray(READ_BYTES))))
    return [piece for piece in pieces if piece not in bad]


def _take_back(sink: Sink, destination: str, name: str) -> None:
    """In a thread: from the final name to that of an unfinished file, or away."""
    sink.retract(destination, name)
    if name == REMOVED:
        sink.discard(name)
    sink.sync_folders()


def _facts(flaw: Flaw, good: Sequence[Piece]) -> list[Fact]:
    row, generation = flaw.row, flaw.row.generation + 1
    facts: list[Fact] = [Invalidated(set_id=row.set_id, key=row.key)]
    if not good:
        return facts
    facts.append(
        PartialStarted(
            set_id=row.set_id,
            key=row.key,
            generation=generation,
            size_bytes=row.size_bytes or 0,
            validator=row.validator,
        )
    )
    for piece in good:
        facts.append(  # noqa: PERF401 - beside the two before it, a comprehension hides what happens
            PartDone(
                set_id=row.set_id,
                key=row.key,
                generation=generation,
                start=piece.start,
                stop=piece.stop,
                crc32c=piece.crc32c,
            )
        )
    return facts
