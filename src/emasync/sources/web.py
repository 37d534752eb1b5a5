"""Plain URLs: the manifest names every file, so nothing is asked of the network while planning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice

from emasync.manifest.web import WebEntry, WebFile
from emasync.model.task import ObjectEntry
from emasync.sources.interface import FilesFound, Finding, SourceContext

PAGE_ENTRIES = 1_000
"""Most entries of one finding: one ledger transaction, and all that is ever in memory (law 4)."""


class WebSource:
    """``source: web``."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def resolve(self, entry: WebEntry) -> AsyncIterator[Finding]:
        """Files of `entry` in the manifest's order, in pages of up to :data:`PAGE_ENTRIES` per base.

        Parameters
        ----------
        entry : WebEntry
            Templates are expanded while this is consumed, never as a list.

        Raises
        ------
        InputError
            A URL that :meth:`Location.parse` refuses.
        """
        named = ((base, item) for base, item in map(named_object, entry.expanded()))
        for base, page in paged(named):
            yield FilesFound(base=base, entries=page, encoded=True)


def named_object(file: WebFile) -> tuple[str, ObjectEntry]:
    """Split one file of the manifest into the base of its task set and its entry.

    Returns
    -------
    tuple of str and ObjectEntry
        The site, and the rest of the URL (path and query, percent-encoded) as the key.
    """
    location = file.location
    base = location.site
    key = str(location).removeprefix(base)
    return base, ObjectEntry(key=key, size_bytes=file.size_bytes, path=file.path, digests=file.digests)


def paged(named: Iterator[tuple[str, ObjectEntry]]) -> Iterator[tuple[str, tuple[ObjectEntry, ...]]]:
    """Group neighbours of one base into pages.

    Parameters
    ----------
    named : iterator of (base, entry)

    Yields
    ------
    tuple of str and tuple of ObjectEntry
        Up to :data:`PAGE_ENTRIES` entries; a base may come again.
    """
    while window := tuple(islice(named, PAGE_ENTRIES)):
        by_base: dict[str, list[ObjectEntry]] = {}
        for base, item in window:
            by_base.setdefault(base, []).append(item)
        for base, items in by_base.items():
            yield base, tuple(items)
