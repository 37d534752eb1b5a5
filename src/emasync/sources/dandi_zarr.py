"""Zarr assets: trees in the archive's bucket, listed by S3; embargoed ones object by object through the API."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from emasync.errors import AccessDeniedError, NotFoundError, RefusedError, SourceError, TransportError
from emasync.formats.zarr.tree_checksum import HashedFile, NotComparableError, TreeChecksum
from emasync.model.packing import pack_listed
from emasync.model.task import ObjectEntry
from emasync.sources.dandi_api import PAGE_ASSETS, DandiApi
from emasync.sources.dandi_assets import Asset
from emasync.sources.interface import Children, FilesFound
from emasync.sources.walk import BucketTree, as_folder
from emasync.transport.interface import ListedObject, ListPage

END = "\U0010ffff\U0010ffff"
"""Behind every key (a key has valid characters of UTF-8, and the last of them is no character of a name)."""


@dataclass(slots=True)
class Coverage:
    """Which stretches of a key space were listed, and what lies there; what is listed twice counts once.

    Attributes
    ----------
    objects, size_bytes : int
    """

    objects: int = 0
    size_bytes: int = 0
    _stretches: list[tuple[str, str]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything was listed."""
        return self._stretches == [("", END)]

    def take(self, low: str, high: str, rows: Sequence[ListedObject]) -> Sequence[ListedObject]:
        """All objects of the half-open stretch from `low` to `high`; gives those that were not listed before."""
        if any(start < high and low < stop for start, stop in self._stretches):
            rows = [row for row in rows if not self._holds(row.key)]
        self.objects += len(rows)
        self.size_bytes += sum(row.size_bytes for row in rows)
        self._join(low, high)
        return rows

    def _holds(self, key: str) -> bool:
        at = bisect_right(self._stretches, (key, END)) - 1
        return at >= 0 and key < self._stretches[at][1]

    def _join(self, low: str, high: str) -> None:
        apart = [(start, stop) for start, stop in self._stretches if stop < low or start > high]
        touching = [(start, stop) for start, stop in self._stretches if not (stop < low or start > high)]
        joined = (min([low, *(start for start, _ in touching)]), max([high, *(stop for _, stop in touching)]))
        self._stretches = sorted([*apart, joined])


class ZarrTree:
    """A Zarr asset as a tree that knows how much of it was listed.

    Parameters
    ----------
    tree : BucketTree
    summed : bool
        Whether the MD5s of its listing are to be put together to the checksum of the tree.

    Attributes
    ----------
    base : Location
    coverage : Coverage
    denied : TransportError or None
        Why nothing was listed: without a listing, what the metadata do not name stays unknown.
    """

    def __init__(self, tree: BucketTree, *, summed: bool = False) -> None:
        self.base = tree.base
        self.coverage = Coverage()
        self._sums = TreeChecksum() if summed else None
        self.denied: TransportError | None = None
        self._tree = tree

    def __repr__(self) -> str:
        return f"<ZarrTree {self.base}, {self.coverage.objects} objects seen>"

    async def read(self, key: str) -> bytes | None:
        """See :class:`~emasync.sources.interface.Tree`."""
        return await self._tree.read(key)

    async def children(self, folder: str) -> Children:
        """See :class:`~emasync.sources.interface.Tree`."""
        return await self._tree.children(folder)

    async def list(self, folder: str, *, start_after: str | None = None) -> AsyncGenerator[ListPage]:
        """See :class:`~emasync.sources.interface.Tree`."""
        prefix = as_folder(folder)
        at = prefix if start_after is None else max(prefix, start_after + "\0")
        stop = prefix[:-1] + "0" if prefix else END  # "0" follows "/": the first key behind the folder
        pages = self._tree.list(folder, start_after=start_after)
        if self._sums is not None:
            self._sums.begin(folder)
        try:
            async with aclosing(pages):  # type: ignore[type-var]  # an async generator behind the Protocol
                async for page in pages:
                    if page.objects:
                        after = page.objects[-1].key + "\0"
                        self._sum(self.coverage.take(at, after, page.objects))
                        at = after
                    yield page
        except (AccessDeniedError, NotFoundError, RefusedError) as error:
            self.denied = error
            raise
        if at < stop:
            self.coverage.take(at, stop, ())

    def _sum(self, rows: Sequence[ListedObject]) -> None:
        if self._sums is None:
            return
        hashed = [HashedFile(row.key, (row.etag or "").strip('"'), row.size_bytes) for row in rows]
        if not all(_is_md5(file.md5) for file in hashed):
            self._sums = None
            return
        try:
            self._sums.add(hashed)
        except NotComparableError:
            self._sums = None

    @property
    def checksum(self) -> str | None:
        """Checksum of the tree by its listing; None where not all of it was listed, or in an order that gives none."""
        if self._sums is None or not self.coverage.complete:
            return None
        try:
            return self._sums.result()
        except NotComparableError:
            return None


