"""Asset records of DANDI archives: what is taken from them, and what of it is believed.

A record comes from a published version's manifest or from an API page; both hold the asset's metadata (dandischema,
``Asset``), the page beside a few fields of its own. Unknown fields are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from emasync.errors import InputError, SourceError
from emasync.model.digest import Digest
from emasync.model.location import Location
from emasync.sources.dandi_recorded import recorded_of
from emasync.sources.interface import Recorded

ZARR_FORMAT = "application/x-zarr"
"""``encodingFormat`` of Zarr assets."""

EMBARGOED = "dandi:EmbargoedAccess"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"[0-9a-f]{32}-[0-9]{1,5}")
_ZARR_CHECKSUM = re.compile(r"[0-9a-f]{32}-(?P<objects>[0-9]{1,12})--(?P<size_bytes>[0-9]{1,18})")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Access(msgspec.Struct):
    status: str | None = None


class _Metadata(msgspec.Struct):
    """Fields of an asset's metadata that are used; lists of another kind are refused, fields may be missing or null."""

    path: str | None = None
    identifier: str | None = None
    contentSize: int | None = None  # noqa: N815 - the schema's name
    contentUrl: list[str] | None = None  # noqa: N815 - as above
    digest: dict[str, str | None] | None = None
    access: list[_Access] | None = None
    encodingFormat: str | None = None  # noqa: N815 - as above
    wasGeneratedBy: Any = None  # noqa: N815 - as above; Any: no asset is refused for what it says of its session
    wasAttributedTo: Any = None  # noqa: N815 - as above


class _Row(msgspec.Struct):
    """Fields of an API page beside the metadata."""

    asset_id: str | None = None
    blob: str | None = None
    zarr: str | None = None
    path: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrPromise:
    """What a Zarr checksum says before anything is listed (``<md5>-<objects>--<bytes>``).

    Attributes
    ----------
    checksum : str
    objects : int
    size_bytes : int
    """

    checksum: str
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One asset.

    Attributes
    ----------
    asset_id : str
    path : str
        Below the dandiset, without leading slash.
    size_bytes : int or None
    zarr : bool
        A tree of objects and not one.
    zarr_id : str or None
        Where the record says so.
    embargoed : bool
        Its bytes are handed out by the API only.
    stored : Location or None
        Object, or prefix of a Zarr, in the archive's bucket; without query.
    digests : tuple of Digest
        The ``dandi-etag``, which is no MD5, not even of one part; SHA-256 where the archive has computed it.
    promise : ZarrPromise or None
    recorded : Recorded
        No part of what the asset is: equal without it.
    """

    asset_id: str
    path: str
    size_bytes: int | None
    zarr: bool
    zarr_id: str | None
    embargoed: bool
    stored: Location | None
    digests: tuple[Digest, ...] = ()
    promise: ZarrPromise | None = None
    recorded: Recorded = field(default_factory=Recorded, compare=False)


def read_asset(record: Any, *, api: Location, bucket: str | None = None) -> Asset:
    """Take an asset from a record.

    Parameters
    ----------
    record : JSON value
        Any: from the network, checked here. A row of an API page, or an asset's metadata.
    api : Location
        Of the archive; bytes are believed to lie in an S3 bucket or on the same host, nowhere else.
    bucket : str, optional
        S3 bucket of the archive, for records without a URL in it.

    Raises
    ------
    SourceError
        No path, no id, a field of another kind.
    """
    inner = record.get("metadata", record) if isinstance(record, dict) else record
    try:
        row = msgspec.convert(record if isinstance(inner, dict) and inner is not record else {}, _Row)
        metadata = msgspec.convert(inner, _Metadata)
    except msgspec.ValidationError as error:
        raise SourceError(f"{api}: an asset record is not as it should be: {error}", location=str(api)) from None
    path = (row.path or metadata.path or "").lstrip("/")
    asset_id = row.asset_id or metadata.identifier or ""
    if not path or not _UUID.fullmatch(asset_id):
        raise SourceError(
            f"{api}: an asset record lacks its {'path' if not path else 'id'} ({path or asset_id!r})", location=str(api)
        )
    stored = _stored(metadata.contentUrl or (), api) or _by_id(row, bucket)
    zarr = bool(row.zarr) or metadata.encodingFormat == ZARR_FORMAT or (stored is not None and stored.path[-1:] == "/")
    published = metadata.digest or {}
    return Asset(
        asset_id=asset_id,
        path=path,
        size_bytes=_size(row.size if metadata.contentSize is None else metadata.contentSize),
        zarr=zarr,
        zarr_id=_zarr_id(row.zarr, stored) if zarr else None,
        embargoed=any(access.status == EMBARGOED for access in metadata.access or ()),
        stored=stored,
        digests=() if zarr else _digests(published),
        promise=_promise(published.get("dandi:dandi-zarr-checksum")) if zarr else None,
        recorded=recorded_of(path, metadata.wasGeneratedBy, metadata.wasAttributedTo),
    )


def _size(size_bytes: int | None) -> int | None:
    return size_bytes if size_bytes is not None and size_bytes >= 0 else None


def _stored(urls: Iterable[str], api: Location) -> Location | None:
    """Where the bytes lie, canonical for S3.

    A query is cut off: old records carry the signature of a presigned URL that has long expired.
    """
    for url in urls:
        try:
            location = Location.parse(url.partition("?")[0])
        except InputError:
            continue
        if (bucket := location.as_bucket()) is not None and bucket.scheme == "s3":
            return bucket
        if _host(location) == _host(api) and location.scheme == api.scheme and not location.path.startswith(api.path):
            return location
    return None


def _by_id(row: _Row, bucket: str | None) -> Location | None:
    """Key by the id that a page tells (``api/models/upload.py``, ``zarr/models.py``)."""
    if bucket is None:
        return None
    if row.blob is not None and _UUID.fullmatch(row.blob):
        return Location("s3", bucket, f"blobs/{row.blob[:3]}/{row.blob[3:6]}/{row.blob}")
    if row.zarr is not None and _UUID.fullmatch(row.zarr):
        return Location("s3", bucket, f"zarr/{row.zarr}/")
    return None


def _host(location: Location) -> str:
    return location.authority.rpartition(":")[0] or location.authority


def _zarr_id(told: str | None, stored: Location | None) -> str | None:
    found = told or ("" if stored is None else stored.path.rstrip("/").rpartition("/")[2])
    return found if _UUID.fullmatch(found) else None


def _digests(published: dict[str, str | None]) -> tuple[Digest, ...]:
    sha256 = (published.get("dandi:sha2-256") or "").lower()
    etag = (published.get("dandi:dandi-etag") or "").lower()
    found = [Digest("sha256", sha256)] if _SHA256.fullmatch(sha256) else []
    return tuple(found + ([Digest("dandi-etag", etag)] if _ETAG.fullmatch(etag) else []))


def _promise(checksum: str | None) -> ZarrPromise | None:
    match = _ZARR_CHECKSUM.fullmatch(checksum or "")
    if match is None or checksum is None:
        return None
    return ZarrPromise(checksum=checksum, objects=int(match["objects"]), size_bytes=int(match["size_bytes"]))
