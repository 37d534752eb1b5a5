"""Where a redirect may lead (law 14): rules only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urljoin

from emasync.errors import InputError, RefusedError
from emasync.model.location import Location
from emasync.transport.redaction import redact
from emasync.transport.surroundings import host_of

MAX_REDIRECTS = 10


@dataclass(slots=True)
class Trail:
    """Places one request was sent to so far.

    Attributes
    ----------
    name : str
        Of the object, for messages.
    start : Location
        The place asked first.
    """

    name: str
    start: Location
    _here: Location = field(init=False)
    _seen: set[Location] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._here = self.start

    def follow(self, target: str | None) -> Location:
        """The next place, from a ``Location`` header (RFC 9110, section 10.2.2).

        Raises
        ------
        RefusedError
            No target, a loop, too many hops, another scheme than http(s), from https to http.
        """
        self._seen.add(self._here)
        there = self._parse(target)
        if self._here.scheme == "https" and there.scheme != "https":
            raise self._refused(f"a redirect from https to {redact(there)} would give up encryption")
        if there in self._seen:
            raise self._refused(f"the redirects go in a circle ({redact(there)})")
        if len(self._seen) > MAX_REDIRECTS:
            raise self._refused(f"more than {MAX_REDIRECTS} redirects")
        self._here = there
        return there

    def _parse(self, target: str | None) -> Location:
        if not target:
            raise self._refused("a redirect without a target")
        try:
            there = Location.parse(urljoin(str(self._here), target))
        except (InputError, ValueError):
            raise self._refused("a redirect to something that is no http(s) URL") from None
        if there.scheme not in ("http", "https"):
            raise self._refused(f"a redirect to a {there.scheme}:// URL")
        return there

    def _refused(self, reason: str) -> RefusedError:
        return RefusedError(f"{self.name}: {reason}; refused", location=self.name)


def is_private(address: str) -> bool | None:
    """Whether an address lies inside: loopback, private, link-local. None for a name, which must be looked up.

    Parameters
    ----------
    address : str
        IP address without brackets, or host name.
    """
    name = address.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        parsed = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return not (mapped or parsed).is_global


def literal_private(location: Location) -> bool | None:
    """:func:`is_private` of the host of an http(s) location."""
    return is_private(host_of(location))
