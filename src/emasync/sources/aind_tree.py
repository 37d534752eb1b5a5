"""One asset, or a bucket of them, as a tree that is only looked into where globs can mean something.

An asset holds some sidecars beside millions of chunks. Who wants the sidecars, or one tile, must not pay for a
listing of all the rest.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from emasync.model.globs import Selection
from emasync.sources.aind_reach import Reach
from emasync.sources.interface import Children
from emasync.sources.walk import BucketTree, as_folder, closing, is_marker
from emasync.transport.interface import ListedObject, ListPage

SIDECAR_BYTES = 64 << 20
"""Anything larger is data, whatever its name says."""

_SIDECAR = re.compile(r"(?!zarr\.json|attributes\.json)[^.][^/]*\.(?:json|ya?ml|xml|txt|md|csv|tsv)", re.IGNORECASE)
"""Documents right below an asset, but for those that make the asset itself a container."""

MAX_DEPTH = 3
"""Folders inside each other that are told apart by name (asset, container, tile): one request each. Below, a listing
of everything at 1,000 keys a request is cheaper than one of each folder."""


class AssetTree:
    """A :class:`~emasync.sources.interface.Tree` without the folders that globs leave out.

    Parameters
    ----------
    whole : BucketTree
        The asset as it is.
    selection : Selection
        Globs over paths below it.

    Attributes
    ----------
    base : Location
    whole : BucketTree
    """

    def __init__(self, whole: BucketTree, selection: Selection) -> None:
        self.base = whole.base
        self.whole = whole
        self._reach = Reach.of(selection)
        self._selection = selection
        self._top: Children | None = None
        self._sidecars: dict[str, ListedObject] = {}

    def __repr__(self) -> str:
        return f"<AssetTree {self.base}>"

    async def open(self) -> bool:
        """Look at the top level, with one request; False when there is nothing at all.

        Raises
        ------
        TransportError
            As :meth:`Fetcher.list`.
        """
        async with aclosing(self.whole.level("")) as pages:
            page = await anext(pages, None)
        if page is None or not (page.folders or page.objects):
            return False
        if page.last:
            self._know([item for item in page.objects if not is_marker(item)], page.folders)
        return True

    def _know(self, objects: Sequence[ListedObject], folders: Sequence[str]) -> None:
        self._top = Children(tuple(name.removesuffix("/") for name in folders), tuple(item.key for item in objects))
        self._sidecars = {item.key: item for item in objects if is_sidecar(item) and self._selection.wants(item.key)}

    @property
    def sidecars(self) -> tuple[ListedObject, ...]:
        """Wanted documents right below the asset; the tree itself lists them no more.

        Empty where the top level is longer than a page: they come with all the rest then.
        """
        return tuple(self._sidecars.values())

    @property
    def exhausted(self) -> bool:
        """Whether nothing can be wanted beside the sidecars."""
        if self._top is None or any(not self._reach.below(name).nothing for name in self._top.folders):
            return False
        return not any(self._selection.wants(name) for name in self._top.objects if name not in self._sidecars)

    async def read(self, key: str) -> bytes | None:
        """As :meth:`BucketTree.read`; what the top level does not have is not asked for."""
        if self._top is not None and "/" not in key and key not in self._top.objects:
            return None
        return await self.whole.read(key)

    async def children(self, folder: str) -> Children:
        """As :meth:`BucketTree.children`, without sidecars and folders that globs leave out."""
        known = self._top if self._top is not None and not folder else await self.whole.children(folder)
        reach = self._reach.below(folder)
        return Children(
            tuple(name for name in known.folders if not reach.below(name).nothing),
            known.objects if folder else tuple(name for name in known.objects if name not in self._sidecars),
        )

    async def level(self, folder: str, *, start_after: str | None = None) -> AsyncGenerator[ListPage, None]:
        """As :meth:`BucketTree.level`, without folders that globs leave out."""
        reach, cut = self._reach.below(folder), len(as_folder(folder))
        async with aclosing(self.whole.level(folder, start_after=start_after)) as pages:
            async for page in pages:
                yield replace(
                    page, folders=tuple(name for name in page.folders if not reach.below(name[cut:-1]).nothing)
                )

    async def list(self, folder: str, *, start_after: str | None = None) -> AsyncIterator[ListPage]:
        """As :meth:`BucketTree.list`, without sidecars and folders that globs leave out."""
        depth = folder.count("/") + 1 if folder else 0
        pages = self._listed(folder, start_after, self._reach.below(folder), depth)
        async with aclosing(pages):
            async for page in pages:
                objects = tuple(item for item in page.objects if item.key not in self._sidecars)
                yield ListPage(objects=objects, last=False)
        yield ListPage(objects=(), last=True)

    async def _listed(
        self, folder: str, start_after: str | None, reach: Reach, depth: int
    ) -> AsyncGenerator[ListPage, None]:
        """Pages of a folder, none of them the last: what comes after it is not known here."""
        if reach.nothing:
            return
        if reach.deep or depth >= MAX_DEPTH:
            async with closing(self.whole.list(folder, start_after=start_after)) as pages:
                async for page in pages:
                    yield ListPage(objects=page.objects, last=False)
            return
        async with aclosing(self._levels(folder, start_after, reach, depth)) as parts:
            async for page in parts:
                yield page

    async def _levels(
        self, folder: str, start_after: str | None, reach: Reach, depth: int
    ) -> AsyncGenerator[ListPage, None]:
        """Objects right below the folder and the pages of its folders, together in key order."""
        prefix = as_folder(folder)
        if start_after is not None and not start_after.startswith(prefix):
            if start_after > prefix:
                return
            start_after = None
        async with aclosing(self.whole.level(folder, start_after=start_after)) as pages:
            async for page in pages:
                async for part in self._merged(page, start_after, reach, depth, len(prefix)):
                    yield part

    async def _merged(
        self, page: ListPage, start_after: str | None, reach: Reach, depth: int, cut: int
    ) -> AsyncGenerator[ListPage, None]:
        rows = [item for item in page.objects if not is_marker(item)]
        for inner in page.folders:
            before = [item for item in rows if item.key < inner]
            rows = rows[len(before) :]
            yield ListPage(objects=tuple(before), last=False)
            below = reach.below(inner[cut:-1])
            async with aclosing(self._listed(inner[:-1], start_after, below, depth + 1)) as parts:
                async for part in parts:
                    yield part
        yield ListPage(objects=tuple(rows), last=False)


def is_sidecar(item: ListedObject) -> bool:
    """Whether an object right below an asset says something of all of it."""
    return item.size_bytes <= SIDECAR_BYTES and _SIDECAR.fullmatch(item.key) is not None
