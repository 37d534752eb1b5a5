"""Files that lie at a destination already and that the ledger does not know. In a thread."""

from __future__ import annotations

from dataclasses import dataclass

from emasync.disk.interface import Sink
from emasync.engine.digests import Checks, hash_pieces, judge, read_pieces, wanted_hashes
from emasync.errors import DestinationError, EmasyncError, ErrorKind, IntegrityError
from emasync.ledger.interface import Fact, Placed, Sealed
from emasync.ledger.rebuild import KnownFiles
from emasync.model.checksum_table import ChecksumRow
from emasync.model.redaction import redact
from emasync.model.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A task whose destination is taken.

    Attributes
    ----------
    facts : tuple of Fact
        Sealed and placed, when the file was taken over.
    error : EmasyncError or None
        Why it was not.
    """

    task: Task
    facts: tuple[Fact, ...] = ()
    error: EmasyncError | None = None


def look(
    sink: Sink, tasks: list[Task], *, adopt: bool, checks: Checks, known: KnownFiles | None = None
) -> list[Existing]:
    """Find the tasks whose destination exists; with `adopt`, take those files over that are what was promised.

    Parameters
    ----------
    adopt : bool
        Check size and published digest, else record a CRC-32C (contract, "Run again").
    known : KnownFiles, optional
        What tables of checksums say: compared too. Where the ledger was damaged, what agrees is taken over by itself.
    """
    there = [task for task in tasks if sink.stat(task.destination) is not None]
    rows = known.find([task.destination for task in there]) if known is not None and there else {}
    by_itself = known is not None and known.by_themselves
    return [
        _adopt(sink, task, checks, rows.get(task.destination))
        if adopt or (by_itself and task.destination in rows)
        else Existing(task=task, error=_taken(task))
        for task in there
    ]


def _taken(task: Task) -> DestinationError:
    return DestinationError(
        f"{task.destination} exists and is not this root's own download; it was not touched. "
        "Run with --adopt to check it and take it over, or move it away",
        kind=ErrorKind.DESTINATION_EXISTS,
        location=redact(task.location),
    )


def _other(task: Task, row: ChecksumRow, size_bytes: int, crc32c: int) -> IntegrityError:
    return IntegrityError(
        f"{task.destination} has {size_bytes} bytes of CRC-32C {crc32c:08x}, the table of checksums says "
        f"{row.size_bytes} of {row.crc32c:08x}: somebody changed it. It was not touched; move it away to fetch it anew",
        location=redact(task.location),
    )


def _adopt(sink: Sink, task: Task, checks: Checks, row: ChecksumRow | None) -> Existing:
    facts = sink.stat(task.destination)
    size_bytes = facts.size_bytes if facts is not None else -1
    as_stored = task.spec.slices != "gzip"  # a packed slice has another size than what is in it
    if as_stored and task.size_bytes is not None and size_bytes != task.size_bytes:
        return Existing(
            task=task,
            error=IntegrityError(
                f"{task.destination} has {size_bytes} bytes, {task.size_bytes} were expected; it was not touched. "
                "Move it away to fetch it anew",
                kind=ErrorKind.SIZE_MISMATCH,
                location=redact(task.location),
            ),
        )

    def read(offset: int, count: int) -> bytes:
        return sink.read_final(task.destination, offset, count)

    try:
        crc, computed = hash_pieces(read_pieces(read, size_bytes), wanted_hashes(task.digests, checks), size_bytes)
        findings = judge(task.digests, computed, crc, task.hint, checks=checks, location=task.destination)
    except EmasyncError as error:
        return Existing(task=task, error=error)
    if row is not None and (row.size_bytes, row.crc32c) != (size_bytes, crc):
        return Existing(task=task, error=_other(task, row, size_bytes, crc))
    before = row is not None and row.verified == "published"  # the same bytes were compared with a digest then
    sealed = Sealed(
        set_id=task.set_id,
        key=task.key,
        size_bytes=size_bytes,
        crc32c=crc,
        verified="published" if before else findings.verified,
        digests=findings.digests,
    )
    return Existing(task=task, facts=(sealed, Placed(set_id=task.set_id, key=task.key)))
