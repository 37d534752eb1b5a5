"""Exact sizes of a few files that no listing tells, or that it rounds: each file is asked for one byte.

Where sizes are known, a plan says what it needs, guards hold, and a file that ends early is noticed. In datasets of
many files that would cost more than it tells: there the first answer of each transfer decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from emasync.errors import RangeNotSatisfiedError, TransportError
from emasync.model.digest import Span
from emasync.model.globs import Selection
from emasync.model.location import Location
from emasync.model.packing import pack_validator
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.sources.apache import RoundedSize
from emasync.sources.interface import FilesFound
from emasync.transport.interface import Fetcher

MOST_PROBED = 256
"""Files of one dataset that are asked: at 8 connections and about a second each, half a minute."""

AT_ONCE = 8
"""Questions at the same time; the host's limiter may allow fewer."""

MAX_MISMATCHES = 100

NOTHING_SHOWN: Mapping[str, RoundedSize | None] = {}


@dataclass(frozen=True, slots=True)
class SizeMismatch:
    """A file that is not as long as its listing shows.

    Attributes
    ----------
    path : str
    shown : str
        Size column.
    size_bytes : int
        As the server answered.
    """

    path: str
    shown: str
    size_bytes: int


class SizeProbe:
    """Asks the files of one dataset for their sizes, as long as there are few.

    Parameters
    ----------
    fetcher : Fetcher
    selection : Selection
        Files that nobody wants are not asked.

    Attributes
    ----------
    mismatches : list of SizeMismatch
        At most :data:`MAX_MISMATCHES`.
    """

    def __init__(self, fetcher: Fetcher, selection: Selection) -> None:
        self.mismatches: list[SizeMismatch] = []
        self._fetcher = fetcher
        self._selection = selection
        self._known: dict[str, ObjectEntry] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._few = True

    async def fill(self, found: FilesFound, shown: Mapping[str, RoundedSize | None] = NOTHING_SHOWN) -> FilesFound:
        """`found` with sizes, or as it is where that would be too many questions.

        Parameters
        ----------
        found : FilesFound
        shown : mapping of str to RoundedSize or None
            What a listing shows, by path.
        """
        items = {path_of(item): item for item in found.entries if self._selection.wants(path_of(item))}
        unknown = {path: item for path, item in items.items() if path not in self._known}
        self._few = self._few and len(self._known) + len(unknown) <= MOST_PROBED
        if self._few:
            spec = TaskSetSpec(dataset="", base=found.base, destination="", encoded=found.encoded)
            async with asyncio.TaskGroup() as group:
                for path, item in unknown.items():
                    group.create_task(self._ask(path, item, spec.locate(item.key), shown.get(path)))
        return replace(found, entries=tuple(self._known.get(path_of(item), item) for item in found.entries))

    async def _ask(self, path: str, item: ObjectEntry, location: Location, shown: RoundedSize | None) -> None:
        """Learn one size; a file that does not answer keeps its open size, its transfer will say why."""
        listed: bytes | None = None
        total: int | None = None
        try:
            async with self._slots:
                head = (await self._fetcher.read(location, span=Span(0, 1), limit_bytes=1)).head
            listed, total = pack_validator(head.validator), head.total_bytes
        except RangeNotSatisfiedError as error:
            total = error.total_bytes
        except TransportError:
            pass
        self._known[path] = item._replace(size_bytes=total, listed=listed)
        if total is not None and shown is not None and not shown.allows(total):
            self.mismatches += [SizeMismatch(path, shown.text, total)][: MAX_MISMATCHES - len(self.mismatches)]


def path_of(item: ObjectEntry) -> str:
    """Path below the dataset's folder."""
    return item.key if item.path is None else item.path
