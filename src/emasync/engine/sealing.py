"""The steps of law 1 that block, as jobs for threads: write, check, sync, rename."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from emasync.disk.crc import crc32c_of
from emasync.disk.interface import Partial, Sink, WholeFile, WrittenBatch
from emasync.engine.digests import Checks, Findings, hash_pieces, holds, judge, wanted_hashes
from emasync.errors import DestinationError, EmasyncError, ErrorKind, MachineError
from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import Sealed
from emasync.model.digest import Digest, Validator
from emasync.model.task import Task, partial_name


class SmallObject(NamedTuple):
    """A whole object in memory, to be written, checked and placed. A plain tuple: one is made for every object.

    Attributes
    ----------
    task : Task
    body : memoryview
        Part of `space`.
    space : memoryview
        Pooled memory; given back once the body was written (laws 4 and 5).
    validator : Validator
    promised : tuple of Digest
        What to check against.
    """

    task: Task
    body: memoryview
    space: memoryview
    validator: Validator
    promised: tuple[Digest, ...]


class WrittenSmall(NamedTuple):
    """A small object under its partial name, not durable yet."""

    task: Task
    name: str
    row: SealedRow


@dataclass(frozen=True, slots=True)
class WrittenHop:
    """Small objects that were written together.

    Attributes
    ----------
    batch : WrittenBatch
        To be synced and closed.
    written : list of WrittenSmall
    refused : list of Outcome
        Objects that did not pass a check.
    """

    batch: WrittenBatch
    written: list[WrittenSmall]
    refused: list[Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeObjectDone:
    """A partial whose spans are all there and whose digests were judged."""

    task: Task
    partial: Partial
    size_bytes: int
    validator: Validator
    findings: Findings
    generation: int


class Outcome(NamedTuple):
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


def write_hop(sink: Sink, items: Sequence[SmallObject], checks: Checks) -> WrittenHop:
    """Check each body and write it under its partial name. Blocks; where is for the caller to choose.

    Raises
    ------
    MachineError
        The disk cannot go on.
    """
    checked: list[WrittenSmall] = []
    files: list[WholeFile] = []
    refused: list[Outcome] = []
    spread = sink.spread
    for item in items:
        task = item.task
        try:
            row = _checked(item, checks)
        except EmasyncError as refusal:
            refused.append(Outcome(task=task, error=refusal))
            continue
        name = partial_name(task.set_id, task.key, task.generation)
        checked.append(WrittenSmall(task, name, row))
        files.append(WholeFile(name, (item.body,), row.size_bytes, task.destination if spread else ""))
    batch = sink.write_whole(files)
    written = []
    for entry, error in zip(checked, batch.errors, strict=True):
        if error is None:
            written.append(entry)
        else:
            refused.append(Outcome(task=entry.task, error=error))
    return WrittenHop(batch, written, refused)


def _checked(item: SmallObject, checks: Checks) -> SealedRow:
    """The ledger's row of a body that is what was promised.

    Raises
    ------
    IntegrityError
    """
    task, body = item.task, item.body
    if not item.promised and checks == "published":  # the usual object: nothing to compare with
        crc = crc32c_of(body)
        return SealedRow(task.set_id, task.key, len(body), crc, "computed", item.validator, (), task.generation)
    kinds = wanted_hashes(item.promised, checks)
    crc, computed = hash_pieces((body,), kinds, len(body))
    found = judge(item.promised, computed, crc, item.validator, checks=checks, location=task)
    return SealedRow(
        task.set_id, task.key, len(body), crc, found.verified, item.validator, found.digests, task.generation
    )


def sync_hops(sink: Sink, hops: Sequence[WrittenHop]) -> None:
    """In a thread: make small objects durable together."""
    batches = [hop.batch for hop in hops]
    try:
        sink.sync_batches(batches)
    finally:
        for batch in batches:
            batch.close()


def place_small(sink: Sink, written: Sequence[WrittenSmall]) -> list[EmasyncError | None]:
    """Rename all; what could not be and why. A file of the same bytes that is there already is as good as ours."""
    errors = sink.place_many([(entry.name, entry.task.destination) for entry in written])
    return [
        error if error is None else _settle(sink, entry.name, entry.task, entry.row, error)
        for entry, error in zip(written, errors, strict=True)
    ]


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
    return [SealedObject(item.task, item.partial.name, _sealed_fact(item, epoch))]


def _sealed_fact(item: LargeObjectDone, epoch: int) -> Sealed:
    return Sealed(
        set_id=item.task.set_id,
        key=item.task.key,
        size_bytes=item.size_bytes,
        crc32c=item.findings.crc32c,
        validator=item.validator,
        verified=item.findings.verified,
        digests=item.findings.digests,
        generation=item.generation,
        epoch=epoch,
    )


def place_all(sink: Sink, sealed: list[SealedObject]) -> list[tuple[SealedObject, EmasyncError | None]]:
    """In a thread: rename all, and say which could not be."""
    return [(entry, _place_one(sink, entry)) for entry in sealed]


def _place_one(sink: Sink, entry: SealedObject) -> EmasyncError | None:
    """Rename without replacing."""
    try:
        sink.place(entry.name, entry.task.destination)
    except DestinationError as error:
        return _settle(sink, entry.name, entry.task, entry.fact, error)
    return None


def _settle(sink: Sink, name: str, task: Task, said: Sealed | SealedRow, error: EmasyncError) -> EmasyncError | None:
    """A file of the same bytes that is there already is as good as ours."""
    if error.kind is ErrorKind.DESTINATION_EXISTS and holds(sink, task.destination, said.size_bytes, said.crc32c):
        sink.discard(name)
        return None
    return error


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
