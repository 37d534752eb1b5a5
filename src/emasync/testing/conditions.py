"""Preconditions and ranges of a GET or HEAD: pure rules of RFC 9110, sections 13 and 14."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from emasync.model.digest import Span

NOT_MODIFIED = 304
"""Status of a conditional request whose condition says that the client has the content already."""

_TAG = re.compile(r'(?:W/)?"[^"]*"')
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Version:
    """What tells this version of an object from another.

    Attributes
    ----------
    etag : str or None
        With quotes and ``W/``, as sent.
    modified_s : int or None
        Whole seconds since 1970-01-01 UTC; None when it is not told.
    """

    etag: str | None
    modified_s: int | None


@lru_cache(maxsize=1024)
def http_date(moment_s: int) -> str:
    """IMF-fixdate of RFC 9110, section 5.6.7."""
    return formatdate(moment_s, usegmt=True)


def failed_precondition(headers: Mapping[str, str], version: Version) -> int | None:
    """Status that the preconditions ask for instead of the content: 412, 304 or None.

    Order of evaluation as in RFC 9110, section 13.2.2.
    """
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, version.etag, weak=False):
            return 412
    elif (since := _moment_s(headers.get("if-unmodified-since"))) is not None and _later(version, since):
        return 412
    if (known := headers.get("if-none-match")) is not None:
        return 304 if _matches(known, version.etag, weak=True) else None
    since = _moment_s(headers.get("if-modified-since"))
    return 304 if since is not None and version.modified_s is not None and not _later(version, since) else None


def wanted_span(headers: Mapping[str, str], version: Version, size_bytes: int) -> Span | None:
    """Span that Range and If-Range ask for; None for the whole object.

    Several ranges and ranges that are no byte ranges are ignored, as the RFC allows and S3 does.

    Raises
    ------
    ValueError
        The range lies beyond the object: 416.
    """
    text = headers.get("range")
    if text is None or not _range_applies(headers.get("if-range"), version):
        return None
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None or text.endswith("=-"):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None  # invalid, hence ignored (section 14.1.1)
    start = int(first) if first else max(0, size_bytes - int(last))
    stop = min(size_bytes, int(last) + 1) if first and last else size_bytes
    if start >= stop:
        raise ValueError(f"range {text!r} of an object of {size_bytes} bytes")
    return Span(start, stop)


def _range_applies(condition: str | None, version: Version) -> bool:
    if condition is None:
        return True
    if _TAG.fullmatch(condition):
        return _matches(condition, version.etag, weak=False)
    # a date must match exactly (section 13.1.5)
    return version.modified_s is not None and _moment_s(condition) == version.modified_s


def _matches(wanted: str, etag: str | None, *, weak: bool) -> bool:
    if wanted.strip() == "*":
        return True
    if etag is None or (not weak and etag.startswith("W/")):
        return False
    bare = etag.removeprefix("W/")
    return any(tag.removeprefix("W/") == bare and (weak or not tag.startswith("W/")) for tag in _TAG.findall(wanted))


def _moment_s(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None  # an invalid date is ignored (section 13.1.3)


def _later(version: Version, moment_s: int) -> bool:
    return version.modified_s is not None and version.modified_s > moment_s
