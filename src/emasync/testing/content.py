"""Answers about one object: validators, preconditions, ranges, and the errors that speak of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from emasync.engine.digest_states import HASHES
from emasync.testing import conditions
from emasync.testing.messages import Answer, Asked, Headers, of_bytes
from emasync.testing.objects import StoredObject

HASH_LIMIT_BYTES = 64 << 20
"""Larger objects carry no CRC in ``x-goog-hash``: reading them to answer HEAD would take too long."""

XML: Headers = (("Content-Type", "application/xml"),)

_TYPES = {
    "json": "application/json",
    "html": "text/html",
    "xml": "application/xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "zattrs": "application/json",
    "zgroup": "application/json",
    "zarray": "application/json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRules:
    """How one bucket behaves.

    Attributes
    ----------
    kind : {"s3", "google"}
        Google buckets tell ``x-goog-generation`` and ``x-goog-hash``.
    private : bool
        403 AccessDenied without an Authorization header.
    list_denied : bool
        403 for listings; objects answer.
    missing_is_403 : bool
        Missing keys answer 403, as S3 does where listing is not allowed.
    region : str
        Told as ``x-amz-bucket-region``.
    elsewhere : bool
        Every request answers 301 PermanentRedirect that names the region.
    etags : {"strong", "weak", "none"}
    last_modified : bool
        Whether answers tell Last-Modified.
    checksum : {"none", "crc32", "crc32c", "crc64nvme"}
        What is told of whole objects to who asks for it (``x-amz-checksum-mode``).
    ranges : bool
        Whether Range is honoured; False answers 200 and says ``Accept-Ranges: none``.
    """

    kind: Literal["s3", "google"] = "s3"
    private: bool = False
    list_denied: bool = False
    missing_is_403: bool = False
    region: str = "us-east-1"
    elsewhere: bool = False
    etags: Literal["strong", "weak", "none"] = "strong"
    last_modified: bool = True
    checksum: Literal["none", "crc32", "crc32c", "crc64nvme"] = "none"
    ranges: bool = True


def object_answer(asked: Asked, rules: BucketRules, path: str, found: StoredObject) -> Answer:
    """Answer GET or HEAD of one object that is there (RFC 9110, sections 9.3.1, 9.3.2, 13 and 14)."""
    version = version_of(found, rules)
    headers = _object_headers(found, rules, version, path)
    status = 412 if _other_generation(asked, found) else conditions.failed_precondition(asked.headers, version)
    if status == conditions.NOT_MODIFIED:
        return Answer(status, headers, found.read, 0, 0, bodiless=True)
    if status is not None:
        return error(asked, status, "PreconditionFailed", "At least one of the preconditions did not hold.")
    return _content(asked, rules, headers, version, found)


def _content(
    asked: Asked, rules: BucketRules, headers: Headers, version: conditions.Version, found: StoredObject
) -> Answer:
    bodiless = asked.method == "HEAD"
    size_bytes = found.size_bytes
    try:
        span = conditions.wanted_span(asked.headers, version, size_bytes) if rules.ranges else None
    except ValueError as problem:
        total = ("Content-Range", f"bytes */{size_bytes}")
        return error(asked, 416, "InvalidRange", str(problem), (total,))
    if span is None:
        return Answer(200, (*headers, *_checksum(asked, rules, found)), found.read, 0, size_bytes, bodiless)
    told = ("Content-Range", f"bytes {span.start}-{span.stop - 1}/{size_bytes}")
    return Answer(206, (*headers, told), found.read, span.start, span.stop, bodiless)


def error(asked: Asked, status: int, code: str, message: str, headers: Headers = ()) -> Answer:
    """Error document as S3 spells it (S3 API reference, Error responses)."""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message>'
        f"<Resource>{escape(asked.path)}</Resource><RequestId>LOOPBACK</RequestId></Error>"
    )
    data = text.encode("utf-8", "surrogateescape")
    return of_bytes(status, (*XML, *headers), data, bodiless=asked.method == "HEAD")


def version_of(found: StoredObject, rules: BucketRules) -> conditions.Version:
    """Validators of an object as its bucket tells them."""
    etag = f'"{found.tag}"' if rules.etags == "strong" else None if rules.etags == "none" else f'W/"{found.tag}"'
    return conditions.Version(etag, int(found.modified_s) if rules.last_modified else None)


def _object_headers(found: StoredObject, rules: BucketRules, version: conditions.Version, path: str) -> Headers:
    headers = [
        ("Content-Type", _TYPES.get(path.rpartition(".")[2], "binary/octet-stream")),
        ("Accept-Ranges", "bytes" if rules.ranges else "none"),
    ]
    if version.etag is not None:
        headers.append(("ETag", version.etag))
    if version.modified_s is not None:
        headers.append(("Last-Modified", conditions.http_date(version.modified_s)))
    if rules.kind == "google":
        headers += _google_headers(found)
    return tuple(headers)


def _checksum(asked: Asked, rules: BucketRules, found: StoredObject) -> Headers:
    """As S3 tells it (S3 API reference, HeadObject): of the whole object, never of a range."""
    if rules.checksum == "none" or asked.headers.get("x-amz-checksum-mode") != "ENABLED":
        return ()
    value = _base64(_digest_hex(found, rules.checksum))
    return ((f"x-amz-checksum-{rules.checksum}", value), ("x-amz-checksum-type", "FULL_OBJECT"))


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


@lru_cache(maxsize=4096)
def _digest_hex(found: StoredObject, kind: str) -> str:
    state = HASHES[kind]()
    state.update(found.read(0, found.size_bytes))
    return state.hexdigest()


def _google_headers(found: StoredObject) -> list[tuple[str, str]]:
    headers = [
        ("x-goog-generation", found.generation),
        ("x-goog-metageneration", "1"),
        ("x-goog-stored-content-encoding", "identity"),
        ("x-goog-stored-content-length", str(found.size_bytes)),
    ]
    if found.size_bytes <= HASH_LIMIT_BYTES:
        headers.append(("x-goog-hash", f"crc32c={_base64(_digest_hex(found, 'crc32c'))}"))
    if "-" not in found.tag:
        headers.append(("x-goog-hash", f"md5={_base64(found.tag)}"))
    return headers


def _other_generation(asked: Asked, found: StoredObject) -> bool:
    wanted = asked.headers.get("x-goog-if-generation-match")
    if wanted is None and "enerationMatch=" in asked.query:
        wanted = dict(parse_qsl(asked.query)).get("ifGenerationMatch")
    return wanted is not None and wanted != found.generation
