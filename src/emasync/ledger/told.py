"""What the ledger answers: small values; where there may be millions, tuples and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from emasync.model.digest import Digest, Validator
from emasync.model.packing import unpack_digests, unpack_validator
from emasync.model.task import State, TaskKey, TaskSetSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
