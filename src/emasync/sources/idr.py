"""Images of the Image Data Resource (https://idr.openmicroscopy.org).

OMERO knows an image by its number and remembers where its original came from; it gives neither originals nor raw pixels
to the public (rendered planes are lossy, and never asked for). The originals lie on the public tree of the EBI, some
studies are copied as OME-NGFF. Checksums are not published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from emasync.manifest.archives import IdrEntry
from emasync.sources.idr_images import ImageFinder, unknown
from emasync.sources.idr_omero import OmeroServer
from emasync.sources.interface import Finding, Kept, SourceContext

AT_ONCE = 4
"""Images asked about side by side; the server's policy allows two requests at a time."""


class IdrSource:
    """``source: idr``."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def resolve(self, entry: IdrEntry) -> AsyncIterator[Finding]:
        """Answers as received, then files or trees, image by image; one that cannot be had is a setback.

        Parameters
        ----------
        entry : IdrEntry

        Raises
        ------
        SourceError
            There is no such dataset, or its listing ends before all images were named.
        TransportError
            The server is down.
        """
        omero = OmeroServer(self._context)
        finder = ImageFinder(self._context, omero, entry)
        if entry.dataset is None:
            async for finding in found_among(finder, entry.images, listed=False):
                yield finding
            return
        answer = await omero.ask(f"api/v0/m/datasets/{entry.dataset}/")
        if answer is None:
            raise unknown("dataset", entry.dataset)
        yield Kept(name=f"idr/dataset-{entry.dataset}.json", data=answer.data)
        async for page in omero.pages(entry.dataset):
            yield Kept(name=f"idr/dataset-{entry.dataset}-images-{page.offset}.json", data=page.data)
            async for finding in found_among(finder, page.numbers, listed=True):
                yield finding


async def found_among(finder: ImageFinder, numbers: Iterable[int], *, listed: bool) -> AsyncIterator[Finding]:
    """Findings of several images, in their order."""
    remaining = iter(numbers)
    while batch := tuple(islice(remaining, AT_ONCE)):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(finder.find(number, listed=listed)) for number in batch]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        for task in tasks:
            for finding in task.result():
                yield finding
