"""Rows about what the source of one dataset finds: the same findings as a run's, looked at and not fetched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, Protocol

from emasync.api.listed_row import ListedRow
from emasync.api.patience import SOMEBODY_WAITS
from emasync.api.survey_tree import rows_in
from emasync.errors import EmasyncError, ErrorKind, TransportError
from emasync.manifest.manifest import Manifest
from emasync.model.digest import Span
from emasync.model.events import OnEvent
from emasync.model.location import Location
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.plan.verdict import decisive
from emasync.registry import SOURCES
from emasync.settings import Settings
from emasync.sources.interface import FilesFound, Finding, Setback, Source, SourceContext, TreeFound
from emasync.transport.governed import GovernedFetcher

MOST_ASKED: Final = 64
"""Files that are asked for their size, where the source does not say it: one request each."""


class Survey(Protocol):
    """Looks at all datasets of a manifest, one after the other."""

    def __call__(
        self, manifest: Manifest, settings: Settings, *, recursive: bool, on_event: OnEvent
    ) -> AsyncGenerator[ListedRow]:
        """As :func:`survey`."""
        ...


async def survey(
    manifest: Manifest, settings: Settings, *, recursive: bool, on_event: OnEvent
) -> AsyncGenerator[ListedRow]:
    """Rows about all datasets of `manifest`, streaming.

    Parameters
    ----------
    manifest : Manifest
    settings : Settings
        In place of the manifest's.
    recursive : bool
        All objects below folders, and inside of each tree.
    on_event : callable
    """
    settings = replace(settings, hosts={"*": SOMEBODY_WAITS, **settings.hosts})
    async with GovernedFetcher(settings, on_event=on_event) as fetcher:
        context = SourceContext(fetcher=fetcher, settings=settings, on_event=on_event, folder=manifest.folder)
        surveyor = Surveyor(context, recursive=recursive)
        for entry in manifest.datasets:
            async with aclosing(surveyor.rows(entry)) as rows:
                async for row in rows:
                    yield row


class Surveyor:
    """Looks at datasets.

    Parameters
    ----------
    context : SourceContext
    recursive : bool
        All objects below folders, and inside of each tree.
    """

    def __init__(self, context: SourceContext, *, recursive: bool) -> None:
        self._context = context
        self._recursive = recursive
        self._asked = 0

    async def rows(self, entry: Any) -> AsyncGenerator[ListedRow]:
        """What there is of one manifest entry (Any: each source has an entry model of its own), streaming.

        What cannot be looked at is a row too; the rows before it stay right.
        """
        seen = 0
        try:
            async with aclosing(self._findings(entry)) as rows:
                async for row in rows:
                    seen += 1
                    yield row
        except (EmasyncError, ExceptionGroup) as failure:
            error = decisive(failure)
            if not isinstance(error, EmasyncError):
                raise
            yield ListedRow.failed(entry.id, error)
            return
        if not seen:
            message = "nothing is there; check the link, and include and exclude"
            yield ListedRow(kind="failed", dataset=entry.id, error=ErrorKind.NOT_FOUND, message=message)

    async def _findings(self, entry: Any) -> AsyncGenerator[ListedRow]:
        make = await asyncio.to_thread(SOURCES.load, entry.source_name)  # imports read files
        source: Source = make(self._context)
        findings = source.resolve(entry)
        try:
            async for finding in findings:
                async with aclosing(self._shown(finding, entry)) as rows:
                    async for row in rows:
                        yield row
        finally:  # a listing that is left early is closed at once
            if isinstance(findings, AsyncGenerator):
                await findings.aclose()

    async def _shown(self, finding: Finding, entry: Any) -> AsyncGenerator[ListedRow]:
        """Rows of one finding (Any: as above)."""
        if isinstance(finding, Setback):
            yield ListedRow.failed(entry.id, finding.error)
        elif isinstance(finding, FilesFound | TreeFound):
            chosen = self._files(finding, entry) if isinstance(finding, FilesFound) else self._tree(finding, entry)
            async with aclosing(chosen) as rows:
                async for row in rows:
                    yield row

    async def _tree(self, found: TreeFound, entry: Any) -> AsyncGenerator[ListedRow]:
        """One tree. Those of which there may be thousands are looked into where that is asked for (Any: as above)."""
        if found.part and not self._recursive and found.path not in entry.include:
            yield ListedRow(kind="tree", dataset=entry.id, path=found.path, location=str(found.tree.base))
            return
        try:
            async with aclosing(rows_in(found, entry, recursive=self._recursive)) as rows:
                async for row in rows:
                    yield row
        except (EmasyncError, ExceptionGroup) as failure:
            error = decisive(failure)
            if not isinstance(error, EmasyncError) or not (found.part or found.asset):
                raise
            yield ListedRow.failed(entry.id, error, found.path)

    async def _files(self, found: FilesFound, entry: Any) -> AsyncGenerator[ListedRow]:
        """Any: as for :meth:`rows`."""
        lead = f"{found.path}/" if found.path else ""
        for item in found.entries:
            path = item.key if item.path is None else item.path
            if not entry.selection.wants(path):
                continue
            location = _location(found, item)
            row = ListedRow(kind="file", dataset=entry.id, path=lead + path, location=str(location))
            yield await self._sized(row, item.size_bytes, location)

    async def _sized(self, row: ListedRow, size_bytes: int | None, location: Location) -> ListedRow:
        """The row with its size; the first few that the source does not know are asked for it."""
        if size_bytes is None and self._asked < MOST_ASKED:
            self._asked += 1
            try:
                document = await self._context.fetcher.read(location, span=Span(0, 1))
            except TransportError as error:
                return ListedRow.failed(row.dataset, error, row.path)
            size_bytes = document.head.total_bytes
        return replace(row, size_bytes=size_bytes)


def _location(found: FilesFound, item: ObjectEntry) -> Location:
    """Canonical location of a file, as a task set of it would have it."""
    spec = TaskSetSpec(dataset="", asset=found.asset, rank=0, base=found.base, destination="", encoded=found.encoded)
    return spec.locate(item.key)
