"""What the ledger is told and what it answers.

All calls are synchronous and belong to the one thread that owns the ledger (``thread.py`` makes them
awaitable). Each :meth:`Ledger.record` is one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from emasync.errors import ErrorKind
from emasync.ledger.batch import Name, SealedRow
from emasync.model.digest import Digest, Validator
from emasync.model.packing import unpack_digests, unpack_validator
from emasync.model.receipt import Failure
from emasync.model.task import ObjectEntry, State, Task, TaskKey, TaskSetSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

METADATA_PLAN: Final = "metadata:"
"""Begins the digest of a plan of what describes a dataset, without its bulk."""

# --- facts: what happened to one object -------------------------------------------------------------------------


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

# --- answers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A finished span of a large object."""

    start: int
    stop: int
    crc32c: int
    epoch: int


class Piece(NamedTuple):
    """A span of a file, `stop` exclusive, in bytes, and its CRC-32C."""

    start: int
    stop: int
    crc32c: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialState:
    """What the ledger knows of an unfinished large object."""

    generation: int
    size_bytes: int
    validator: Validator
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A destination that two objects claim, or a file where another needs a folder.

    Attributes
    ----------
    kind : {"duplicate", "file_prefix", "casefold"}
        ``duplicate``: same destination, other location. ``file_prefix``: the file fails whatever came first.
    destination : str
        Of the loser.
    placed : bool
        Whether the loser lies on disk already (the caller removes it).
    """

    kind: str
    set_id: int
    key: TaskKey
    destination: str
    other: str
    placed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What adding entries did.

    Attributes
    ----------
    added, kept : int
        New rows; rows known from before (their state stays).
    clashes : tuple of Clash
        Already recorded as failures.
    """

    added: int
    kept: int
    clashes: tuple[Clash, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one dataset, kept up to date in the transaction of each change: never a scan.

    Attributes
    ----------
    objects, bytes : dict of State to int
        Wanted objects, and known bytes, by state (expected size while pending, size on disk once sealed).
    published, computed, size_only : int
        Placed objects by how they were verified.
    unknown_size : int
        Pending objects whose size nobody said.
    unwanted : int
        Objects on disk that the manifest no longer wants.
    on_disk : int
        Objects on disk, wanted or not, also while a plan is under way.
    metadata_only : bool
        The plan leaves out the bulk.
    """

    dataset: str
    objects: dict[State, int]
    bytes: dict[State, int]
    published: int = 0
    computed: int = 0
    size_only: int = 0
    unknown_size: int = 0
    unwanted: int = 0
    on_disk: int = 0
    metadata_only: bool = False
    planned: bool = False


class Row(NamedTuple):
    """One object as the ledger knows it, for checks, receipts and recovery: a tuple, as there may be millions.

    Attributes
    ----------
    spec : TaskSetSpec
        Of the task set.
    delivered, promised, found : bytes or None
        Packed; see :attr:`validator`, :attr:`published` and :attr:`computed`.
    """

    spec: TaskSetSpec
    set_id: int
    key: TaskKey
    destination: str
    state: State
    size_bytes: int | None
    crc32c: int | None
    verified: str
    delivered: bytes | None
    promised: bytes | None
    found: bytes | None
    generation: int
    epoch: int

    @property
    def location(self) -> str:
        """Canonical URL."""
        return str(self.spec.locate(self.key))

    @property
    def validator(self) -> Validator:
        """Of the answer that delivered the bytes on disk, or of the listing while there are none."""
        return unpack_validator(self.delivered)

    @property
    def published(self) -> tuple[Digest, ...]:
        """Digests of the publisher."""
        return unpack_digests(self.promised)

    @property
    def computed(self) -> tuple[Digest, ...]:
        """Digests computed beyond the CRC."""
        return unpack_digests(self.found)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSet:
    """A task set that may have pending work, in transfer order."""

    set_id: int
    spec: TaskSetSpec
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSet:
    """A task set of a dataset's present plan.

    Attributes
    ----------
    finished : bool
        All of its members are named: what is not is not there at the source. Always so of a grid.
    placed, absent : int
        Members on disk, and members that the publisher left out.
    placed_bytes : int
        On disk.
    """

    set_id: int
    spec: TaskSetSpec
    finished: bool
    placed: int = 0
    absent: int = 0
    placed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ChunkBlock:
    """Neighbours of a grid: 4,096, or what is left of it at its end.

    Attributes
    ----------
    states : ndarray of uint8
        A :class:`~emasync.model.task.State` each; failed chunks are pending.
    crc32c : ndarray of uint32
        Of chunks that are sealed or placed.
    """

    states: npt.NDArray[np.uint8]
    crc32c: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class MemberBlock:
    """Neighbours of a listed set to which nothing unusual happened: some thousand, in key order, as columns.

    Attributes
    ----------
    spec : TaskSetSpec
    names : bytes
        Destinations below the set's folder, UTF-8, one behind the other.
    lengths : ndarray of int32
        Of each of them, bytes.
    states : ndarray of uint8
        A :class:`~emasync.model.task.State` each: pending, sealed or placed.
    crc32c : ndarray of uint32
        Of those that are sealed or placed.
    """

    spec: TaskSetSpec
    names: bytes
    lengths: npt.NDArray[np.int32]
    states: npt.NDArray[np.uint8]
    crc32c: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanState:
    """What the ledger knows of a dataset's plan.

    Attributes
    ----------
    complete : bool
        Planned to the end under the same `digest`.
    """

    complete: bool
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """The last plan of a dataset.

    Attributes
    ----------
    digest : str
        It was begun under.
    complete : bool
        Whether it came to its end.
    held : str
        Digest of the lock that describes this very plan; empty when it was compared with none.
    """

    digest: str
    complete: bool
    held: str = ""


class Ledger(Protocol):
    """Plan and progress of one root."""

    # planning
    def begin_plan(self, dataset: str, digest: str, *, refresh: bool = False) -> PlanState:
        """Open the plan of `dataset` under the manifest entry's `digest` (hexadecimal).

        Same digest and complete: nothing to do. Same digest, not complete: go on (`resumed`; cursors are kept).
        Other digest or `refresh`: a new plan generation begins; what is named again keeps its state.
        """
        ...

    def add_set(self, spec: TaskSetSpec) -> int:
        """Open a task set, or find it again by its identity; gives its id. Gridded sets are complete with this."""
        ...

    def add_entries(self, set_id: int, entries: Sequence[ObjectEntry], cursor: str | None = None) -> Admission:
        """Add listed objects and remember where the listing stands, in one transaction."""
        ...

    def cursor(self, set_id: int) -> str | None:
        """Last listed key of an unfinished set of this plan generation; None at the beginning."""
        ...

    def finish_set(self, set_id: int) -> None:
        """The set is listed to its end (in this plan generation)."""
        ...

    def set_finished(self, set_id: int) -> bool:
        """Whether the set is listed to its end in this plan generation."""
        ...

    def finish_plan(self, dataset: str) -> None:
        """All sets are named: what this generation did not name again is unwanted from now on, not forgotten."""
        ...

    def fail_plan(self, dataset: str, kind: ErrorKind, message: str, location: str) -> None:
        """The dataset could not be planned; shows as its failure until the next begin_plan."""
        ...

    def plan_facts(self, dataset: str) -> PlanFacts | None:
        """Under which digest a dataset was planned last; None: never."""
        ...

    def mark_held(self, dataset: str, lock: str) -> None:
        """The present plan is the one that `lock` (a digest) describes; holds until the next plan generation."""
        ...

    # work
    def open_sets(self) -> list[OpenSet]:
        """Sets with pending objects, by (rank, set id)."""
        ...

    def lease(self, set_id: int, limit: int) -> list[Task]:
        """Take up to `limit` pending objects that are not leased, in key order. Leases live in memory only."""
        ...

    def lease_named(self, set_id: int, keys: Sequence[TaskKey]) -> list[Task]:
        """Take those of some objects that are pending and not leased; keys of no object are passed over."""
        ...

    def release(self, tasks: Sequence[Task]) -> None:
        """Give leased objects back untouched."""
        ...

    def record(self, facts: Sequence[Fact], *, durable: bool = False) -> None:
        """Commit facts in one transaction; `durable`: synchronous=FULL (always so when a fact is negative)."""
        ...

    def seal_rows(self, rows: Sequence[SealedRow], epoch: int) -> int:
        """Commit a batch of sealed objects, synced, as :meth:`record` would; gives the batch's number."""
        ...

    def place_rows(self, batch: int, refused: Collection[Name] = ()) -> None:
        """The batch's objects are under their final names, but for the refused ones, which are invalidated."""
        ...

    def partial(self, set_id: int, key: TaskKey) -> PartialState | None:
        """What is known of an unfinished large object."""
        ...

    def pieces(self, set_id: int, key: TaskKey) -> tuple[Piece, ...]:
        """CRCs of the parts that a placed large object was fetched in; none where that is not known."""
        ...

    def generation(self, set_id: int, key: TaskKey) -> int:
        """Current generation of an object's partial name."""
        ...

    # epochs and recovery
    @property
    def clean(self) -> bool:
        """Whether the last run ended cleanly on this boot and filesystem.

        If not, facts newer than the durable epoch are suspect.
        """
        ...

    def durable_epoch(self) -> int:
        """All facts up to this epoch are on disk for good."""
        ...

    def set_durable_epoch(self, epoch: int) -> None:
        """Move the durable epoch forward."""
        ...

    def rows(
        self, *, dataset: str | None = None, state: State | None = None, after_epoch: int | None = None
    ) -> Iterator[Row]:
        """Walk objects in (set, key) order in pages: never all in memory. Filters combine."""
        ...

    def planned_sets(self, dataset: str) -> list[PlannedSet]:
        """Task sets of a dataset's present plan."""
        ...

    def listed_rows(self, dataset: str) -> Iterator[Row]:
        """Walk the members of a dataset's listed sets, in (set, key) order in pages."""
        ...

    def listed_blocks(self, dataset: str) -> Iterator[MemberBlock | Row]:
        """Walk the same members set by set, most of them as columns; the others follow row by row."""
        ...

    def chunk_blocks(self, set_id: int) -> Iterator[ChunkBlock]:
        """Walk states and facts of a gridded set, 4,096 chunks at a time: no row a chunk."""
        ...

    def retry_failed(self, dataset: str | None = None) -> int:
        """Make failed objects pending again; gives how many."""
        ...

    # answers
    def tallies(self) -> list[Tally]:
        """Counts of each dataset in the order of planning."""
        ...

    def failures(self, dataset: str, limit: int) -> tuple[int, list[Failure]]:
        """Number of all failures of a dataset, and the first `limit` of them."""
        ...

    def missing(self, dataset: str, limit: int) -> list[str]:
        """The first members that are missing and accepted to be (``allow_missing``), in words."""
        ...

    def close(self, *, clean: bool) -> None:
        """Commit and close; `clean` sets the clean-shutdown flag."""
        ...


class LedgerCalls(Protocol):
    """The ledger, behind the one thread that owns it."""

    async def call(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of :class:`Ledger` by name (``"lease"``, ``"seal_rows"``, ...), or a function of it.

        Any: the method's own types, which the one door cannot know.

        The call runs to its end even when the waiter is cancelled.
        """
        ...
