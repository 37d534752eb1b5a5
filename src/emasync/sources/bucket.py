"""Bucket prefixes and single objects: s3://, gs://, S3-style http(s):// and file://."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from emasync.errors import AccessDeniedError, NotFoundError, RangeNotSatisfiedError, RefusedError
from emasync.manifest.bucket import BucketEntry, StoreEntry
from emasync.manifest.entry import Entry
from emasync.model.digest import Span, Validator
from emasync.model.location import Location
from emasync.model.packing import pack_validator
from emasync.model.task import ObjectEntry
from emasync.sources.interface import FilesFound, Finding, SourceContext, TreeFound
from emasync.sources.walk import BucketTree, raw_path
from emasync.transport.interface import BucketAccess


class BucketSource:
    """``source: bucket``."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def resolve(self, entry: BucketEntry) -> AsyncIterator[Finding]:
        """The object that the entry's URL names exactly, if there is one, and the tree below it.

        Whoever selects arrays speaks of a tree: no request is spent on the question then.

        Raises
        ------
        InputError
            A URL that :meth:`Location.parse` refuses.
        FormatError
            ``format: binary``, and a recording is not whole at the source; all else is taken before.
        TransportError
            As :meth:`Fetcher.read`.
        """
        async for finding in self.found_at(Location.parse(entry.url), entry, region=entry.region):
            yield finding

    async def found_at(self, base: Location, entry: StoreEntry, *, region: str | None) -> AsyncIterator[Finding]:
        """As :meth:`resolve`, at a place that the entry itself does not name.

        Parameters
        ----------
        base : Location
        entry : StoreEntry
            Says what is wanted of it.
        region : str or None
            Of the bucket; None: found out.
        """
        self._grant(base, entry, region)
        tree = BucketTree(self._context.fetcher, base, self._context.on_event)
        if not selects_arrays(entry) and (item := await self._object_at(base)) is not None:
            yield item
            if not await anything_in(tree):
                return
        yield TreeFound(tree=tree)
        if entry.format == "binary":
            from emasync.sources.aind_recordings import check_recordings  # noqa: PLC0415 - other formats need none

            await check_recordings(tree, entry.selection)

    def _grant(self, base: Location, entry: StoreEntry, region: str | None) -> None:
        """Tell the transport how this bucket is asked, under the one name of all its spellings."""
        if isinstance(self._context.fetcher, GrantsAccess):
            access = BucketAccess(anonymous=entry.anonymous, requester_pays=entry.requester_pays, region=region)
            self._context.fetcher.grant(base.origin, access)

    async def _object_at(self, base: Location) -> FilesFound | None:
        """The object with exactly this key: asked for one byte of it, because a listing may not be allowed."""
        try:
            if base.path.endswith("/") or await self._is_bucket(base):
                return None
            head = (await self._context.fetcher.read(base, span=Span(0, 1))).head
        except RangeNotSatisfiedError:
            return single(base, 0, Validator())
        except (NotFoundError, AccessDeniedError, RefusedError):
            return None
        return single(base, head.total_bytes, head.validator)

    async def _is_bucket(self, base: Location) -> bool:
        """Whether `base` is a bucket as a whole, which answers with a listing and not with an object."""
        path = raw_path(base)
        if base.scheme not in ("http", "https") or "/" in path:
            return not path
        return raw_path(await self._context.fetcher.bucket_of(base)) == path


@runtime_checkable
class GrantsAccess(Protocol):
    """A fetcher that can sign requests."""

    def grant(self, bucket_origin: str, access: BucketAccess) -> None:
        """Say how the bucket called `bucket_origin` (``s3://name``) is asked."""
        ...


def selects_arrays(entry: Entry) -> bool:
    """Whether the entry picks arrays, levels or a box among them."""
    return entry.format == "zarr" or bool(entry.arrays or entry.scales or entry.select) or entry.crop is not None


async def anything_in(tree: BucketTree) -> bool:
    """Whether at least one object lies below the tree's base; False where listing is not allowed."""
    try:
        async for page in tree.list(""):
            if page.objects:
                return True
    except (NotFoundError, AccessDeniedError, RefusedError):
        return False
    return False


def single(base: Location, size_bytes: int | None, validator: Validator) -> FilesFound:
    """One object, under the last segment of its key."""
    entry = ObjectEntry(
        key=str(base).removeprefix(base.site), size_bytes=size_bytes, path=base.name, listed=pack_validator(validator)
    )
    return FilesFound(base=base.site, entries=(entry,), encoded=True)
