"""Values of the engine and the ledger as rows of messages, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

from emasync import errors
from emasync.errors import EmasyncError, ErrorKind, MachineError
from emasync.executors import messages as wire
from emasync.executors.rows import ErrorRow, GridRow, Key, PartialRow, PartRow, SealRow, SpecRow, TaskRow
from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import (
    Absent,
    Fact,
    Failed,
    Invalidated,
    Part,
    PartDone,
    PartialStarted,
    PartialState,
    Placed,
    Sealed,
)
from emasync.model.grid import ChunkGrid, VoxelGrid, grid_of
from emasync.model.packing import (
    pack_digests,
    pack_name,
    pack_validator,
    unpack_digests,
    unpack_name,
    unpack_validator,
)
from emasync.model.task import Task, TaskKey, TaskSetSpec

Epochs = Callable[[int], int]
"""The ledger's number of a worker's epoch."""


def key_row(key: TaskKey) -> Key:
    """A key as it crosses."""
    return key if isinstance(key, int) else pack_name(key)


def key_of(row: Key) -> TaskKey:
    """A key back from :func:`key_row`."""
    return row if isinstance(row, int) else unpack_name(row)


def clean(text: str) -> str:
    """Text that can be sent: lone surrogates (names that are no Unicode) become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# --- task sets and tasks -----------------------------------------------------------------------------------------


def spec_row(spec: TaskSetSpec) -> SpecRow:
    """A task set's description as it crosses."""
    return SpecRow(
        dataset=spec.dataset,
        asset=spec.asset,
        rank=spec.rank,
        base=spec.base,
        destination=spec.destination,
        encoded=spec.encoded,
        grid=None if spec.grid is None else _grid_row(spec.grid),
        absent_ok=spec.absent_ok,
        slices=spec.slices,
    )


def spec_of(row: SpecRow) -> TaskSetSpec:
    """A task set's description back from :func:`spec_row`."""
    return TaskSetSpec(
        dataset=row.dataset,
        asset=row.asset,
        rank=row.rank,
        base=row.base,
        destination=row.destination,
        encoded=row.encoded,
        grid=None if row.grid is None else _grid_of(row.grid),
        absent_ok=row.absent_ok,
        slices=row.slices,
    )


def _grid_row(grid: ChunkGrid) -> GridRow:
    voxels = (grid.chunk, grid.origin, grid.size) if isinstance(grid, VoxelGrid) else None
    return GridRow(grid.start, grid.shape, grid.prefix, grid.encoding, grid.separator, grid.rebase, voxels)


def _grid_of(row: GridRow) -> ChunkGrid:
    fields = {name: getattr(row, name) for name in ("start", "shape", "prefix", "encoding", "separator", "rebase")}
    if row.voxels is not None:
        fields.update(zip(("chunk", "origin", "size"), row.voxels, strict=True))
    return grid_of(fields)


def task_row(task: Task) -> TaskRow:
    """A leased task as it crosses, without what its set says."""
    _, _, key, path, size_bytes, published, listed, attempts, generation = task
    packed = None if path is None else pack_name(path)
    return (key_row(key), packed, size_bytes, published, listed, attempts, generation)


def task_of(row: TaskRow, spec: TaskSetSpec, set_id: int) -> Task:
    """A task back from :func:`task_row`."""
    key, path, size_bytes, published, listed, attempts, generation = row
    name = None if path is None else unpack_name(path)
    return Task(spec, set_id, key_of(key), name, size_bytes, published, listed, attempts, generation)


# --- facts -------------------------------------------------------------------------------------------------------


def seal_row(row: SealedRow | Sealed) -> SealRow:
    """What is known of a sealed object as it crosses."""
    return (
        row.set_id,
        key_row(row.key),
        row.size_bytes,
        row.crc32c,
        row.verified,
        pack_validator(row.validator),
        pack_digests(row.digests),
        row.generation,
    )


def seal_of(row: SealRow) -> SealedRow:
    """What is known of a sealed object back from :func:`seal_row`."""
    set_id, key, size_bytes, crc32c, verified, validator, digests, generation = row
    return SealedRow(
        set_id,
        key_of(key),
        size_bytes,
        crc32c,
        verified,
        unpack_validator(validator),
        unpack_digests(digests),
        generation,
    )


