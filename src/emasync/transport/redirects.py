"""Where a redirect may lead (law 14): rules only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urljoin

from emasync.errors import InputError, RefusedError
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.transport.surroundings import host_of

MAX_REDIRECTS = 10

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(slots=True)
class Trail:
    """Places one request was sent to so far.

    Attributes
    ----------
    name : str
        Of the object, for messages.
    start : Location
        The place asked first.
    here : Location
        The place asked last.
    """

    name: str
    start: Location
    here: Location = field(init=False)
    _seen: set[Location] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.here = self.start

    def follow(self, target: str | None) -> Location:
        """The next place, from a ``Location`` header (RFC 9110, section 10.2.2).

        Raises
        ------
        RefusedError
            No target, a loop, too many hops, another scheme than http(s), from https to http.
        """
        self._seen.add(self.here)
        there = self._parse(target)
        if self.here.scheme == "https" and there.scheme != "https":
            raise self._refused(f"a redirect from https to {redact(there)} would give up encryption")
        if there in self._seen:
            raise self._refused(f"the redirects go in a circle ({redact(there)})")
        if len(self._seen) > MAX_REDIRECTS:
            raise self._refused(f"more than {MAX_REDIRECTS} redirects")
        self.here = there
        return there

    def _parse(self, target: str | None) -> Location:
        if not target:
            raise self._refused("a redirect without a target")
        try:
            there = Location.parse(urljoin(str(self.here), target))
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
    inner = _inner(parsed) if parsed.version == 6 else None  # noqa: PLR2004 - the protocol's name
    return not (inner or parsed).is_global


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4, or by way of NAT64 (RFC 6052, section 2.1)."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def literal_private(location: Location) -> bool | None:
    """:func:`is_private` of the host of an http(s) location."""
    return is_private(host_of(location))
