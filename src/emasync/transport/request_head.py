"""The header of a GET request, built strictly (RFC 9112, section 3). No I/O.

Nothing that ends up in a request can begin a line of its own: what does not fit the grammar is refused, not escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from emasync.model.location import Location

_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_TARGET = re.compile(r"/[!\"$-~]*")
"""Visible ASCII without the hash sign, which begins a fragment (RFC 3986, section 3.5)."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token (RFC 9110, section 5.6.2)."""

_VALUE = re.compile(r"(?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")
"""No controls, no white space at the ends (RFC 9110, section 5.5)."""


class UnfitRequestError(ValueError):
    """The request cannot be written down without changing its meaning."""


def writable(location: Location) -> bool:
    """Whether the host of an http(s) location can be written as it is (it may want IDNA, or a zone)."""
    return _AUTHORITY.fullmatch(location.authority) is not None


def get_request(location: Location, fields: Mapping[str, str]) -> bytes:
    """A whole GET request.

    Parameters
    ----------
    location : Location
        http(s); path and query are sent exactly as written.
    fields : mapping of str to str
        Everything but Host.

    Raises
    ------
    UnfitRequestError
    """
    target = f"{location.path}?{location.query}" if location.query else location.path
    if not writable(location) or _TARGET.fullmatch(target) is None:
        raise UnfitRequestError("the URL has characters that no request can hold")
    lines = [f"GET {target} HTTP/1.1\r\nHost: {location.authority}"]
    for name, value in fields.items():
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise UnfitRequestError(f"the field {name!r} has characters that no request can hold")
        lines.append(f"{name}: {value}")
    try:
        # what a server sent as raw bytes (an entity tag) goes back as the same bytes
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UnfitRequestError("a field has characters that no request can hold") from error
