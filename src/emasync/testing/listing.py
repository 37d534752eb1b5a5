"""Pages of a bucket listing, and their S3 spelling (ListObjectsV2, and V1 by ``marker``)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

from emasync.testing.objects import Listed

PAGE_LIMIT = 1000
"""Most rows of one page, as S3 and Google Cloud Storage have it."""

S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
GOOGLE_NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"

_CONTROL = {chr(code): f"&#x{code:x};" for code in (*range(32), 127)}


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes
    ----------
    objects : tuple of Listed
    folders : tuple of str
        Common prefixes, with delimiter.
    resume : str or None
        Floor of the next page; None on the last.
    last_name : str
        Last key or common prefix of the page (the marker of ListObjects V1).
    """

    objects: tuple[Listed, ...]
    folders: tuple[str, ...]
    resume: str | None
    last_name: str


def successor(prefix: str) -> str:
    """Smallest text that follows everything beginning with `prefix`."""
    code = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)  # noqa: PLR2004  # surrogates are no characters


def page_of(scan: Callable[[str], Iterator[Listed]], *, prefix: str, floor: str, delimiter: str, limit: int) -> Page:
    """Cut one page out of a sorted listing.

    Parameters
    ----------
    scan : callable
        Rows from a floor on, in key order.
    prefix : str
    floor : str
        Smallest key or common prefix that may appear.
    delimiter : str
        Keys that hold it after `prefix` are rolled up; empty for none.
    limit : int
        Rows and common prefixes together.
    """
    objects: list[Listed] = []
    folders: list[str] = []
    last_name = ""
    rows = scan(max(floor, prefix))
    while (row := next(rows, None)) is not None and row.key.startswith(prefix):
        if len(objects) + len(folders) >= limit:
            return Page(tuple(objects), tuple(folders), row.key, last_name)
        inner = row.key.find(delimiter, len(prefix)) if delimiter else -1
        if inner < 0:
            objects.append(row)
            last_name = row.key
        else:
            last_name = row.key[: inner + len(delimiter)]
            folders.append(last_name)
            rows = scan(successor(last_name))  # a seek: what lies below the folder is never walked
    return Page(tuple(objects), tuple(folders), None, last_name)


def to_token(floor: str) -> str:
    """Opaque continuation token."""
    return base64.urlsafe_b64encode(floor.encode("utf-8", "surrogateescape")).decode()


def from_token(token: str) -> str:
    """Floor that a continuation token stands for.

    Raises
    ------
    ValueError
        The token is not ours.
    """
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(f"continuation token {token!r}") from error


def s3_floor(query: Mapping[str, str]) -> str:
    """Floor of the page that an S3 query asks for.

    Raises
    ------
    ValueError
        The continuation token is not ours.
    """
    if token := query.get("continuation-token"):
        return from_token(token)
    after = query.get("start-after") or query.get("marker") or ""
    if not after:
        return ""
    # a common prefix as marker has been seen whole
    delimiter = query.get("delimiter", "")
    return successor(after) if "marker" in query and delimiter and after.endswith(delimiter) else after + "\0"


def s3_limit(query: Mapping[str, str], page_limit: int) -> int:
    """Rows of the page that an S3 query asks for.

    Raises
    ------
    ValueError
        ``max-keys`` is no natural number.
    """
    text = query.get("max-keys", str(PAGE_LIMIT))
    if not text.isdecimal():
        raise ValueError(f"max-keys {text!r}")
    return min(int(text), page_limit)


def s3_xml(bucket: str, query: Mapping[str, str], page: Page, limit: int, *, google: bool) -> bytes:
    """ListBucketResult document (S3 API reference, ListObjectsV2; Google's XML API wears its own namespace)."""
    spell = _spell_url if query.get("encoding-type") == "url" else _spell_xml
    namespace = GOOGLE_NAMESPACE if google else S3_NAMESPACE
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n', f'<ListBucketResult xmlns="{namespace}">']
    parts += _s3_preamble(bucket, query, page, limit, spell)
    for key, size_bytes, modified_s, tag in page.objects:
        parts.append(
            f"<Contents><Key>{spell(key)}</Key><LastModified>{iso_date(modified_s)}</LastModified>"
            f"<ETag>&quot;{tag}&quot;</ETag><Size>{size_bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    parts += [f"<CommonPrefixes><Prefix>{spell(folder)}</Prefix></CommonPrefixes>" for folder in page.folders]
    parts.append("</ListBucketResult>")
    return "".join(parts).encode("utf-8", "surrogateescape")


def _s3_preamble(
    bucket: str, query: Mapping[str, str], page: Page, limit: int, spell: Callable[[str], str]
) -> Iterator[str]:
    yield f"<Name>{escape(bucket)}</Name><Prefix>{spell(query.get('prefix', ''))}</Prefix>"
    for name, parameter in (("Delimiter", "delimiter"), ("StartAfter", "start-after"), ("Marker", "marker")):
        if parameter in query:
            yield f"<{name}>{spell(query[parameter])}</{name}>"
    for name, parameter in (("EncodingType", "encoding-type"), ("ContinuationToken", "continuation-token")):
        if parameter in query:
            yield f"<{name}>{_spell_xml(query[parameter])}</{name}>"
    more = page.resume is not None
    yield f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{'true' if more else 'false'}</IsTruncated>"
    if query.get("list-type") == "2":
        yield f"<KeyCount>{len(page.objects) + len(page.folders)}</KeyCount>"
        if page.resume is not None:
            yield f"<NextContinuationToken>{to_token(page.resume)}</NextContinuationToken>"
    elif more:
        yield f"<NextMarker>{spell(page.last_name)}</NextMarker>"


@lru_cache(maxsize=1024)
def iso_date(moment_s: float) -> str:
    """ISO 8601 with milliseconds, as listings have it."""
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _spell_url(text: str) -> str:
    return quote_plus(text, safe="/", errors="surrogateescape")


def _spell_xml(text: str) -> str:
    return escape(text, _CONTROL)
