"""Flat buckets of the Allen Institute for Neural Dynamics, and of others that name assets as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import chain, islice

from emasync.errors import ErrorKind, FormatError, SourceError, TransportError
from emasync.manifest.archives import AindEntry, AssetFilter
from emasync.manifest.problems import shown
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.model.packing import pack_listed
from emasync.model.task import ObjectEntry, Rank
from emasync.sources.aind_folders import folders_of
from emasync.sources.aind_names import AssetName
from emasync.sources.aind_recorded import recorded_by
from emasync.sources.aind_recordings import check_recordings
from emasync.sources.aind_tree import AssetTree
from emasync.sources.bucket import selects_arrays
from emasync.sources.interface import (
    FilesFound,
    Finding,
    Recorded,
    Setback,
    SourceContext,
    TellRecorded,
    TreeFound,
)
from emasync.sources.walk import BucketTree, closing
from emasync.transport.interface import ListedObject

AT_ONCE = 16
"""Assets whose top level is looked at side by side; the origin's limiter may allow fewer."""

MAX_SUGGESTIONS = 5

SIDECARS = ":sidecars"
"""Set of an asset's sidecars."""


class AindSource:
    """``source: aind``: each asset is a folder of the bucket and becomes a tree of its own."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def resolve(self, entry: AindEntry) -> AsyncIterator[Finding]:
        """The assets of `entry`, in the manifest's order or by name.

        An asset that is not there, or a recording that is not whole (``format: binary``), is a setback: the others
        come all the same.

        Raises
        ------
        SourceError
            A filter that fits no asset.
        TransportError, ExceptionGroup
            As :meth:`Fetcher.list`.
        """
        bucket = Location("s3", entry.bucket, "")
        remaining = iter(entry.assets or await self._matching(bucket, entry.filter or AssetFilter()))
        while batch := tuple(islice(remaining, AT_ONCE)):
            opened = await self._opened(bucket, batch, entry)
            inside = _findings(batch, opened, entry)
            for tree, found in zip(opened, inside, strict=True):
                if isinstance(tree, Setback):
                    yield tree
                    continue
                for finding in found:
                    yield finding
                if entry.format == "binary" and (setback := await not_whole(tree, entry)) is not None:
                    yield setback

    async def _opened(self, bucket: Location, names: Sequence[str], entry: AindEntry) -> list[AssetTree | Setback]:
        """Trees of several assets, looked at side by side."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._open(bucket, name, entry)) for name in names]
        return [task.result() for task in tasks]

    async def _open(self, bucket: Location, name: str, entry: AindEntry) -> AssetTree | Setback:
        whole = BucketTree(self._context.fetcher, bucket.join(name), self._context.on_event)
        tree = AssetTree(whole, entry.selection)
        return tree if await tree.open() else Setback(error=await self._unknown(bucket, name))

    async def _unknown(self, bucket: Location, name: str) -> SourceError:
        """The error for an asset that is not there, with names that begin alike."""
        parsed = AssetName.parse(name)
        near = await self._beginning(bucket, name[: name.find(parsed.acquired)] if parsed else name[: len(name) // 2])
        hint = f"; names that begin alike: {', '.join(map(shown, near))}" if near else ""
        return SourceError(
            f"{bucket} has no asset {shown(name)}: check its name{hint}",
            kind=ErrorKind.NOT_FOUND,
            location=str(bucket.join(name)),
        )

    async def _beginning(self, bucket: Location, stem: str) -> list[str]:
        """Some folders whose names begin with `stem`; none where that cannot be asked."""
        try:
            async with closing(self._context.fetcher.list(bucket.join(stem), delimiter="/")) as pages:
                page = await anext(pages, None)
        except TransportError:
            return []
        return [] if page is None else [name.removesuffix("/") for name in page.folders[:MAX_SUGGESTIONS]]

    async def _matching(self, bucket: Location, wanted: AssetFilter) -> list[str]:
        """Names of the assets that fit, sorted; folders that are no assets never do.

        Raises
        ------
        SourceError
            There is none.
        """
        tree = BucketTree(self._context.fetcher, bucket, self._context.on_event)
        folders = await folders_of(tree)
        assets = [asset for folder in folders if (asset := AssetName.parse(folder)) is not None]
        if wanted.platform is not None:
            self._report_nameless(bucket, [asset for asset in assets if asset.fits_but_for_platform(wanted)])
        if found := [asset.name for asset in assets if asset.fits(wanted)]:
            return found
        raise SourceError(
            f"{bucket}: none of {len(assets):,} assets ({len(folders):,} folders) fits the filter {described(wanted)}; "
            "check its conditions, or name the assets (assets: [...])",
            location=str(bucket),
        )

    def _report_nameless(self, bucket: Location, assets: Sequence[AssetName]) -> None:
        """Say how many assets might be of the platform: their names do not tell."""
        if count := sum(asset.platform is None for asset in assets):
            message = (
                f"{count:,} assets fit but for the platform, which their names do not tell (none since schema v2 do); "
                "they are left out: filter by subject or day, or name them"
            )
            self._context.on_event(Event("warning", {"message": message, "location": str(bucket)}))


def _findings(
    names: Sequence[str], opened: Sequence[AssetTree | Setback], entry: AindEntry
) -> list[list[FilesFound | TreeFound]]:
    """What is in each of some assets that were looked at together; all of these know each other."""
    together: list[FilesFound | TreeFound] = []
    inside = [
        [] if isinstance(tree, Setback) else _inside(name, tree, entry, lambda: together)
        for name, tree in zip(names, opened, strict=True)
    ]
    together += chain.from_iterable(inside)
    return inside


def _inside(
    name: str, tree: AssetTree, entry: AindEntry, together: Callable[[], Sequence[FilesFound | TreeFound]]
) -> list[FilesFound | TreeFound]:
    """Sidecars first: they are few, and say what the rest is."""
    tell = _teller(name, tree)
    found: list[FilesFound | TreeFound] = []
    if tree.sidecars:
        sidecars = FilesFound(
            base=str(tree.base),
            entries=tuple(sidecar_entry(item) for item in tree.sidecars),
            asset=SIDECARS,
            path=name,
            rank=Rank.DOCUMENT,
            recorded=tell,
            neighbours=together,
        )
        found.append(sidecars)
    if not tree.exhausted or selects_arrays(entry):
        found.append(TreeFound(tree=tree, path=name, asset=True, recorded=tell, neighbours=together))
    return found


def _teller(name: str, tree: AssetTree) -> TellRecorded:
    """Tells of one asset; its sidecars are read once."""
    known: list[Recorded] = []

    async def tell(_path: str) -> Recorded:
        if not known:
            known.append(await recorded_by(name, tree))
        return known[0]

    return tell


def sidecar_entry(item: ListedObject) -> ObjectEntry:
    """A sidecar as listed."""
    return ObjectEntry(key=item.key, size_bytes=item.size_bytes, listed=pack_listed(item.etag, item.last_modified))


async def not_whole(tree: AssetTree, entry: AindEntry) -> Setback | None:
    """What is wrong with the recordings of an asset, if anything is."""
    try:
        await check_recordings(tree.whole, entry.selection)
    except FormatError as error:
        return Setback(error=error)
    return None


def described(wanted: AssetFilter) -> str:
    """A filter in a message."""
    return ", ".join(f"{name}: {value}" for name, value in wanted.model_dump(exclude_none=True).items()) or "(all)"