_is_md5 = re.compile(r"[0-9a-f]{32}").fullmatch


def altered(asset: Asset, tree: ZarrTree) -> str | None:
    """What the MD5s of a whole listing say against the asset's checksum, in words; None: nothing.

    Objects in the bucket have MD5s as entity tags: they are uploaded in one piece (``dandiapi/zarr``).
    """
    found = tree.checksum
    if asset.promise is None or found in (None, asset.promise.checksum):
        return None
    return (
        f"{asset.path}: the MD5s that the bucket lists give the checksum {found}, the archive promises "
        f"{asset.promise.checksum}; some object is not the one that the archive has taken in"
    )


def shortfall(asset: Asset, coverage: Coverage) -> tuple[str, bool] | None:
    """What a whole listing says against the asset's checksum, in words, and whether objects are missing.

    Returns
    -------
    tuple of (str, bool) or None
        None: they agree, or cannot be compared (nothing promised, or only a part was listed).
    """
    promise = asset.promise
    if promise is None or not coverage.complete:
        return None
    if (coverage.objects, coverage.size_bytes) == (promise.objects, promise.size_bytes):
        return None
    words = (
        f"{asset.path}: the archive's checksum {promise.checksum} promises {promise.objects:,} objects of "
        f"{promise.size_bytes:,} bytes, its bucket lists {coverage.objects:,} of {coverage.size_bytes:,}; the Zarr is "
        "being changed or was not taken in whole yet"
    )
    return words, coverage.objects < promise.objects or coverage.size_bytes < promise.size_bytes


class _File(msgspec.Struct):
    """A row of ``/zarr/<id>/files/`` (``ZarrExploreOutputSerializer``)."""

    Key: str
    Size: int
    ETag: str | None = None


async def embargoed_files(api: DandiApi, asset: Asset) -> AsyncIterator[FilesFound]:
    """Objects of an embargoed Zarr, by the API: each is asked for there, and comes from a presigned URL.

    All of it is listed: the API's ``prefix`` loses its slash at the end, so that ``0/1/`` stands for ``0/10/`` too.

    Raises
    ------
    SourceError
        Fewer objects than the checksum promises; an answer that is no listing.
    """
    base, objects = f"{api.base.scheme}://{api.base.authority}", 0
    first = api.at(f"zarr/{asset.zarr_id}/files/", limit=PAGE_ASSETS)
    async for page in api.pages(first):
        rows = [_file(row, asset, api) for row in page.results]
        objects += len(rows)
        if rows:
            path = api.at(f"zarr/{asset.zarr_id}/files/").path
            yield FilesFound(base=base, entries=tuple(_entry(path, row, asset) for row in rows), encoded=True)
    if asset.promise is not None and objects < asset.promise.objects:
        raise SourceError(
            f"{asset.path}: {objects:,} objects were listed, its checksum {asset.promise.checksum} promises "
            f"{asset.promise.objects:,}; the Zarr is being changed: try again later",
            location=str(first),
        )


def _file(row: Any, asset: Asset, api: DandiApi) -> _File:
    """Any: from the network, checked here."""
    try:
        found = msgspec.convert(row, _File)
    except msgspec.ValidationError as error:
        raise SourceError(
            f"{asset.path}: a row of its listing at {api.base} is not as it should be: {error}", location=str(api.base)
        ) from None
    if not found.Key or found.Size < 0:
        raise SourceError(f"{asset.path}: {api.base} lists an object without name or size", location=str(api.base))
    return found


def _entry(path: str, row: _File, asset: Asset) -> ObjectEntry:
    key = f"{path}?prefix={quote(row.Key, safe='/')}&download=true"
    listed = None if row.ETag is None else pack_listed('"' + row.ETag.strip('"') + '"', None)
    return ObjectEntry(key=key, size_bytes=row.Size, path=f"{asset.path}/{row.Key}", listed=listed)
