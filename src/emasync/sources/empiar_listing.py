"""The files of one EMPIAR entry, from as many listings as it takes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable

from emasync.errors import NotFoundError, SourceError
from emasync.manifest.archives import EmpiarEntry
from emasync.model.events import Event
from emasync.model.globs import Selection
from emasync.model.location import Location
from emasync.model.task import ObjectEntry
from emasync.sources.apache_sizes import SizeProbe
from emasync.sources.apache_walk import IndexFolder, IndexPage, walk_index, walk_store
from emasync.sources.empiar_census import Census, Tally, Verdict
from emasync.sources.empiar_conflicts import Conflict
from emasync.sources.empiar_record import ImageSet
from emasync.sources.interface import FilesFound, Setback, SourceContext
from emasync.transport.mirrors import Mirrors

PASSES = 3
"""Listings, at most, of image sets that stay short."""

PAUSE_S = 6.0
"""Between them: Apache closes idle connections after 5 s (KeepAliveTimeout), a new one may reach another server."""

MOST_TOLD = 3
"""Image sets that one message names."""

_WILD = re.compile(r"[*?\[]")


class EntryListing:
    """Lists one entry, again where images are missing. What was listed once is found, whatever later listings say.

    Parameters
    ----------
    context : SourceContext
    base : Location
        The entry's folder, without slash at its end.
    entry : EmpiarEntry
    image_sets : iterable of ImageSet

    Attributes
    ----------
    census : Census
    """

    def __init__(
        self, context: SourceContext, base: Location, entry: EmpiarEntry, image_sets: Iterable[ImageSet]
    ) -> None:
        self.census = Census(image_sets, entry.selection)
        self._probe = SizeProbe(context.fetcher, entry.selection)
        self._context = context
        self._base = base
        self._entry = entry
        self._unseen = {path for path in entry.include if not _WILD.search(path) and entry.selection.wants(path)}

    async def found(self) -> AsyncIterator[FilesFound]:
        """All files, page by page; then those that the manifest names and no listing shows.

        Raises
        ------
        SourceError
            The entry has no folder of data.
        TransportError
            As :func:`walk_index`.
        """
        for number in range(PASSES):
            async for page in self._listed(first=number == 0):
                self._unseen.difference_update(path for path, _ in page.files)
                self.census.take(page, first=number == 0)
                shown = {path: row.size for path, row in page.files}
                for found in page.found(self._base):
                    yield await self._probe.fill(found, shown)
            if self.census.settled:
                break
            if number < PASSES - 1:
                await self._context.clock.sleep(PAUSE_S)
        if self._unseen:
            self._warn(f"{len(self._unseen)} files that the manifest names are in no listing; asked for by name")
            yield FilesFound(
                base=str(self._base), entries=tuple(ObjectEntry(key=path) for path in sorted(self._unseen))
            )

    async def _listed(self, *, first: bool) -> AsyncIterator[IndexPage]:
        """One pass: over all that may be wanted first, over unsettled image sets later."""
        top = IndexFolder(Location.parse(f"{self._base}/"))
        reaches = self.census.reaches if first else self.census.narrowed()
        for folder in self._entry.selection.folders:
            if not reaches(folder):
                continue
            start = top.below(folder)
            try:
                async for page in self._walk(start, reaches):
                    yield page
            except NotFoundError as error:
                if not folder or error.location != str(start.location):
                    raise
                self._warn(f"{start.location}: there is no such folder (include: {folder}...)")

    def _walk(self, start: IndexFolder, reaches: Callable[[str], bool]) -> AsyncIterator[IndexPage]:
        """Listings of the web server, or those of a mirror that is no web server."""
        mirror = Mirrors(self._context.settings.mirrors).route(start.location).asked
        walk = walk_store if mirror.scheme == "file" or mirror.as_bucket() is not None else walk_index
        return walk(self._context.fetcher, start, reaches)

    def conflicts(self) -> list[Conflict]:
        """Where the files contradict what is said of them: their sizes, the number of images, the size of an image."""
        sizes = [
            Conflict(f"size of {item.path}", {"listing": item.shown, "server": f"{item.size_bytes} bytes"})
            for item in self._probe.mismatches
        ]
        unlike = [
            Conflict(
                f"images in {tally.directory or 'the entry'}",
                {"api": str(tally.promised), "listing": str(tally.listed)},
            )
            for tally in self.census.with_verdict(Verdict.UNLIKE)
        ]
        misfits = [
            Conflict(
                f"image size in {tally.directory or 'the entry'}",
                {"api": f"{tally.image_bytes} bytes an image", "listing": f"{row.name} has {row.size.text}"},
            )
            for tally in self.census.tallies
            if (row := tally.misfit) is not None and row.size is not None
        ]
        return sizes + unlike + misfits

    def shortfall(self) -> Setback | None:
        """Image sets that stayed short, by name; None where there is none, or the manifest accepts missing files."""
        short = [tally for tally in self.census.with_verdict(Verdict.SHORT) if not self._accepted(tally)]
        if not short:
            return None
        told = "; ".join(map(str, short[:MOST_TOLD]))
        more = f"; and {len(short) - MOST_TOLD} more" if len(short) > MOST_TOLD else ""
        message = (
            f"{self._base}: {PASSES} listings together are incomplete: {told}{more}. What is listed is fetched; run "
            "again, name the missing files (include), or accept that they are missing (allow_missing)"
        )
        return Setback(error=SourceError(message, location=str(self._base)))

    def _accepted(self, tally: Tally) -> bool:
        if not self._entry.allow_missing or not Selection(self._entry.allow_missing).wants(tally.example):
            return False
        self._warn(f"{tally}; accepted (allow_missing)")
        return True

    def _warn(self, message: str) -> None:
        fields = {"dataset": self._entry.id, "location": str(self._base), "message": message}
        self._context.on_event(Event("warning", {**fields}))