def fact_row(fact: Fact) -> wire.FactRow:  # noqa: PLR0911 - one return a kind of fact
    """A fact as it crosses."""
    set_id, key = fact.set_id, key_row(fact.key)
    match fact:
        case Sealed():
            return wire.SealedFact(seal_row(fact), fact.epoch)
        case Placed():
            return wire.PlacedFact(set_id, key)
        case Failed():
            location, message = clean(fact.location), clean(fact.message)
            return wire.FailedFact(set_id, key, location, str(fact.kind), message, fact.attempts)
        case Absent():
            return wire.AbsentFact(set_id, key)
        case PartialStarted():
            validator = pack_validator(fact.validator)
            return wire.StartedFact(set_id, key, fact.generation, fact.size_bytes, validator)
        case PartDone():
            return wire.PartFact(set_id, key, fact.generation, fact.start, fact.stop, fact.crc32c, fact.epoch)
        case Invalidated():
            return wire.InvalidatedFact(set_id, key)
        case _:
            assert_never(fact)


def fact_of(row: wire.FactRow, epochs: Epochs) -> Fact:  # noqa: PLR0911 - one return a kind of fact
    """A fact back from :func:`fact_row`, under the ledger's number of its epoch."""
    match row:
        case wire.SealedFact():
            return Sealed(**seal_of(row.row)._asdict(), epoch=epochs(row.epoch))
        case wire.PartFact():
            return _part_of(row, epochs)
        case wire.StartedFact():
            return PartialStarted(
                set_id=row.set_id,
                key=key_of(row.key),
                generation=row.generation,
                size_bytes=row.size_bytes,
                validator=unpack_validator(row.validator),
            )
        case wire.FailedFact():
            return Failed(
                set_id=row.set_id,
                key=key_of(row.key),
                location=row.location,
                kind=kind_of(row.kind),
                message=row.message,
                attempts=row.attempts,
            )
        case wire.PlacedFact():
            return Placed(set_id=row.set_id, key=key_of(row.key))
        case wire.AbsentFact():
            return Absent(set_id=row.set_id, key=key_of(row.key))
        case wire.InvalidatedFact():
            return Invalidated(set_id=row.set_id, key=key_of(row.key))
        case _:
            assert_never(row)


def _part_of(row: wire.PartFact, epochs: Epochs) -> PartDone:
    return PartDone(
        set_id=row.set_id,
        key=key_of(row.key),
        generation=row.generation,
        start=row.start,
        stop=row.stop,
        crc32c=row.crc32c,
        epoch=epochs(row.epoch),
    )


def partial_row(state: PartialState | None) -> PartialRow | None:
    """What is known of an unfinished object as it crosses."""
    if state is None:
        return None
    parts = [(part.start, part.stop, part.crc32c, part.epoch) for part in state.parts]
    return PartialRow(state.generation, state.size_bytes, pack_validator(state.validator), parts)


def partial_of(row: PartialRow | None) -> PartialState | None:
    """What is known of an unfinished object back from :func:`partial_row`."""
    if row is None:
        return None
    return PartialState(
        generation=row.generation,
        size_bytes=row.size_bytes,
        validator=unpack_validator(row.validator),
        parts=tuple(_parts_of(row.parts)),
    )


def _parts_of(rows: Iterable[PartRow]) -> Iterable[Part]:
    return (Part(start=start, stop=stop, crc32c=crc, epoch=epoch) for start, stop, crc, epoch in rows)


# --- errors ------------------------------------------------------------------------------------------------------

_KINDS = {str(kind): kind for kind in ErrorKind}


def kind_of(text: str) -> ErrorKind:
    """A kind by its name; ``source`` for one that this version does not know."""
    return _KINDS.get(text, ErrorKind.SOURCE)


def error_row(error: EmasyncError) -> ErrorRow:
    """An error as it crosses."""
    location = None if error.location is None else clean(error.location)
    return ErrorRow(type(error).__name__, str(error.kind), clean(error.message), location)


_CLASSES: dict[str, type[EmasyncError]] = {
    found.__name__: found for found in (errors.InterruptedRunError, errors.MachineError)
}


def error_of(row: ErrorRow) -> EmasyncError:
    """An error back from :func:`error_row`: an interruption stays one, whatever else ends a run is the machine's."""
    found = _CLASSES.get(row.name, MachineError)
    return found(row.message, kind=kind_of(row.kind), location=row.location)
