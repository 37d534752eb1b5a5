"""Parallel listing in key order: one long listing as many short ones, side by side.

A bucket lists one page after the other, about a tenth of a second each. Here several listings go on at a time, each
over a stretch of the key space (``stretches.py`` says which). Their pages come out in key order, so that one key
still says where a listing stands, and they are what one listing from beginning to end would give.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing

from emasync.sources.cuts import Folders
from emasync.sources.stretches import Phase, Stretch, Stretches
from emasync.transport.interface import ListPage

BEHIND_ALL = "\U0010ffff"
"""Greatest character in UTF-8 order."""

PAGES_BEFORE_FOLDERS = 3
"""Pages of a listing before its folders are asked for: most listings are over by then."""

Listing = Callable[[str | None], AsyncGenerator[ListPage, None]]
"""Lists in key order what comes after a key; None: everything."""

FindFolders = Callable[[str], Awaitable[tuple[str, ...]]]
"""Gives sorted names of folders behind a key, each with its slash: where a listing may be cut."""


async def list_in_lanes(
    listing: Listing, prefix: str, *, start_after: str | None = None, find_folders: FindFolders | None = None
) -> AsyncGenerator[ListPage, None]:
    """List all keys that begin with `prefix`, several stretches at the same time, pages in key order.

    Close it (``aclosing``) when leaving early: the lanes end with it.

    Parameters
    ----------
    listing : callable
        Lists what comes after a key.
    prefix : str
    start_after : str, optional
        Only what comes after it.
    find_folders : callable, optional

    Raises
    ------
    TransportError
        As the listing, after all pages that come before it in key order.
    """
    lanes = _Lanes(listing, Stretches(prefix, start_after), find_folders)
    # No TaskGroup: around a yield it would wrap GeneratorExit, and cancel the consumer amid work of its own.
    try:
        while (page := await lanes.next()) is not None:
            yield page
    finally:
        await lanes.aclose()


class _Lanes:
    """Does what the state says: starts listings, brings their pages in, stops those that are not wanted any more."""

    def __init__(self, listing: Listing, stretches: Stretches, find_folders: FindFolders | None) -> None:
        self._listing = listing
        self._stretches = stretches
        self._find_folders = find_folders
        self._owners: dict[Stretch, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._alive: set[asyncio.Task[None]] = set()
        self._bell = asyncio.Event()
        self._came = 0
        self._begun = self._eager = False

    async def next(self) -> ListPage | None:
        """The next page; None at the end."""
        stretches = self._stretches
        self._eager, self._begun = self._begun, True  # whoever wants the first page only pays for no other
        while (page := stretches.page()) is None and stretches.front is not None:
            stretches.starved = True
            self._changed()
            await self._bell.wait()
        stretches.starved = False
        self._changed()
        if self._looking is not None and self._looking.done():
            self._looking.result()
        return page

    async def aclose(self) -> None:
        """End all listings."""
        await end_all(self._alive)

    def _changed(self) -> None:
        """Stop and start listings as the state has it now, and wake all who wait for it."""
        self._dismiss()
        while (self._eager or not self._alive) and (stretch := self._stretches.start()) is not None:
            self._dismiss()
            self._owners[stretch] = self._spawn(self._walk(stretch))
        self._bell.set()
        self._bell = asyncio.Event()

    def _dismiss(self) -> None:
        for stretch, task in list(self._owners.items()):
            if stretch.phase in (Phase.PENDING, Phase.DONE):
                del self._owners[stretch]
                if task is not asyncio.current_task():  # that one finds out by itself
                    task.cancel()

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._alive.add(task)
        task.add_done_callback(self._alive.discard)
        return task

    async def _walk(self, stretch: Stretch) -> None:
        """List a stretch; an error waits for its turn like a page, so that what comes before it is kept."""
        me = asyncio.current_task()
        try:
            async with aclosing(self._listing(stretch.after)) as pages:
                async for page in pages:
                    self._take(stretch, page)
                    while self._owners.get(stretch) is me and (stretch.waits or (stretch.known and not self._eager)):
                        await self._bell.wait()
                    if self._owners.get(stretch) is not me:
                        return
        except Exception as error:  # noqa: BLE001  # raised again by whoever takes the pages, in key order
            if self._owners.get(stretch) is me:
                self._stretches.failed(stretch, error)
                self._changed()

    def _take(self, stretch: Stretch, page: ListPage) -> None:
        self._stretches.took(stretch, page)
        self._came += 1
        if self._came == PAGES_BEFORE_FOLDERS and self._find_folders is not None and not page.last:
            self._looking = self._spawn(self._look_for_folders(self._find_folders))
        self._changed()

    async def _look_for_folders(self, find_folders: FindFolders) -> None:
        front = self._stretches.front
        if front is not None:
            self._stretches.cuts.folders = Folders(await find_folders(front.at))
            self._changed()


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until all of them are over."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
