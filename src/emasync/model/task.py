"""Tasks: one request, its outputs, and the task sets they are leased from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, NamedTuple
from urllib.parse import quote

from emasync.model.digest import Digest, Span, Validator
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location
from emasync.model.packing import unpack_digests, unpack_validator
from emasync.model.slices import Packing, parse_slice

_parsed = lru_cache(maxsize=4096)(Location.parse)
"""Bases of task sets: each is that of many keys."""

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
        Whether a 404 is a statement of absence (law 9), or accepted.
    accepted : bool
        The manifest accepts that members are missing (``allow_missing``): they are named in the receipt.
    slices : {"raw", "gzip"} or None
        Of a listed set: members are slices of objects, their keys are made by
        :func:`~emasync.model.slices.slice_key`, and this is how each slice is packed. None: members are objects.
    """

    dataset: str
    asset: str = ""
    rank: int = Rank.BULK
    base: str
    destination: str
    encoded: bool = False
    grid: ChunkGrid | None = None
    absent_ok: bool = False
    accepted: bool = False
    slices: Packing | None = None

    @property
    def identity(self) -> str:
        """Stable hexadecimal name: equal for two compiles of one manifest."""
        parts: tuple[str, ...] = (
            self.dataset,
            self.asset,
            self.base,
            self.destination,
            str(self.encoded),
            repr(self.grid),
        )
        if self.slices is not None:
            parts = (*parts, self.slices)
        return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()

    def locate(self, key: TaskKey) -> Location:
        """Canonical location of one member.

        Parameters
        ----------
        key : str or int
            Key of a listed set, chunk number of a gridded one.
        """
        text = self.name(key)
        if self.encoded:
            return Location.parse(self.base + text)
        return _parsed(self.base).join(text)

    @property
    def place_of_keys(self) -> Location:
        """Canonical location that keys are appended to; its path is empty where encoded keys bring the first slash."""
        place = _parsed(self.base)
        bare = self.encoded and self.base.count("/") == len("//")
        return replace(place, path="") if bare else place

    def name(self, key: TaskKey) -> str:
        """Key of a member's object at the source, relative to the base."""
        if isinstance(key, str) or self.grid is None:
            return str(key) if self.slices is None else parse_slice(str(key))[0]
        return self.grid.key(key)

    def span(self, key: TaskKey) -> Span | None:
        """Slice of a member's object that is wanted; None for all of it."""
        return None if self.slices is None else parse_slice(str(key))[1]

    def place(self, key: TaskKey, path: str | None = None) -> str:
        """Destination of one member, relative to the root; `path` replaces the key where a layout mapped it."""
        if path is not None:
            text = path
        elif isinstance(key, str) or self.grid is None:
            text = str(key)
        else:
            text = self.grid.destination(key)
        return f"{self.destination}/{text}" if self.destination else text


class Task(NamedTuple):
    """One leased piece of work: what the ledger's row says, and no more until it is asked for.

    A tuple, because one is made for every object: a tenth of the time that the values below would take.

    Attributes
    ----------
    spec : TaskSetSpec
        Of the task set, shared by all tasks of it.
    set_id : int
        Task set in the ledger.
    key : str or int
        Identity inside the set.
    path : str or None
        Destination below the set's folder; None when it is the key itself.
    size_bytes : int or None
        Expected size of the object; None when nobody said.
    published : bytes or None
        Published digests to check, packed; see :attr:`digests`.
    listed : bytes or None
        Validator of the listing, packed; see :attr:`hint`.
    attempts : int
        Failed attempts of earlier runs.
    generation : int
        Of its partial name: counts what was invalidated.
    """

    spec: TaskSetSpec
    set_id: int
    key: TaskKey
    path: str | None = None
    size_bytes: int | None = None
    published: bytes | None = None
    listed: bytes | None = None
    attempts: int = 0
    generation: int = 0

    @property
    def dataset(self) -> str:
        """Dataset id."""
        return self.spec.dataset

    @property
    def name(self) -> str:
        """Key of the object at the source, relative to the set's base."""
        return self.spec.name(self.key)

    @property
    def location(self) -> Location:
        """Canonical location of the object."""
        return self.spec.locate(self.key)

    @property
    def request(self) -> Request:
        """What to ask for."""
        return Request(self.location, self.span)

    @property
    def span(self) -> Span | None:
        """Slice of the object that is wanted; None for all of it."""
        return self.spec.span(self.key)

    @property
    def destination(self) -> str:
        """Final path of the first (and usually only) output, relative to the root."""
        return self.spec.place(self.key, self.path)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What becomes of the body; at least one."""
        return (Output(self.destination, transform="gunzip" if self.spec.slices == "gzip" else "identity"),)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Published digests to check."""
        return unpack_digests(self.published)

    @property
    def hint(self) -> Validator:
        """What a listing said; a hint only (law 3)."""
        return unpack_validator(self.listed)

    @property
    def absent_ok(self) -> bool:
        """Whether a 404 means "left out by the publisher" (law 9)."""
        return self.spec.absent_ok


class ObjectEntry(NamedTuple):
    """One object as a source names it: a tuple, because one is made for every row of a listing.

    Attributes
    ----------
    key : str
        Relative to the set's base.
    size_bytes : int or None
    path : str or None
        Destination below the set's destination folder; None when it is the key itself.
    listed : bytes or None
        What the listing said, packed (:func:`emasync.model.packing.pack_validator`).
    digests : tuple of Digest
        What the publisher published.
    """

    key: str
    size_bytes: int | None = None
    path: str | None = None
    listed: bytes | None = None
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
