"""Spellings of buckets: the URLs of S3 and Google Cloud Storage, and the pages that people copy them from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from emasync.errors import InputError
from emasync.model.location import Location
from emasync.model.redaction import is_presigned


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """One way to write the URL of a bucket.

    Attributes
    ----------
    scheme : {"s3", "gs"}
    host, path : pattern
        Groups ``bucket``, ``key`` and ``region``, in either of them.
    in_query : bool
        Whether the region may stand in the query, as the key may in any (``prefix``).
    """

    scheme: Literal["s3", "gs"]
    host: re.Pattern[str]
    path: re.Pattern[str]
    in_query: bool = False


_ANY = re.compile(r"/?(?P<key>.*)", re.DOTALL)
_FIRST = re.compile(r"/(?P<bucket>[^/]+)(?:/(?P<key>.*))?", re.DOTALL)
_AWS = r"s3(?:-accelerate)?(?:[.-](?:dualstack\.)?(?P<region>[a-z]{2}-[a-z0-9-]+))?(?:\.dualstack)?\.amazonaws\.com"

SPELLINGS: Final = (
    # Amazon S3 user guide, "Methods for accessing a bucket", "Dual-stack endpoints", "Transfer Acceleration"
    Spelling(scheme="s3", host=re.compile(rf"(?P<bucket>.+)\.{_AWS}"), path=_ANY),
    Spelling(scheme="s3", host=re.compile(_AWS), path=_FIRST),
    Spelling(  # the console's pages of a bucket and of an object
        scheme="s3",
        host=re.compile(r"(?:[a-z0-9-]+\.)?console\.aws\.amazon\.com"),
        path=re.compile(r"/s3/(?:buckets|object)/(?P<bucket>[^/]+)/?"),
        in_query=True,
    ),
    Spelling(  # Quilt's catalogue of open buckets
        scheme="s3",
        host=re.compile(r"open\.quiltdata\.com"),
        path=re.compile(r"/b/(?P<bucket>[^/]+)(?:/tree(?:/(?P<key>.*))?)?/?", re.DOTALL),
    ),
    # Cloud Storage documentation, "Request endpoints": JSON, XML, and those of browsers that are logged in
    Spelling(
        scheme="gs",
        host=re.compile(r"(?:storage|www|content-storage)\.googleapis\.com"),
        path=re.compile(r"/(?:download/)?storage/v1/b/(?P<bucket>[^/]+)(?:/o(?:/(?P<key>.*))?)?", re.DOTALL),
    ),
    Spelling(
        scheme="gs",
        host=re.compile(r"(?:storage|commondatastorage)\.googleapis\.com|storage\.cloud\.google\.com"),
        path=_FIRST,
    ),
    Spelling(scheme="gs", host=re.compile(r"(?P<bucket>.+)\.storage\.googleapis\.com"), path=_ANY),
    Spelling(  # the console's browser: parameters of the page stand behind a semicolon
        scheme="gs",
        host=re.compile(r"console\.(?:cloud|developers)\.google\.com"),
        path=re.compile(r"/storage/browser/(?:_details/)?(?P<bucket>[^/;]+)(?:/(?P<key>[^;]*))?(?:;.*)?", re.DOTALL),
    ),
)

_SCHEMES: Final = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs"}
"""Of URLs that name a bucket outright; Hadoop and fsspec have spellings of their own."""

_ARN = re.compile(r"arn:aws[a-z-]*:s3:::(?P<bucket>[^/:]+)(?:/(?P<key>.*))?")

_VERSIONS: Final = frozenset(("versionid", "generation"))


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, or something in it.

    Attributes
    ----------
    location : Location
        ``s3://`` or ``gs://``.
    region : str or None
        Of an S3 bucket, where the text says so.
    """

    location: Location
    region: str | None = None


def bucket_place(text: str) -> Place | None:
    """Read any spelling of a bucket, or of what is in it; None when it is none.

    Raises
    ------
    InputError
        It grants access, or names one version of an object.
    """
    if match := _ARN.fullmatch(text):
        return Place(Location("s3", match["bucket"], match["key"] or ""))
    scheme, _, rest = text.partition("://")
    if scheme.lower() in _SCHEMES and rest:
        return Place(Location.parse(f"{_SCHEMES[scheme.lower()]}://{rest}"))
    if scheme.lower() not in ("http", "https"):
        return None
    location = Location.parse(text)  # refuses credentials and control characters
    parts = urlsplit(text)
    return next((place for item in SPELLINGS if (place := _spelled(item, location, parts)) is not None), None)


def _spelled(spelling: Spelling, location: Location, parts: SplitResult) -> Place | None:
    host, path = spelling.host.fullmatch(parts.hostname or ""), spelling.path.fullmatch(parts.path)
    if host is None or path is None or ":" in location.authority:
        return None
    refuse_access(location)
    found = {key: value for key, value in (host.groupdict() | path.groupdict()).items() if value is not None}
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    region = found.get("region") or (query.get("region") if spelling.in_query else None)
    key = unquote(found.get("key", "")) or query.get("prefix", "")  # a page or a listing of a part of the bucket
    return Place(Location(spelling.scheme, found["bucket"], key), region)


def refuse_access(location: Location) -> None:
    """Refuse a URL whose query grants access by itself, or names one version of an object.

    Raises
    ------
    InputError
    """
    if is_presigned(location.query):
        where = Location(location.scheme, location.authority, location.path)
        raise InputError(
            f"the query of {where} grants access (a signature or token), and ends some day; paste the URL without it"
        )
    names = {name.lower() for name in parse_qs(location.query, keep_blank_values=True)}
    if names & _VERSIONS and location.as_bucket() is not None:
        raise InputError(f"{location} names one version of an object: only the newest can be fetched; cut the query")
