"""What the ledger is told: facts about one object each. Each :meth:`Ledger.record` is one transaction of them."""

from __future__ import annotations

from dataclasses import dataclass

from emasync.errors import ErrorKind
from emasync.model.digest import Digest, Validator
from emasync.model.task import TaskKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Whole, checked and written under its partial name; durable with the epoch it belongs to.

    Attributes
    ----------
    size_bytes : int
        On disk.
    crc32c : int
        Of the bytes on disk.
    validator : Validator
        Of the answer that delivered the bytes.
    verified : {"published", "computed", "size_only"}
        What the bytes were checked against.
    digests : tuple of Digest
        Computed beyond the CRC.
    generation : int
        Of the partial name.
    epoch : int
        Counts durable batches; see :meth:`Ledger.set_durable_epoch`.
    """

    set_id: int
    key: TaskKey
    size_bytes: int
    crc32c: int
    validator: Validator = Validator()
    verified: str = "computed"
    digests: tuple[Digest, ...] = ()
    generation: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Renamed to its final name."""

    set_id: int
    key: TaskKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Given up in this run."""

    set_id: int
    key: TaskKey
    location: str
    kind: ErrorKind
    message: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """The publisher left it out, as a statement."""

    set_id: int
    key: TaskKey


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialStarted:
    """A large object begins to land, bound to a validator (law 3). Committed before the first of its parts."""

    set_id: int
    key: TaskKey
    generation: int
    size_bytes: int
    validator: Validator


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDone:
    """One span of a large object lies in its partial.

    Attributes
    ----------
    start, stop : int
        Half-open span, bytes.
    crc32c : int
        Of the span's bytes.
    """

    set_id: int
    key: TaskKey
    generation: int
    start: int
    stop: int
    crc32c: int
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidated:
    """What is on disk (partial or final) is not to be trusted: parts and facts are dropped, the next generation begins.

    A negative fact: committed at synchronous=FULL before anything else happens to the file (law 2). The object
    is pending again.
    """

    set_id: int
    key: TaskKey


Fact = Sealed | Placed | Failed | Absent | PartialStarted | PartDone | Invalidated
