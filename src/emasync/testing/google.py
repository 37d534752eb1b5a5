"""Google Cloud Storage's JSON API: object listing and metadata (Cloud Storage JSON API v1, Objects)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import orjson

from emasync.testing.listing import PAGE_LIMIT, Page, from_token, iso_date, to_token
from emasync.testing.messages import Answer, Asked, Headers, of_bytes
from emasync.testing.objects import Listed, StoredObject, generation_of

API_PREFIX = "storage/v1/b/"
_JSON: Headers = (("Content-Type", "application/json; charset=UTF-8"),)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request to the JSON API is about.

    Attributes
    ----------
    bucket : str
    key : str or None
        None for a listing.
    query : mapping of str to str
    """

    bucket: str
    key: str | None
    query: Mapping[str, str]


def parse(rest: str, query: str) -> Wanted | None:
    """Read what follows ``/storage/v1/b/``: ``BUCKET/o`` or ``BUCKET/o/ESCAPED-KEY``; None for anything else."""
    bucket, _, tail = rest.partition("/")
    what, slash, key = tail.partition("/")
    if what != "o" or not bucket:
        return None
    values = dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
    return Wanted(unquote(bucket), unquote(key, errors="surrogateescape") if slash else None, values)


def floor(query: Mapping[str, str]) -> str:
    """Floor of the page that a query asks for.

    Raises
    ------
    ValueError
        The page token is not ours.
    """
    if token := query.get("pageToken"):
        return from_token(token)
    return query.get("startOffset", "")  # inclusive, unlike S3's start-after


def limit(query: Mapping[str, str], page_limit: int) -> int:
    """Rows of the page that a query asks for.

    Raises
    ------
    ValueError
        ``maxResults`` is no positive number.
    """
    text = query.get("maxResults", str(PAGE_LIMIT))
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"maxResults {text!r}")
    return min(int(text), page_limit)


def listing(bucket: str, page: Page) -> Answer:
    """Objects: list."""
    document: dict[str, object] = {"kind": "storage#objects"}
    if page.resume is not None:
        document["nextPageToken"] = to_token(page.resume)
    if page.folders:
        document["prefixes"] = list(page.folders)
    if page.objects:
        document["items"] = [_item(bucket, row) for row in page.objects]
    return of_bytes(200, _JSON, orjson.dumps(document))


def metadata(bucket: str, key: str, found: StoredObject) -> Answer:
    """Objects: get, without ``alt=media``."""
    row = Listed(key, found.size_bytes, found.modified_s, found.tag)
    return of_bytes(200, _JSON, orjson.dumps(_item(bucket, row)))


def error(asked: Asked, status: int, message: str) -> Answer:
    """Error document of the JSON API."""
    document = {"error": {"code": status, "message": message, "errors": [{"message": message, "domain": "global"}]}}
    return of_bytes(status, _JSON, orjson.dumps(document), bodiless=asked.method == "HEAD")


def _item(bucket: str, row: Listed) -> dict[str, object]:
    generation = generation_of(row.modified_s, row.tag)
    item: dict[str, object] = {
        "kind": "storage#object",
        "id": f"{bucket}/{row.key}/{generation}",
        "name": row.key,
        "bucket": bucket,
        "generation": generation,
        "metageneration": "1",
        "contentType": "application/octet-stream",
        "storageClass": "STANDARD",
        "size": str(row.size_bytes),
        "etag": row.tag,
        "timeCreated": iso_date(row.modified_s),
        "updated": iso_date(row.modified_s),
    }
    if "-" not in row.tag:  # composite and very large objects have no MD5
        item["md5Hash"] = base64.b64encode(bytes.fromhex(row.tag)).decode()
    return item
