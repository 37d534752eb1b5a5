"""Bucket trees: reading, looking around and listing below one prefix, with keys relative to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from urllib.parse import unquote

from emasync.errors import AccessDeniedError, NotFoundError, RefusedError, SourceError, TransportError
from emasync.model.events import Event, OnEvent, ignore_event
from emasync.model.location import Location, missing_key
from emasync.sources.fanout import BEHIND_ALL, list_in_lanes
from emasync.sources.interface import Children
from emasync.transport.interface import Fetcher, ListedObject, ListPage, listed_objects

DOCUMENT_BYTES = 64 << 20
"""Largest metadata document that is read (consolidated metadata of big stores reaches some MiB)."""

MAX_CHILDREN = 200_000
"""Most names right below one folder that are looked at (law 4); a flat listing has no such bound."""


SIZE_OF = attrgetter("size_bytes")

MAX_LEVELS = 6
"""Levels of folders that a long listing is cut at: one request each."""


def raw_path(location: Location) -> str:
    """Key or path without escapes and without leading slash: what listings speak in."""
    path = unquote(location.path) if location.scheme in ("http", "https") else location.path
    return path.removeprefix("/")


def as_folder(path: str) -> str:
    """`path` with a slash at its end, unless it is empty."""
    return path if not path or path.endswith("/") else path + "/"


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """Translates between keys of one listing and keys relative to a tree's base.

    A listing speaks in whole keys below its bucket; for ``file://`` the listed folder itself is the bucket, so
    that keys may also begin below the base.

    Attributes
    ----------
    cut : str
        Leads every listed key and is not part of the relative one.
    lead : str
        Leads every relative key and is not part of the listed one.
    """

    cut: str
    lead: str

    @classmethod
    def between(cls, bucket: Location, base: Location) -> KeyFrame:
        """Frame for a listing answered below `bucket`, seen from `base`."""
        above, below = as_folder(raw_path(bucket)), as_folder(raw_path(base))
        if below.startswith(above):
            return cls(below[len(above) :], "")
        return cls("", above.removeprefix(below))

    def relative(self, page: ListPage, base: Location) -> ListPage:
        """A page with relative keys.

        Raises
        ------
        RefusedError
            The listing answered with a key that was not asked for.
        """
        if self == SAME:
            return page
        # rows come in key order: where the ends begin alike, so does all between
        for key in (*(item.key for item in page.objects[:: max(1, len(page.objects) - 1)]), *page.folders):
            if not key.startswith(self.cut):
                raise RefusedError(f"listing of {base}: key {key!r} is not below it", location=str(base))
        lead, size = self.lead, len(self.cut)
        keys, *columns = zip(*page.objects, strict=True) if page.objects else ((),)
        objects = listed_objects(zip([lead + key[size:] for key in keys], *columns, strict=True))
        folders = tuple(lead + name[size:] for name in page.folders)
        return replace(page, objects=objects, folders=folders)

    def listed(self, key: str) -> str | None:
        """Listed key of a relative one, to start after; None when all of the listing lies behind it."""
        if key.startswith(self.lead):
            return self.cut + key[len(self.lead) :]
        return None


SAME = KeyFrame("", "")
"""Listed keys are the relative ones."""


class BucketTree:
    """A bucket prefix (or folder) as a tree of keys relative to `base`.

    Parameters
    ----------
    fetcher : Fetcher
    base : Location
        ``s3://b/p`` stands for the keys below ``p/``; never for those of ``p2/``.
    on_event : callable
        Told of folder markers that were left out.
    """

    def __init__(self, fetcher: Fetcher, base: Location, on_event: OnEvent = ignore_event) -> None:
        self.base = base
        self._fetcher = fetcher
        self._on_event = on_event
        self._missing_is_denied: bool | None = None

    def __repr__(self) -> str:
        return f"<BucketTree {self.base}>"

    async def read(self, key: str) -> bytes | None:
        """Read one document of up to :data:`DOCUMENT_BYTES`; None when it is not there.

        Raises
        ------
        AccessDeniedError
            The origin tells missing from forbidden, and this is forbidden.
        TransportError
            As :meth:`Fetcher.read`.
        """
        try:
            return (await self._fetcher.read(self.base.join(key), limit_bytes=DOCUMENT_BYTES)).data
        except NotFoundError:
            return None
        except AccessDeniedError:
            if await self._hides_missing():
                return None
            raise

    async def _hides_missing(self) -> bool:
        """Whether the origin answers 403 for what is not there (S3 does, where listing is not allowed; law 9)."""
        if self._missing_is_denied is None:
            self._missing_is_denied = await self._probe()
        return self._missing_is_denied

    async def _probe(self) -> bool:
        location = self.base.join(missing_key(self.base))
        try:
            await self._fetcher.read(location, limit_bytes=DOCUMENT_BYTES)
        except NotFoundError:
            return False
        except AccessDeniedError:
            message = f"{self.base}: missing objects are answered with 403 here; 403 is taken for missing metadata"
            self._on_event(Event("warning", {"message": message, "location": str(self.base)}))
            return True
        raise RefusedError(f"{location}: a name that cannot exist was answered with data", location=str(location))

    async def children(self, folder: str) -> Children:
        """Folders and objects right below `folder`, without the marker object of the folder itself.

        Raises
        ------
        SourceError
            More than :data:`MAX_CHILDREN` names.
        TransportError
            As :meth:`Fetcher.list`.
        """
        folders: list[str] = []
        objects: list[str] = []
        prefix = as_folder(folder)
        async for page in self.level(folder):
            folders += [name.removeprefix(prefix).removesuffix("/") for name in page.folders]
            objects += [item.key.removeprefix(prefix) for item in page.objects]
            if len(folders) + len(objects) > MAX_CHILDREN:
                raise SourceError(
                    f"{self.base.join(folder)} holds more than {MAX_CHILDREN:,} names; name the arrays "
                    "(arrays: [...]) or take the objects as they are (format: raw)",
                    location=str(self.base.join(folder)),
                )
        return Children(tuple(name for name in folders if name), tuple(name for name in objects if name))

    def level(self, folder: str, *, start_after: str | None = None) -> AsyncGenerator[ListPage, None]:
        """Objects and folders right below `folder`, as listed; keys relative to the base, folders with their slash.

        Raises
        ------
        TransportError
            As :meth:`Fetcher.list`.
        """
        return self._pages(as_folder(folder), start_after, "/")

    async def list(self, folder: str, *, start_after: str | None = None) -> AsyncIterator[ListPage]:
        """All objects below `folder` in key order; folder markers (empty objects named ``.../``) are left out.

        Parameters
        ----------
        folder : str
            Relative to the base, without trailing slash; empty for all.
        start_after : str, optional
            Relative key; only what comes after it.
        """
        prefix = as_folder(folder)
        if start_after is not None and not start_after.startswith(prefix):
            if start_after > prefix:
                return
            start_after = None
        async with aclosing(self._listed(prefix, start_after)) as pages:
            async for page in pages:
                if all(map(SIZE_OF, page.objects)):
                    yield page
                    continue
                kept = tuple(item for item in page.objects if not is_marker(item))
                self._report_markers(len(page.objects) - len(kept), prefix)
                yield replace(page, objects=kept)

    def _listed(self, prefix: str, start_after: str | None) -> AsyncGenerator[ListPage, None]:
        """Everything below `prefix`: in lanes, which also list ahead (``fanout.py``); a folder of files in one."""
        if self.base.scheme == "file":
            return self._pages(prefix, start_after, None)
        return list_in_lanes(
            lambda after: self._pages(prefix, after, None),
            prefix,
            start_after=start_after,
            find_folders=lambda last: self._folders_behind(prefix, last),
        )

    async def _folders_behind(self, prefix: str, last: str) -> tuple[str, ...]:
        """Folder names that come after the key `last`, on each level around it: where a listing may be cut."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._folders_after(*level)) for level in levels(prefix, last)]
        return tuple(sorted({name for task in tasks for name in task.result() if name > last}))

    async def _folders_after(self, folder: str, name: str) -> tuple[str, ...]:
        """One page of the folders of `folder` behind the one called `name`; none where that cannot be asked."""
        try:
            async with aclosing(self._pages(folder, f"{name}/{BEHIND_ALL}", "/")) as pages:
                async for page in pages:
                    return page.folders
        except TransportError:
            return ()  # the listing itself will meet it, and say so
        return ()

    def _report_markers(self, count: int, prefix: str) -> None:
        if count:
            message = f"{count:,} empty folder markers left out"
            self._on_event(
                Event("warning", {"message": message, "location": str(self.base.join(prefix)), "objects": count})
            )

    async def _pages(
        self, prefix: str, start_after: str | None, delimiter: str | None
    ) -> AsyncGenerator[ListPage, None]:
        at = folder_location(self.base.join(prefix))
        frame = KeyFrame.between(await self._fetcher.bucket_of(at), self.base)
        after = None if start_after is None else frame.listed(start_after)
        async for page in self._fetcher.list(at, start_after=after, delimiter=delimiter):
            yield frame.relative(page, self.base)


