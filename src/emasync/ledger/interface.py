"""What the ledger is told and what it answers.

All calls are synchronous and belong to the one thread that owns the ledger (``thread.py`` makes them
awaitable). Each :meth:`Ledger.record` is one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Protocol

from emasync.errors import ErrorKind
from emasync.ledger.batch import Name, SealedRow
from emasync.ledger.facts import (
    Absent,
    Fact,
    Failed,
    Invalidated,
    PartDone,
    PartialStarted,
    Placed,
    Sealed,
)
from emasync.ledger.told import (
    Admission,
    ChunkBlock,
    Clash,
    MemberBlock,
    OpenSet,
    Part,
    PartialState,
    Piece,
    PlanFacts,
    PlannedSet,
    PlanState,
    Row,
    Tally,
)
from emasync.model.receipt import Failure
from emasync.model.task import ObjectEntry, State, Task, TaskKey, TaskSetSpec

__all__ = [
    "METADATA_PLAN",
    "Absent",
    "Admission",
    "ChunkBlock",
    "Clash",
    "Fact",
    "Failed",
    "Invalidated",
    "Ledger",
    "LedgerCalls",
    "MemberBlock",
    "OpenSet",
    "Part",
    "PartDone",
    "PartialStarted",
    "PartialState",
    "Piece",
    "Placed",
    "PlanFacts",
    "PlanQueries",
    "PlanState",
    "PlannedSet",
    "Row",
    "Sealed",
    "Tally",
]

METADATA_PLAN: Final = "metadata:"
"""Begins the digest of a plan of what describes a dataset, without its bulk."""


class PlanQueries(Protocol):
    """What hooks ask: which sets and members the present plan of a dataset has, and how they stand."""

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


class Ledger(PlanQueries, Protocol):
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
