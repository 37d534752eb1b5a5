"""DANDI archives: published versions through their manifest in the bucket, drafts through the API, bytes from S3."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import orjson

from emasync.errors import AccessDeniedError, EmasyncError, ErrorKind, NotFoundError, SourceError
from emasync.manifest.archives import DandiEntry
from emasync.manifest.dandi_links import INSTANCES
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.model.task import ObjectEntry
from emasync.sources.dandi_api import DandiApi
from emasync.sources.dandi_assets import Asset, read_asset
from emasync.sources.dandi_choice import Picker
from emasync.sources.dandi_listing import (
    Record,
    Version,
    find_version,
    listed_records,
    published_records,
    resolved_facts,
)
from emasync.sources.dandi_zarr import ZarrTree, altered, embargoed_files, shortfall
from emasync.sources.interface import FilesFound, Finding, Kept, Recorded, Setback, SourceContext, TreeFound
from emasync.sources.walk import BucketTree

BATCH_ASSETS = 1_000
"""Assets that are handed on together: one page of each set, one kept document."""

MOST_SPOILT = 1_000
"""Records that make no sense before none of them is believed."""


class DandiSource:
    """``source: dandi``."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def resolve(self, entry: DandiEntry) -> AsyncIterator[Finding]:
        """Assets of one dandiset: files in pages, Zarr assets as trees; records of what is wanted are kept.

        A published version costs two metadata requests, three where the version was left out; a draft one a thousand
        assets, and one or two.

        Raises
        ------
        SourceError
            Unknown or embargoed dandiset or version, an answer that makes no sense, a listing that is not whole.
        TransportError
            The archive does not answer.
        """
        visit = _Visit(self._context, entry)
        version = await find_version(visit.api, self._context.fetcher, entry.dandiset, entry.version, visit.bucket)
        yield Kept(name="dandi/dandiset.json", data=version.metadata, resolved=resolved_facts(version))
        if version.answer is not None:
            yield Kept(name="dandi/versions.json", data=version.answer, aside=True)
        async with aclosing(visit.batches(version)) as batches:
            async for batch in batches:
                for finding in visit.findings(batch):
                    yield finding
                for asset in batch.trees:
                    async for found in visit.tree(asset):
                        yield found
        yield Kept(name="dandi/resolved.json", data=visit.summary(version))
        visit.require_whole(version)


@dataclass(slots=True)
class Batch:
    """Wanted assets that are handed on together (mutable)."""

    files: list[Asset] = field(default_factory=list)
    trees: list[Asset] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    setbacks: list[SourceError] = field(default_factory=list)

    def add(self, asset: Asset, record: bytes) -> None:
        """Take one more."""
        (self.trees if asset.zarr else self.files).append(asset)
        self.records.append(record)

    @property
    def full(self) -> bool:
        """Whether it should be handed on."""
        return len(self.records) + len(self.setbacks) >= BATCH_ASSETS


