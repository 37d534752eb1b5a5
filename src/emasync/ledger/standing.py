"""Where one object stands, and how a fact moves it on. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.counts import BY_CHECK, BYTES, UNKNOWN_SIZE, VERIFIED, Deltas
from emasync.ledger.counts import ON_DISK as COUNT_ON_DISK
from emasync.ledger.interface import Absent, Failed, Invalidated, Placed, Sealed
from emasync.ledger.tasksets import TaskSet
from emasync.model.packing import pack_digests, pack_validator
from emasync.model.task import State, TaskKey

PENDING, SEALED, PLACED, ABSENT, FAILED = (int(state) for state in State)
"""States as the tables hold them: comparing an ``IntEnum`` costs ten times as much."""

ON_DISK: Final = (SEALED, PLACED)


class Standing(NamedTuple):
    """One object as the tables hold it.

    Attributes
    ----------
    plan : int
        Plan generation that named it last.
    state : int
    size : int or None
        Expected, bytes; None when nobody said.
    stored : int or None
        Size on disk, bytes, where it is another than `size`.
    crc : int or None
        CRC32C of the bytes on disk.
    verified : int
    generation : int
        Of the partial name.
    epoch : int
    attempts : int
    failure : str or None
        Kind of the failure of a failed object.
    path : bytes or None
        Destination below the set's folder where it is not the key.
    hint : bytes or None
        Validator of the listing.
    published : bytes or None
        Digests of the publisher.
    validator : bytes or None
        Of the answer that delivered the bytes, where it is another than the hint; empty for none at all.
    computed : bytes or None
        Digests computed beyond the CRC.
    """

    plan: int
    state: int = PENDING
    size: int | None = None
    stored: int | None = None
    crc: int | None = None
    verified: int = 0
    generation: int = 0
    epoch: int = 0
    attempts: int = 0
    failure: str | None = None
    path: bytes | None = None
    hint: bytes | None = None
    published: bytes | None = None
    validator: bytes | None = None
    computed: bytes | None = None

    @property
    def size_bytes(self) -> int | None:
        """Bytes on disk once sealed, expected bytes before."""
        return self.size if self.stored is None else self.stored

    @property
    def delivered(self) -> bytes | None:
        """Validator of the bytes on disk, or the hint while there are none."""
        return self.hint if self.validator is None else self.validator


def advance(
    standing: Standing, fact: Sealed | Placed | Failed | Absent | Invalidated, name: TaskKey
) -> Standing | None:
    """Move an object on by one fact.

    Parameters
    ----------
    standing : Standing
    fact : Fact
        Not one of the parts of a large object.
    name : str or int
        The object's key, for messages.

    Returns
    -------
    Standing or None
        None when the fact speaks of an older generation and changes nothing.

    Raises
    ------
    MachineError
        Kind ``ledger``: the fact cannot follow; files and ledger would disagree from here on.
    """
    match fact:
        case Sealed():
            return _seal(standing, fact, name)
        case Placed():
            return _place(standing, name)
        case Invalidated():
            return reset(standing)
        case Failed():
            _require(standing.state != PLACED, standing, "failed", name)
            return _bare(standing, FAILED)._replace(failure=str(fact.kind), attempts=fact.attempts)
        case Absent():
            _require(standing.state not in ON_DISK, standing, "absent", name)
            return _bare(standing, ABSENT)


def count_standing(deltas: Deltas, task_set: TaskSet, sign: int, standing: Standing) -> None:
    """Add (`sign` 1) an object to the tallies of its set, or take it away (-1)."""
    delta, state = deltas.of(task_set.set_id), standing.state
    if state in ON_DISK:
        delta[COUNT_ON_DISK] += sign
    if standing.plan != task_set.plan:
        return  # not named in this plan generation: only its file counts
    size = standing.size if standing.stored is None else standing.stored
    delta[state] += sign
    if size is not None and state != ABSENT:
        delta[BYTES + state] += sign * size
    if state == PLACED:
        delta[BY_CHECK[standing.verified]] += sign
    elif state == PENDING and size is None:
        delta[UNKNOWN_SIZE] += sign


def reset(standing: Standing) -> Standing:
    """Pending again under the next generation; what was known of the bytes is dropped (law 2)."""
    return _bare(standing, PENDING)._replace(generation=standing.generation + 1)


def pending_again(standing: Standing) -> Standing:
    """Pending again under the same generation: nothing wrong is on disk."""
    return _bare(standing, PENDING)


def _bare(standing: Standing, state: int) -> Standing:
    return standing._replace(
        state=state, stored=None, crc=None, verified=0, epoch=0, failure=None, validator=None, computed=None
    )


def _seal(standing: Standing, fact: Sealed, name: TaskKey) -> Standing | None:
    if fact.generation < standing.generation:
        return None
    _require(fact.generation == standing.generation, standing, f"sealed in generation {fact.generation}", name)
    _require(standing.state != PLACED, standing, "sealed", name)
    validator = pack_validator(fact.validator)
    return Standing(
        plan=standing.plan,
        state=SEALED,
        size=standing.size,
        stored=None if fact.size_bytes == standing.size else fact.size_bytes,
        crc=fact.crc32c,
        verified=VERIFIED[fact.verified],
        generation=standing.generation,
        epoch=fact.epoch,
        attempts=standing.attempts,
        path=standing.path,
        hint=standing.hint,
        published=standing.published,
        validator=None if validator == standing.hint else validator or b"",
        computed=pack_digests(fact.digests),
    )


def _place(standing: Standing, name: TaskKey) -> Standing:
    _require(standing.state in ON_DISK, standing, "placed", name)
    return standing._replace(state=PLACED)


def _require(holds: bool, standing: Standing, what: str, name: TaskKey) -> None:  # noqa: FBT001  # an assertion
    if not holds:
        state = State(standing.state).name.lower()
        raise MachineError(
            f"object {name!r}: cannot be {what}: it is {state} in generation {standing.generation}; stop the run, run"
            " `emasync verify --repair`, and report this as a bug",
            kind=ErrorKind.LEDGER,
        )
