"""Asset records of one version: from the manifest in the archive's bucket, or page by page from its API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from emasync.errors import AccessDeniedError, NotFoundError, SourceError
from emasync.model.location import Location
from emasync.sources.dandi_api import PAGE_ASSETS, DandiApi
from emasync.sources.dandi_stream import stream_array
from emasync.transport.interface import Fetcher

PASSES = 4
"""Times that a draft is listed before it is told that it keeps changing."""

DRAFT = "draft"


class Record(NamedTuple):
    """One asset record.

    Attributes
    ----------
    data : bytes
        JSON, as received.
    value : JSON value
        Any: checked by :func:`~emasync.sources.dandi_assets.read_asset`.
    """

    data: bytes
    value: Any


async def published_records(fetcher: Fetcher, manifest: Location) -> AsyncGenerator[Record]:
    """Records of ``assets.jsonld``: one request for all of a published version (``dandiapi/api/manifests.py``).

    Raises
    ------
    SourceError
        Broken, or not all of it.
    TransportError
        It is not there, or does not come.
    """
    async with aclosing(stream_array(fetcher, manifest)) as elements:
        async for element in elements:
            yield Record(element.text.encode(), element.value)


@dataclass(slots=True)
class Census:
    """What one pass over a listing gave (mutable).

    Attributes
    ----------
    promised : int
    rows : int
    ids : set of str
    """

    promised: int = 0
    rows: int = 0
    ids: set[str] = field(default_factory=set)

    @property
    def whole(self) -> bool:
        """Whether each promised asset came, and came once."""
        return self.rows == len(self.ids) == self.promised


async def listed_records(api: DandiApi, version: str, dandiset: str, folder: str) -> AsyncIterator[Record]:
    """Records of a version below `folder`, each once, in pages of the API.

    A draft may change while its pages are asked for, which shifts the rows behind the change: then rows come twice, or
    their number is not the one that the first page promised. It is listed again until it holds still.

    Parameters
    ----------
    folder : str
        With a slash at its end, or empty. The archive's ``path`` is a prefix that ignores case; the slash keeps
        ``sub-10/`` out of ``sub-1/``, the caller's globs the rest.

    Raises
    ------
    SourceError
        It keeps changing; an answer that is no page.
    TransportError
        The archive does not answer.
    """
    narrowed = {"path": folder} if folder else {}
    first = api.at(
        f"dandisets/{dandiset}/versions/{version}/assets/",
        metadata="true",
        order="path",
        page_size=PAGE_ASSETS,
        **narrowed,
    )
    given: set[str] = set()
    for _ in range(PASSES):
        census = Census()
        async for record in _one_pass(api, first, census):
            asset_id = str(record.value.get("asset_id"))
            if asset_id not in given:
                given.add(asset_id)
                yield record
        if census.whole:
            return
    raise SourceError(
        f"dandiset {dandiset}/{version}: {census.promised:,} assets were promised, {len(census.ids):,} came in "
        f"{census.rows:,} rows, {PASSES} times: it keeps changing while it is listed. Try again later, or take a "
        "published version",
        location=str(first),
    )


async def _one_pass(api: DandiApi, first: Location, census: Census) -> AsyncIterator[Record]:
    async for page in api.pages(first):
        if census.rows == 0 and page.promised is not None:
            census.promised = page.promised  # only the first page tells it
        for value in page.results:
            if not isinstance(value, dict):
                raise SourceError(f"{first}: expected asset records, got {str(value)[:60]!r}", location=str(first))
            census.rows += 1
            census.ids.add(str(value.get("asset_id")))
            yield Record(orjson.dumps(value), value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version that was asked for, and found.

    Attributes
    ----------
    name : str
    metadata : bytes
        Of the dandiset, JSON as received.
    manifest : Location or None
        Its ``assets.jsonld``; None: the API has to be asked.
    promised : int or None
        Assets, where the archive has said.
    answer : bytes or None
        Which versions there are, JSON as received; None where that was not asked.
    """

    name: str
    metadata: bytes
    manifest: Location | None = None
    promised: int | None = None
    answer: bytes | None = None


async def find_version(
    api: DandiApi, fetcher: Fetcher, dandiset: str, wanted: str | None, bucket: str | None
) -> Version:
    """Find a version, with one request, or two where none was named.

    Parameters
    ----------
    wanted : str or None
        None: the newest published one, else the draft.
    bucket : str or None
        Where published manifests lie; None: the version's own metadata say.

    Raises
    ------
    SourceError
        Not there, denied, or answered with something else.
    TransportError
        The archive does not answer.
    """
    answer: bytes | None = None
    promised: int | None = None
    name = wanted
    if name is None:
        answer, told = await api.get(api.at(f"dandisets/{dandiset}/"))
        name, promised = _newest(told, api, dandiset)
    if name != DRAFT and bucket is not None:
        folder = Location("s3", bucket, f"dandisets/{dandiset}/{name}")
        about = folder.join("dandiset.jsonld")
        try:
            metadata = (await fetcher.read(about)).data
        except (NotFoundError, AccessDeniedError):
            pass  # the API knows whether there is such a version
        else:
            api.parsed(metadata, about)
            manifest = folder.join("assets.jsonld")
            return Version(name=name, metadata=metadata, manifest=manifest, promised=promised, answer=answer)
    metadata, told = await api.get(api.at(f"dandisets/{dandiset}/versions/{name}/"))
    manifest_place = None if name == DRAFT else _manifest_of(told)
    return Version(name=name, metadata=metadata, manifest=manifest_place, promised=promised, answer=answer)


def _newest(told: dict[str, Any], api: DandiApi, dandiset: str) -> tuple[str, int | None]:
    """Any: JSON, checked here."""
    published = told.get("most_recent_published_version")
    if published is None:
        return DRAFT, None
    name = published.get("version") if isinstance(published, dict) else None
    if not isinstance(name, str) or "/" in name:
        raise SourceError(f"{api.base}: dandiset {dandiset} has a version without a name", location=str(api.base))
    count = published.get("asset_count")
    return name, count if isinstance(count, int) else None


def _manifest_of(told: dict[str, Any]) -> Location | None:
    """``assets.jsonld`` beside the manifest that a published version names; None unless that lies in a bucket."""
    places = told.get("manifestLocation")
    place = places[0] if isinstance(places, list) and places else None
    if not isinstance(place, str) or not place.startswith("https://"):
        return None
    bucket = Location.parse(place.partition("?")[0]).as_bucket()
    if bucket is None or "/" not in bucket.path:
        return None
    return Location(bucket.scheme, bucket.authority, f"{bucket.path.rpartition('/')[0]}/assets.jsonld")


def resolved_facts(version: Version) -> dict[str, str]:
    """Which version it is and when it was changed last, as far as the archive says (dandischema, ``Dandiset``)."""
    try:
        told: Any = orjson.loads(version.metadata)  # Any: JSON, checked here
    except orjson.JSONDecodeError:
        told = None
    dates = (
        {"modified": told.get("dateModified"), "published": told.get("datePublished")} if isinstance(told, dict) else {}
    )
    return {"version": version.name, **{name: date for name, date in dates.items() if isinstance(date, str)}}
