"""Links to dandisets, their folders and their assets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from emasync.errors import ErrorKind, InputError, SourceError
from emasync.formats.json_document import Json
from emasync.manifest.dandi_links import DANDISET, INSTANCES, VERSION, DandiInstance, DandiLink, globs_of, parse_link
from emasync.manifest.web import FileTemplate
from emasync.model.location import Location
from emasync.sources.dandi_assets import Asset, read_asset
from emasync.sources.links.interface import Draft, Outcome, Question, Reading
from emasync.sources.links.places import Place
from emasync.sources.links.stores import bucket_draft

_ASSET = re.compile(
    rf"(?P<api>https?://[^/?#]+/(?:[^?#]*/)?api)"
    rf"(?:/dandisets/(?P<dandiset>{DANDISET.pattern})/versions/(?P<version>{VERSION.pattern}))?"
    r"/assets/(?P<asset>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/(?:download|info|validation))?/?(?:\?[^#]*)?"
)
"""``dandiapi/urls.py``: an asset by itself, or as part of a version."""

_OURS = re.compile(r"dandi(?:-sandbox)?:|dandi://|10\.48324/|doi:10\.48324/|ember-dandi|linc", re.IGNORECASE)
_HOSTS = frozenset(host for item in INSTANCES.values() for host in (*item.web, urlsplit(item.api).hostname))
_NEUROSIFT = frozenset(("neurosift.app", "flatironinstitute.github.io"))


class DandiLinks:
    """Reads identifiers, web pages and API calls of DANDI archives (dandi-cli, "Resource identifiers")."""

    forms = (
        "DANDI:000027/0.210831.2033",
        "dandi://dandi/000027@draft/sub-1/",
        "https://dandiarchive.org/dandiset/000027/draft/files?location=sub-1",
        "https://api.dandiarchive.org/api/assets/<id>/download/",
    )

    def read(self, text: str) -> Outcome | None:
        """A dandiset, a part of it, or one asset.

        Raises
        ------
        InputError
            Of DANDI, and no form that is known.
        """
        if match := _ASSET.fullmatch(text):
            return _asset_question(match)
        if (named := _in_neurosift(text)) is not None:
            return named
        try:
            return Reading(drafts=(_draft(parse_link(text)),))
        except InputError:
            if _OURS.match(text) or urlsplit(text).hostname in _HOSTS:
                raise
            return None


def _draft(link: DandiLink) -> Draft:
    said: dict[str, Json] = {"source": "dandi", "dandiset": link.dandiset}
    if link.version is not None:
        said["version"] = link.version
    if link.instance not in (None, "dandi"):
        said["instance"] = link.instance
    if link.include:
        said["include"] = list(link.include)
    newest = () if link.version else ("the newest published version, else the draft; version: pins one",)
    return Draft(name=f"dandi-{link.dandiset}", entry=said, comments=newest)


def _in_neurosift(text: str) -> Outcome | None:
    """What a page of the NWB viewer shows: one asset (``url``) or a dandiset (``dandisetId``)."""
    parts = urlsplit(text)
    if parts.hostname not in _NEUROSIFT:
        return None
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    dandiset, version = query.get("dandisetId", ""), query.get("dandisetVersion")
    if match := _ASSET.fullmatch(query.get("url", "")):
        return _asset_question(match, dandiset or None, version)
    if not DANDISET.fullmatch(dandiset):
        return None
    return Reading(drafts=(_draft(DandiLink(dandiset=dandiset, version=version or None, instance="dandi")),))


def _asset_question(match: re.Match[str], dandiset: str | None = None, version: str | None = None) -> Question:
    dandiset, version = match["dandiset"] or dandiset, match["version"] or version
    api = Location.parse(match["api"])

    def answer(data: bytes | None) -> Reading:
        if data is None:
            message = f"{api} has no asset {match['asset']}; check the link"
            raise SourceError(message, kind=ErrorKind.NOT_FOUND, location=str(api))
        asset = read_asset(_record(data, api), api=api, bucket=_archive(api).bucket)
        if dandiset is None or version is None:
            return Reading(drafts=(_lone(asset, api),))
        link = DandiLink(dandiset=dandiset, version=version, instance=_archive(api).name, include=globs_of(asset.path))
        return Reading(drafts=(_draft(link),))

    return Question(
        location=api.join(f"assets/{match['asset']}/"), why="what the archive says of this asset", answer=answer
    )


def _lone(asset: Asset, api: Location) -> Draft:
    """An asset whose dandiset the link does not name: its bytes, wherever they are."""
    name = asset.path.rpartition("/")[2]
    if asset.zarr and asset.stored is not None:
        return replace(bucket_draft(Place(asset.stored)), name=name)
    url = str(api.join(f"assets/{asset.asset_id}/download/"))
    size: dict[str, Json] = {} if asset.size_bytes is None else {"size": asset.size_bytes}
    named = (digest for digest in asset.digests if digest.kind in FileTemplate.model_fields)  # a manifest can say these
    digests: dict[str, Json] = {digest.kind: digest.value for digest in named}
    file: dict[str, Json] = {"url": url, "path": name.replace("{", "{{").replace("}", "}}"), **size, **digests}
    return Draft(name=name, entry={"source": "web", "files": [file]})


def _record(data: bytes, api: Location) -> Mapping[str, Any]:
    """Any: JSON, checked by whoever reads it."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise SourceError(f"expected a JSON object from {api}, got {data[:60]!r}; try again later", location=str(api))
    return value


def _archive(api: Location) -> DandiInstance:
    """The archive with this API; one without a name is called by the URL."""
    unnamed = DandiInstance(name=str(api), api=str(api))
    return next((instance for instance in INSTANCES.values() if instance.api == str(api)), unnamed)