class _Visit:
    """One resolve: what was seen so far."""

    def __init__(self, context: SourceContext, entry: DandiEntry) -> None:
        instance = INSTANCES.get(entry.instance)
        base = Location.parse(instance.api if instance is not None else entry.instance.rstrip("/"))
        words = f"dataset {entry.id!r}: dandiset {entry.dandiset}" + (f"/{entry.version}" if entry.version else "")
        self.bucket = instance.bucket if instance is not None else None
        self.api = DandiApi(context.fetcher, base, words)
        self._words = words
        self._context = context
        self._entry = entry
        self._picker = Picker(entry)
        self._seen = 0
        self._spoilt = 0
        self._wanted = 0
        self._kept = 0
        self._named: Counter[str] = Counter()

    # --- records -----------------------------------------------------------------------------------------------

    async def batches(self, version: Version) -> AsyncGenerator[Batch]:
        """All records of a version, the wanted ones in batches; what came before an error is handed on before it."""
        batch, failure = Batch(), None
        try:
            async with aclosing(self._records(version)) as records:
                async for record in records:
                    self._take(record, batch)
                    if batch.full:
                        yield batch
                        batch = Batch()
        except EmasyncError as error:
            failure = error
        if batch.records or batch.setbacks:
            yield batch
        if failure is not None:
            raise failure

    def _take(self, record: Record, batch: Batch) -> None:
        self._seen += 1
        try:
            asset = read_asset(record.value, api=self.api.base, bucket=self.bucket)
        except SourceError as error:
            self._spoilt += 1
            if self._spoilt > MOST_SPOILT:
                raise
            batch.setbacks.append(error)
            return
        if self._picker.wants(asset):
            batch.add(asset, record.data)

    async def _records(self, version: Version) -> AsyncGenerator[Record]:
        if version.manifest is not None:
            try:
                async with aclosing(published_records(self._context.fetcher, version.manifest)) as records:
                    async for record in records:
                        yield record
            except (NotFoundError, AccessDeniedError) as error:
                if self._seen:
                    raise
                self._warn(f"{self._words}: no manifest in the bucket, its API is asked page by page: {error.message}")
            else:
                return
        for folder in self._picker.folders:
            async for record in listed_records(self.api, version.name, self._entry.dandiset, folder):
                yield record

    # --- findings ----------------------------------------------------------------------------------------------

    def findings(self, batch: Batch) -> list[Finding]:
        """Files of a batch by set, and its records to be kept."""
        pages: dict[tuple[str, bool, str], list[ObjectEntry]] = {}
        for asset in batch.files:
            base, encoded, key = self._place(asset)
            # one blob may be several assets: within a set a key has one place
            again = self._named[f"{base}/{key}"]
            self._named[f"{base}/{key}"] += 1
            name = f":again-{again}" if again else ""
            made = ObjectEntry(key=key, size_bytes=asset.size_bytes, path=asset.path, digests=asset.digests)
            pages.setdefault((base, encoded, name), []).append(made)
        self._wanted += len(batch.records)
        self._kept += 1
        kept = Kept(name=f"dandi/assets-{self._kept:05d}.json", data=b"[" + b",\n".join(batch.records) + b"]\n")
        recorded = {asset.path: asset.recorded for asset in batch.files}

        async def tell(path: str) -> Recorded | None:
            return recorded.get(path)

        found = [
            FilesFound(base=base, entries=tuple(entries), encoded=encoded, asset=name, recorded=tell)
            for (base, encoded, name), entries in pages.items()
        ]
        return [kept, *found, *(Setback(error=error) for error in batch.setbacks)]

    def _place(self, asset: Asset) -> tuple[str, bool, str]:
        """Base, whether keys are encoded, and key of a blob: in the bucket, or behind the API's redirect."""
        stored, api = asset.stored, self.api.base
        if asset.embargoed or stored is None:
            return f"{api.scheme}://{api.authority}", True, self.api.at(f"assets/{asset.asset_id}/download/").path
        if stored.scheme == "s3":
            return f"s3://{stored.authority}", False, stored.path
        return f"{stored.scheme}://{stored.authority}", True, stored.path

    async def tree(self, asset: Asset) -> AsyncIterator[Finding]:
        """One Zarr asset; what is wrong with it does not keep the others away."""
        try:
            if asset.embargoed or asset.stored is None:
                self._require_reachable(asset)
                async for found in embargoed_files(self.api, asset):
                    yield found
                return
            base = Location(asset.stored.scheme, asset.stored.authority, asset.stored.path.rstrip("/"))
            bucket = BucketTree(self._context.fetcher, base, self._context.on_event)
            tree = ZarrTree(bucket, summed=asset.promise is not None and not self._chooses)

            async def tell(_path: str) -> Recorded:
                return asset.recorded

            yield TreeFound(tree=tree, path=asset.path, part=True, recorded=tell)
            # whoever took the tree has listed what he wanted of it
            self._compare(asset, tree)
        except SourceError as error:
            yield Setback(error=error)

    def _compare(self, asset: Asset, tree: ZarrTree) -> None:
        """Hold what was listed against what the archive promises; more than that is told, less is an error."""
        if tree.denied is not None and not self._chooses:
            message = (
                f"{self._words}: {asset.path}: {tree.base} could not be listed, so only what its metadata name is "
                f"fetched; run again later, with --refresh. {tree.denied.message}"
            )
            raise SourceError(message, kind=tree.denied.kind, location=str(tree.base))
        told = shortfall(asset, tree.coverage)
        if told is None:
            if (words := altered(asset, tree)) is not None:
                message = f"{self._words}: {words} ({tree.base}). Run again with --refresh, or tell the archive"
                raise SourceError(message, kind=ErrorKind.CHECKSUM_MISMATCH, location=str(tree.base))
            return
        words, missing = told
        if missing:
            message = f"{self._words}: {words} ({tree.base}). Run again with --refresh once the archive is done with it"
            raise SourceError(message, location=str(tree.base))
        self._warn(words)

    @property
    def _chooses(self) -> bool:
        """Whether arrays, levels or a box are picked, which needs no listing."""
        entry = self._entry
        return bool(entry.arrays or entry.scales or entry.select) or entry.crop is not None

    def _require_reachable(self, asset: Asset) -> None:
        if asset.zarr_id is None:
            raise SourceError(f"{self._words}: {asset.path} is a Zarr that its record does not say the place of")
        if self._chooses:
            raise SourceError(
                f"{self._words}: {asset.path} is embargoed, and choosing arrays, scales or a crop from an embargoed "
                "Zarr is not built in this version; take all of it, or pick files with include",
                kind=ErrorKind.NOT_BUILT,
                location=str(self.api.base),
            )

    # --- the end -----------------------------------------------------------------------------------------------

    def summary(self, version: Version) -> bytes:
        """What was resolved, for whoever reads the kept documents."""
        facts = {
            "api": str(self.api.base),
            "dandiset": self._entry.dandiset,
            "version": version.name,
            "assets": self._seen,
            "wanted": self._wanted,
            "documents": self._kept,
        }
        return orjson.dumps(facts, option=orjson.OPT_INDENT_2)

    def require_whole(self, version: Version) -> None:
        """All that was promised has come.

        Raises
        ------
        SourceError
            Not so; what came is fetched all the same.
        """
        if version.promised is not None and self._seen < version.promised:
            raise SourceError(
                f"{self._words}: the archive promises {version.promised:,} assets in version {version.name}, its "
                f"manifest {version.manifest} holds {self._seen:,}; try again later, or tell the archive",
                location=str(version.manifest),
            )

    def _warn(self, message: str) -> None:
        self._context.on_event(Event("warning", {"dataset": self._entry.id, "message": message}))
