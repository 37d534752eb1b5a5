"""Tasks: one request, its outputs, and the task sets they are leased from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Literal
from urllib.parse import quote

from emasync.model.digest import Digest, Span, Validator
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location

TaskKey = str | int
"""Identity inside a task set: the key of a listed object, the chunk number of a gridded one."""


class State(IntEnum):
    """Where an object stands. The numbers are stored."""

    PENDING = 0
    SEALED = 1
    """Whole, checked and durable under its partial name; the rename is still to be confirmed."""
    PLACED = 2
    """Under its final name."""
    ABSENT = 3
    """Left out by the publisher, as a statement (complete listing, or a policy that trusts 404)."""
    FAILED = 4
    """Given up in this run; tried again by the next."""


class Rank(IntEnum):
    """Order of transfer; lower goes first. Levels of a multiscale lie between LEVELS and BULK."""

    DOCUMENT = 0
    LEVELS = 10
    """Plus the distance from the coarsest level."""
    BULK = 1000


@dataclass(frozen=True, slots=True)
class Output:
    """What becomes of (a slice of) a fetched body.

    Attributes
    ----------
    destination : str
        Final path relative to the root, ``/`` separated.
    span : Span or None
        Slice of the body; None for all of it.
    transform : {"identity", "gunzip"}
    """

    destination: str
    span: Span | None = None
    transform: Literal["identity", "gunzip"] = "identity"


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for: an object, whole (``span`` None) or one span of it."""

    location: Location
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One leased piece of work.

    Attributes
    ----------
    set_id : int
        Task set in the ledger.
    key : str or int
        Identity inside the set.
    dataset : str
    request : Request
    outputs : tuple of Output
        At least one.
    size_bytes : int or None
        Expected size of the object; None when nobody said.
    digests : tuple of Digest
        Published digests to check.
    hint : Validator
        What a listing said; a hint only (law 3).
    attempts : int
        Failed attempts of earlier runs.
    generation : int
        Of its partial name: counts what was invalidated.
    absent_ok : bool
        Whether a 404 means "left out by the publisher".
    """

    set_id: int
    key: TaskKey
    dataset: str
    request: Request
    outputs: tuple[Output, ...]
    size_bytes: int | None = None
    digests: tuple[Digest, ...] = ()
    hint: Validator = Validator()
    attempts: int = 0
    generation: int = 0
    absent_ok: bool = False

    @property
    def location(self) -> Location:
        """Canonical location of the object."""
        return self.request.location

    @property
    def destination(self) -> str:
        """Final path of the first (and usually only) output, relative to the root."""
        return self.outputs[0].destination


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSetSpec:
    """A family of tasks that share base, destination folder and order.

    Attributes
    ----------
    dataset : str
        Dataset id.
    asset : str
        Asset path below the dataset (an array, a level, a file group); empty for the dataset as a whole.
    rank : int
        Order of transfer, see :class:`Rank`.
    base : str
        Canonical URL that keys are appended to.
    destination : str
        Folder relative to the root that destinations lie in.
    encoded : bool
        Whether keys are URL paths already percent-encoded, query included (plain web files): appended as they are.
    grid : ChunkGrid or None
        None for a listed set.
    absent_ok : bool
        Whether a 404 is a statement of absence (law 9).
    """

    dataset: str
    asset: str = ""
    rank: int = Rank.BULK
    base: str
    destination: str
    encoded: bool = False
    grid: ChunkGrid | None = None
    absent_ok: bool = False

    @property
    def identity(self) -> str:
        """Stable hexadecimal name: equal for two compiles of one manifest."""
        parts = (self.dataset, self.asset, self.base, self.destination, str(self.encoded), repr(self.grid))
        return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()

    def locate(self, key: TaskKey) -> Location:
        """Canonical location of one member.

        Parameters
        ----------
        key : str or int
            Key of a listed set, chunk number of a gridded one.
        """
        text = self.grid.key(key) if self.grid is not None and isinstance(key, int) else str(key)
        if self.encoded:
            return Location.parse(self.base + text)
        return Location.parse(self.base).join(text)

    def place(self, key: TaskKey, path: str | None = None) -> str:
        """Destination of one member, relative to the root; `path` replaces the key where a layout mapped it."""
        if self.grid is not None and isinstance(key, int):
            text = self.grid.destination(key)
        else:
            text = path if path is not None else str(key)
        return f"{self.destination}/{text}" if self.destination else text


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEntry:
    """One object as a source names it.

    Attributes
    ----------
    key : str
        Relative to the set's base.
    size_bytes : int or None
    path : str or None
        Destination below the set's destination folder; None when it is the key itself.
    validator : Validator
        What the listing said.
    digests : tuple of Digest
        What the publisher published.
    """

    key: str
    size_bytes: int | None = None
    path: str | None = None
    validator: Validator = Validator()
    digests: tuple[Digest, ...] = ()


def partial_name(set_id: int, key: TaskKey, generation: int) -> str:
    """Name of the unfinished file of one object, one generation (law 2), unique in a ledger.

    Parameters
    ----------
    set_id : int
    key : str or int
    generation : int
        Counts invalidations; a partial is never reused under another validator.
    """
    digest = blake2b(str(key).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{set_id:x}-{digest}-{generation:x}"


def escape_for_log(text: str) -> str:
    """Make a name from the network safe to print: control characters and non-ASCII become escapes."""
    return quote(text, safe=" !\"#$&'()*+,/:;<=>?@[\\]^_`{|}~-.")
