"""The Registry of Open Data on AWS: a slug, or a registry file, stands for a bucket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from emasync.errors import ErrorKind, NotFoundError, SourceError
from emasync.manifest.archives import OpenDataEntry
from emasync.manifest.problems import shown
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.sources.aind_tree import AssetTree
from emasync.sources.bucket import BucketSource
from emasync.sources.interface import Finding, Kept, SourceContext, TreeFound
from emasync.sources.open_data_entry import Place, RegistryEntry, Resource, choose_resource, parse_entry, place_of
from emasync.sources.walk import BucketTree
from emasync.transport.interface import Document

REGISTRY = "https://raw.githubusercontent.com/awslabs/open-data-registry/main/datasets/"
"""Entries as files, without an account; a mirror of this prefix (``mirrors:``) may stand in."""

DOCUMENT_BYTES = 4 << 20
"""The longest entry has some thousand resources and 2 MB."""

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PAGE = re.compile(r"https?://registry\.opendata\.aws/(?P<slug>[A-Za-z0-9][A-Za-z0-9._-]*)/?")
_VIEW = re.compile(r"https?://github\.com/(?P<repository>[^/]+/[^/]+)/blob/(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class Reference:
    """What ``registry:`` names.

    Attributes
    ----------
    slug : str
        Or the file's name without suffix.
    location : Location
        Of the file.
    """

    slug: str
    location: Location

    @classmethod
    def of(cls, text: str, folder: Path) -> Reference:
        """Read a slug, the page of one, or the path or URL of a file.

        Parameters
        ----------
        text : str
        folder : Path
            What a relative path is relative to.

        Raises
        ------
        InputError
            A URL that cannot be fetched.
        """
        if match := _PAGE.fullmatch(text):
            text = match["slug"]
        if _SLUG.fullmatch(text) and not text.endswith((".yaml", ".yml")):
            return cls(text, Location.parse(f"{REGISTRY}{text}.yaml"))
        if match := _VIEW.fullmatch(text):  # the page around a file, as people copy it
            text = f"https://raw.githubusercontent.com/{match['repository']}/{match['path']}"
        if "://" not in text:
            return cls(Path(text).stem, Location("file", "", (folder / text).absolute().as_posix()))
        location = Location.parse(text)
        return cls(Path(location.name).stem or "entry", location)


class OpenDataSource:
    """``source: open_data``: everything behind the registry's entry is as for ``source: bucket``."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def resolve(self, entry: OpenDataEntry) -> AsyncIterator[Finding]:
        """The entry itself, to be kept, and the bucket that it names.

        Raises
        ------
        SourceError
            Unknown slug; several resources and no choice; an ARN that is none; data that cannot be had without
            credentials or at the publisher's cost.
        InputError
            A ``registry:`` that cannot be fetched.
        TransportError
            As :meth:`Fetcher.read` and :meth:`BucketSource.resolve`.
        """
        reference = await asyncio.to_thread(
            Reference.of, entry.registry, self._context.folder
        )  # may ask for the folder
        document = await self._document(reference, entry)
        if document is not None:
            yield Kept(name=f"registry/{reference.slug}.yaml", data=document.data)
        place = self._place(reference, entry, None if document is None else document.data)
        source = BucketSource(self._context)
        async for finding in source.found_at(Location.parse(place.url), entry, region=entry.region or place.region):
            yield narrowed(finding, entry)

    async def _document(self, reference: Reference, entry: OpenDataEntry) -> Document | None:
        """The registry's file; None where there is none and the manifest names the bucket."""
        try:
            return await self._context.fetcher.read(reference.location, limit_bytes=DOCUMENT_BYTES)
        except NotFoundError as error:
            if entry.bucket is not None:
                self._warn(reference, f"no entry (yet); taken from bucket {entry.bucket}, as the manifest says")
                return None
            raise SourceError(
                f"registry slug unknown: {shown(reference.slug)} ({reference.location} is not there); look it up at "
                "https://registry.opendata.aws, or name the data's bucket with bucket:",
                kind=ErrorKind.NOT_FOUND,
                location=str(reference.location),
            ) from error

    def _place(self, reference: Reference, entry: OpenDataEntry, data: bytes | None) -> Place:
        own = Place(f"s3://{entry.bucket}/", entry.bucket or "", None)
        if data is None:
            return own
        name = str(reference.location)
        parsed = parse_entry(data, name)
        self._warn_of_deprecation(reference, parsed)
        resource = choose_resource(parsed.Resources, name, number=entry.resource, bucket=entry.bucket)
        if resource is None:
            self._warn(reference, f"does not name bucket {entry.bucket}; taken all the same, as the manifest says")
            return own
        place = place_of(resource, name)
        require_access(resource, entry, name)
        return place

    def _warn_of_deprecation(self, reference: Reference, parsed: RegistryEntry) -> None:
        if parsed.Deprecated or parsed.DeprecatedNotice:
            self._warn(reference, f"deprecated: {(parsed.DeprecatedNotice or 'no reason is given')[:500]}")

    def _warn(self, reference: Reference, message: str) -> None:
        fields = {"message": f"registry {reference.slug}: {message}", "location": str(reference.location)}
        self._context.on_event(Event("warning", fields))


def narrowed(finding: Finding, entry: OpenDataEntry) -> Finding:
    """A tree that is looked into only where globs can mean something: resources are whole buckets, as a rule."""
    if isinstance(finding, TreeFound) and isinstance(finding.tree, BucketTree):
        return replace(finding, tree=AssetTree(finding.tree, entry.selection))
    return finding


def require_access(resource: Resource, entry: OpenDataEntry, name: str) -> None:
    """Refuse data that would need an account or cost money, unless the manifest says that this is meant.

    Raises
    ------
    SourceError
        ``access_denied``.
    """
    if resource.ControlledAccess and entry.anonymous:
        reason = f"access is granted on request only, see {resource.ControlledAccess}; then write anonymous: false"
    elif resource.AccountRequired and entry.anonymous:
        reason = "an AWS account is needed; write anonymous: false to use yours"
    elif resource.RequesterPays and not entry.requester_pays:
        reason = "who fetches pays for it; write anonymous: false and requester_pays: true to do so"
    else:
        return
    raise SourceError(f"{name}: {resource}: {reason}", kind=ErrorKind.ACCESS_DENIED, location=name)
