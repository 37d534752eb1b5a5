"""What a source yields, and what a format or planner may ask of a tree of objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from emasync.errors import SourceError
from emasync.model.clock import Clock, SystemClock
from emasync.model.events import OnEvent
from emasync.model.location import Location
from emasync.model.task import ObjectEntry, Rank
from emasync.settings import Settings
from emasync.transport.interface import Fetcher, ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What a source may use.

    Attributes
    ----------
    fetcher : Fetcher
        The one door to the network.
    settings : Settings
    on_event : callable
    clock : Clock
        For waits that an API asks for inside its answers; all others are the fetcher's.
    folder : Path
        What relative paths of the manifest are relative to.
    """

    fetcher: Fetcher
    settings: Settings
    on_event: OnEvent
    clock: Clock = field(default_factory=SystemClock)
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class Children:
    """One level of a tree: ``folders`` and ``objects`` are names without slash, in key order."""

    folders: tuple[str, ...]
    objects: tuple[str, ...]


class Tree(Protocol):
    """A readable and listable hierarchy of objects: a bucket prefix, a folder."""

    base: Location
    """Canonical location keys are relative to."""

    async def read(self, key: str) -> bytes | None:
        """A metadata document, bounded in size; None when it is not there."""
        ...

    async def children(self, folder: str) -> Children:
        """Folders and objects right below `folder` (``""`` for the base; no trailing slash)."""
        ...

    def list(self, folder: str, *, start_after: str | None = None) -> AsyncIterator[ListPage]:
        """All objects below `folder`, any depth, in key order; keys relative to the base."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a source tells of a recording before anything of it is fetched; what it does not tell is no guess.

    Attributes
    ----------
    subject : str or None
        As the source names the animal.
    specimen : str or None
        Part of it that was imaged; None where nothing is said of one.
    session : str or None
        As the source names it.
    started : datetime or None
        On the clock of where it was recorded, whole seconds, without zone.
    platform : str or None
        Or modality, as the source spells it.
    ex_vivo : bool or None
        Of tissue and not of an animal that behaves; None where nobody says.
    derived : str or None
        Label and moment of what was computed from it; None for raw data.
    """

    subject: str | None = None
    specimen: str | None = None
    session: str | None = None
    started: datetime | None = None
    platform: str | None = None
    ex_vivo: bool | None = None
    derived: str | None = None


TellRecorded = Callable[[str], Awaitable[Recorded | None]]
"""Tells of the recording that a path below the dataset belongs to; may ask the source. Only some layouts want it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesFound:
    """Objects that are named one by one.

    Attributes
    ----------
    base : str
        What keys are appended to, as in ``TaskSetSpec``.
    entries : tuple of ObjectEntry
    encoded : bool
        Keys are URL paths already percent-encoded.
    asset : str
        Names the set they go to. In one set a key has one place: an object that is wanted under several names goes
        to several sets. Begin it with a colon, which no path does.
    path : str
        Where they go below the dataset's folder; globs of the manifest are asked with paths below it, as for a
        :class:`TreeFound` that is an asset. Empty for the dataset itself.
    rank : int
        When they are fetched, see :class:`~emasync.model.task.Rank`; one for all of a set.
    recorded : callable or None
        Tells what the files are recordings of; None where the source knows nothing of that.
    neighbours : callable or None
        Gives the findings that came with it, itself included, in the order in which they are yielded: what is done for
        one may be done for all of them at once. None where it came alone.
    """

    base: str
    entries: tuple[ObjectEntry, ...]
    encoded: bool = False
    asset: str = ""
    path: str = ""
    rank: int = Rank.BULK
    recorded: TellRecorded | None = field(default=None, compare=False)
    neighbours: Callable[[], Sequence[FilesFound | TreeFound]] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFound:
    """A tree to select from.

    Attributes
    ----------
    tree : Tree
    path : str
        Where its content goes below the dataset's folder; empty for right there.
    asset : bool
        One of several equals (an asset of a flat bucket): globs and arrays of the manifest are asked with paths below
        it, and when it cannot be planned the others are all the same.
    part : bool
        One of several as well; globs and arrays stay what they are for the dataset.
    recorded : callable or None
        As for :class:`FilesFound`.
    neighbours : callable or None
        As for :class:`FilesFound`.
    """

    tree: Tree
    path: str = ""
    asset: bool = False
    part: bool = False
    recorded: TellRecorded | None = field(default=None, compare=False)
    neighbours: Callable[[], Sequence[FilesFound | TreeFound]] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A document of the source as received (an API answer, a registry's entry): kept beside the dataset.

    Bounded, because it is whole in memory; many are yielded one by one.

    Attributes
    ----------
    name : str
        Relative path below ``<dataset id>.source-metadata/``; the same name again replaces it.
    data : bytes
    resolved : mapping of str to str
        What the source made of the manifest entry, as far as this document tells (a version that was the newest one).
    aside : bool
        It says more than what the entry wants: that it changes means nothing.
    """

    name: str
    data: bytes
    resolved: Mapping[str, str] = field(default_factory=dict)
    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """Something that the manifest wants and the source does not have; the rest comes, then the dataset fails.

    Attributes
    ----------
    error : SourceError
    """

    error: SourceError


Finding = FilesFound | TreeFound | Kept | Setback


class Source(Protocol):
    """A source plug-in: a class whose instances resolve manifest entries."""

    def __init__(self, context: SourceContext) -> None: ...

    def resolve(self, entry: Any) -> AsyncIterator[Finding]:
        """What there is to fetch for one manifest entry (Any: the source's own entry model), streaming.

        Raises
        ------
        SourceError
            Unknown entry, nothing there, not built.
        """
        ...
