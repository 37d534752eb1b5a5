"""The steps of law 1 that block, as jobs for threads: write, check, sync, rename."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emasync.disk.interface import Partial, Sink
from emasync.engine.digests import Checks, Findings, hash_pieces, holds, judge, wanted_hashes
from emasync.errors import DestinationError, EmasyncError, ErrorKind, MachineError
from emasync.ledger.interface import Sealed
from emasync.model.digest import Digest, Validator
from emasync.model.task import Task, partial_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallObject:
    """A whole object in memory, to be written, checked and placed.

    Attributes
    ----------
    pieces : tuple of bytes
        The body in order.
    promised : tuple of Digest
        What to check against.
    on_written : callable
        Gives the body's memory back; called on the loop once the body is on its way out of memory (law 4).
    """

    task: Task
    pieces: tuple[bytes, ...]
    size_bytes: int
    validator: Validator
    promised: tuple[Digest, ...]
    on_written: Callable[[], None]

    @property
    def generation(self) -> int:
        """Of the partial name."""
        return self.task.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeObjectDone:
    """A partial whose spans are all there and whose digests were judged."""

    task: Task
    partial: Partial
    size_bytes: int
    validator: Validator
    findings: Findings
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one object ended: placed (`error` None) or not."""

    task: Task
    size_bytes: int = 0
    error: EmasyncError | None = None


@dataclass(frozen=True, slots=True)
class SealedObject:
    """A file that is whole, checked and durable under its partial name, and the fact that says so."""

    task: Task
    name: str
    fact: Sealed


def write_and_seal(sink: Sink, items: list[SmallObject], checks: Checks, epoch: int) -> list[SealedObject | Outcome]:
    """In a thread: check each body, write all, then sync all (one journal commit serves many)."""
    results: list[SealedObject | Outcome] = []
    written: list[tuple[SmallObject, Partial, Sealed]] = []
    try:
        for item in items:
            try:
                written.append(_write_one(sink, item, checks, epoch))
            except MachineError:
                raise
            except EmasyncError as error:
                results.append(Outcome(task=item.task, error=error))
        for item, partial, fact in written:
            partial.seal(item.size_bytes)
            results.append(SealedObject(item.task, partial.name, fact))
    finally:
        for _, partial, _ in written:
            partial.close()
    return results


def _write_one(sink: Sink, item: SmallObject, checks: Checks, epoch: int) -> tuple[SmallObject, Partial, Sealed]:
    task = item.task
    crc, computed = hash_pieces(item.pieces, wanted_hashes(item.promised, checks))
    findings = judge(item.promised, computed, crc, item.validator, checks=checks, location=task.location)
    partial = sink.reserve(partial_name(task.set_id, task.key, item.generation), item.size_bytes)
    offset = 0
    try:
        for piece in item.pieces:
            partial.write(offset, piece)
            offset += len(piece)
    except BaseException:
        partial.close()
        raise
    return item, partial, _sealed_fact(item, findings, epoch)


def seal_large(item: LargeObjectDone, epoch: int) -> list[SealedObject | Outcome]:
    """In a thread: sync a large object's partial and let go of it."""
    try:
        item.partial.seal(item.size_bytes)
    except MachineError:
        raise
    except EmasyncError as error:
        return [Outcome(task=item.task, error=error)]
    finally:
        item.partial.close()
    return [SealedObject(item.task, item.partial.name, _sealed_fact(item, item.findings, epoch))]


def _sealed_fact(item: SmallObject | LargeObjectDone, findings: Findings, epoch: int) -> Sealed:
    return Sealed(
        set_id=item.task.set_id,
        key=item.task.key,
        size_bytes=item.size_bytes,
        crc32c=findings.crc32c,
        validator=item.validator,
        verified=findings.verified,
        digests=findings.digests,
        generation=item.generation,
        epoch=epoch,
    )


def place_all(sink: Sink, sealed: list[SealedObject]) -> list[tuple[SealedObject, EmasyncError | None]]:
    """In a thread: rename all, and say which could not be."""
    return [(entry, _place_one(sink, entry)) for entry in sealed]


def _place_one(sink: Sink, entry: SealedObject) -> EmasyncError | None:
    """Rename without replacing. A file of the same bytes that is there already is as good as ours."""
    try:
        sink.place(entry.name, entry.task.destination)
    except DestinationError as error:
        same = error.kind is ErrorKind.DESTINATION_EXISTS and holds(
            sink, entry.task.destination, entry.fact.size_bytes, entry.fact.crc32c
        )
        if not same:
            return error
        sink.discard(entry.name)
    return None


def discard_all(sink: Sink, names: list[str]) -> None:
    """In a thread: remove unfinished files."""
    for name in names:
        sink.discard(name)


def sync_all(sink: Sink, dirty: list[Partial], released: list[Partial]) -> None:
    """In a thread: sync unfinished files, close those that were given back, then sync the folders."""
    try:
        for partial in dirty:
            partial.sync()
    finally:
        for partial in released:
            partial.close()
    sink.sync_folders()
