"""Walking the folders behind directory listings: a few at a time, each in the order of its names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from urllib.parse import quote

from emasync.errors import SourceError
from emasync.model.location import Location
from emasync.model.task import ObjectEntry
from emasync.sources.apache import PAGE_BYTES, IndexRow, RoundedSize, parse_index
from emasync.sources.interface import FilesFound
from emasync.sources.walk import BucketTree
from emasync.transport.interface import Fetcher, ListedObject

AT_ONCE = 4
"""Listings asked for side by side; the host's limiter may allow fewer."""

PAGE_ENTRIES = 1_000
"""Most files of one finding: one ledger transaction."""

MAX_DEPTH = 64
"""Folders inside of folders: a link that leads back up would have no end."""

LARGE_PAGE_BYTES = 256 << 10
"""A longer listing takes tens of milliseconds to read: in a thread."""


@dataclass(frozen=True, slots=True)
class IndexFolder:
    """A folder of a walk.

    Attributes
    ----------
    location : Location
        With a slash at its end.
    path : str
        Decoded, relative to the walk's base, with a slash at its end; empty for the base.
    plain : bool
        Whether `path`, escaped again, leads to `location`.
    """

    location: Location
    path: str = ""
    plain: bool = True

    def child(self, row: IndexRow) -> IndexFolder:
        """The folder that `row` names."""
        location = replace(self.location, path=f"{self.location.path}{row.href}/")
        return IndexFolder(location, f"{self.path}{row.name}/", self.plain and row.plain)

    def below(self, folder: str) -> IndexFolder:
        """The folder `folder` (with a slash at its end, or empty) below this one."""
        return replace(self, location=self.location.join(folder), path=self.path + folder)


@dataclass(frozen=True, slots=True)
class IndexPage:
    """One listing that was read.

    Attributes
    ----------
    folder : IndexFolder
    rows : tuple of IndexRow
        By name.
    """

    folder: IndexFolder
    rows: tuple[IndexRow, ...]

    @property
    def files(self) -> Iterable[tuple[str, IndexRow]]:
        """Path below the base and row of each file."""
        return ((self.folder.path + row.name, row) for row in self.rows if not row.folder)

    def children(self, reaches: Callable[[str], bool]) -> list[IndexFolder]:
        """Folders right below that `reaches` says yes to."""
        folders = (self.folder.child(row) for row in self.rows if row.folder)
        return [folder for folder in folders if reaches(folder.path)]

    def found(self, base: Location) -> Iterator[FilesFound]:
        """The files, :data:`PAGE_ENTRIES` at a time; sizes stay open, because the column is rounded.

        Parameters
        ----------
        base : Location
            Of the walk, without slash at its end.
        """
        files = iter(self.files)
        while window := tuple(islice(files, PAGE_ENTRIES)):
            yield from self._found(base, window)

    def _found(self, base: Location, files: Sequence[tuple[str, IndexRow]]) -> Iterator[FilesFound]:
        """Names that can be escaped again, then those that can not: they keep the escapes they came with."""
        plain = [ObjectEntry(key=path) for path, row in files if self.folder.plain and row.plain]
        if plain:
            yield FilesFound(base=str(base), entries=tuple(plain))
        if len(plain) < len(files):
            folder = self.folder.location.path
            odd = ((path, row) for path, row in files if not (self.folder.plain and row.plain))
            entries = tuple(ObjectEntry(key=folder + row.href, path=path) for path, row in odd)
            yield FilesFound(base=base.site, entries=entries, encoded=True)


async def walk_index(
    fetcher: Fetcher, start: IndexFolder, reaches: Callable[[str], bool] = lambda _folder: True
) -> AsyncIterator[IndexPage]:
    """All listings at and below `start`, in the order of paths, give or take :data:`AT_ONCE` neighbours.

    Parameters
    ----------
    fetcher : Fetcher
    start : IndexFolder
    reaches : callable
        Whether a folder (its path, with a slash at its end) is to be looked into.

    Raises
    ------
    SourceError
        Deeper than :data:`MAX_DEPTH`.
    RefusedError
        Something else than a listing came.
    TransportError
        As :meth:`Fetcher.read`.
    """
    waiting = [start]
    while waiting:
        batch, waiting = waiting[: -AT_ONCE - 1 : -1], waiting[:-AT_ONCE]
        inside: list[IndexFolder] = []
        texts = await read_side_by_side(fetcher, batch)
        for folder in batch:
            page = await parsed(folder, texts.pop(0))  # one at a time: rows take ten times the room of their text
            yield page
            inside += page.children(reaches)
        check_depth(inside)
        waiting += reversed(inside)


async def walk_store(fetcher: Fetcher, start: IndexFolder, reaches: Callable[[str], bool]) -> AsyncIterator[IndexPage]:
    """The same pages of a mirror that lists by itself (a local folder, a bucket), in key order.

    Raises
    ------
    TransportError
        As :meth:`Fetcher.list`.
    """
    tree = BucketTree(fetcher, start.location)
    async for listed in tree.list(""):
        for folder, items in groupby(listed.objects, key=lambda item: item.key.rpartition("/")[0]):
            here = start.below(f"{folder}/" if folder else "")
            if reaches(here.path):
                yield IndexPage(here, tuple(_stored(item) for item in items))


def _stored(item: ListedObject) -> IndexRow:
    name = item.key.rpartition("/")[2]
    size = RoundedSize(str(item.size_bytes), item.size_bytes, item.size_bytes)
    return IndexRow(quote(name), name, folder=False, size=size, modified=item.last_modified)


async def read_side_by_side(fetcher: Fetcher, folders: Iterable[IndexFolder]) -> list[bytes]:
    """Read several listings at the same time.

    Raises
    ------
    TransportError
        The first one's.
    """
    try:
        async with asyncio.TaskGroup() as group:
            reads = (fetcher.read(folder.location, limit_bytes=PAGE_BYTES) for folder in folders)
            tasks = [group.create_task(read) for read in reads]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result().data for task in tasks]


async def parsed(folder: IndexFolder, data: bytes) -> IndexPage:
    """Rows of one listing; those of a long one are read in a thread.

    Raises
    ------
    RefusedError
        Something else than a listing came.
    """
    url = str(folder.location)
    if len(data) < LARGE_PAGE_BYTES:
        return IndexPage(folder, parse_index(data, url))
    return IndexPage(folder, await asyncio.to_thread(parse_index, data, url))


def check_depth(folders: Iterable[IndexFolder]) -> None:
    """Refuse folders that lie too deep.

    Raises
    ------
    SourceError
        Deeper than :data:`MAX_DEPTH`.
    """
    for folder in folders:
        if folder.path.count("/") > MAX_DEPTH:
            location = str(folder.location)
            message = (
                f"{location}: more than {MAX_DEPTH} folders deep; does a link lead back up? Leave it out (exclude)"
            )
            raise SourceError(message, location=location)