@asynccontextmanager
async def closing(listing: AsyncIterator[ListPage]) -> AsyncIterator[AsyncIterator[ListPage]]:
    """Close a listing that is left early, at once and not whenever the garbage collector comes by."""
    try:
        yield listing
    finally:
        if isinstance(listing, AsyncGenerator):
            await listing.aclose()


def is_marker(item: ListedObject) -> bool:
    """Whether a row only says that a folder exists: empty, and named as one (or as the base itself)."""
    return not item.size_bytes and (not item.key or item.key.endswith("/"))


def levels(prefix: str, key: str) -> list[tuple[str, str]]:
    """Folders between `prefix` and `key`, outermost first: each with the name it goes on with towards `key`.

    Returns
    -------
    list of (str, str)
        Folder with a slash at its end (or empty), and the relative path of its child that `key` lies in.
    """
    found = []
    folder = prefix
    for segment in key[len(prefix) :].split("/")[:-1][:MAX_LEVELS]:
        found.append((folder, folder + segment))
        folder += segment + "/"
    return found


def folder_location(location: Location) -> Location:
    """The listing prefix of a folder: with a slash at its end, so that ``p`` does not stand for ``p2/`` too."""
    if not location.path or location.path.endswith("/"):
        return location
    return replace(location, path=location.path + "/")
