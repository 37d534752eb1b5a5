"""Keeps what grants access out of messages, events and logs."""

from __future__ import annotations

import re

from emasync.model.location import Location

_SECRET_NAMES = re.compile(
    r"(?:^|&)(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|awsaccesskeyid"
    r"|signature|sig|se|policy|key-pair-id|[^=&]*token|[^=&]*password|[^=&]*secret|api[-_]?key|key|code|auth)=",
    re.IGNORECASE,
)


def is_presigned(query: str) -> bool:
    """Whether a query grants access by itself (AWS and Google signatures, SAS and other tokens)."""
    return _SECRET_NAMES.search(query) is not None


def redact(location: Location) -> str:
    """`location` as text for people; a query that grants access is left out whole."""
    if location.query and is_presigned(location.query):
        return str(Location(location.scheme, location.authority, location.path)) + "?(query left out)"
    return str(location)
