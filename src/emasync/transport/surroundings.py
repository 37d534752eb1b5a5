"""What the machine says about its network: certificates, proxies, netrc, tokens. Read once, at the edge."""

from __future__ import annotations

import netrc
import os
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from emasync.errors import InputError
from emasync.model.location import Location
from emasync.model.version import VERSION
from emasync.transport.dialogue import DEFAULT_PORTS
from emasync.transport.resolver import Lookup, system_lookup
from emasync.transport.tokens import name_of, read_tokens

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything a session takes from its machine.

    Attributes
    ----------
    user_agent : str
    tls : ssl.SSLContext or None
        None: aiohttp's own default.
    proxies : mapping of str to str
        By scheme (``http``, ``https``, ``all``) and ``no`` for exceptions, as in the environment.
    logins : mapping of str to str
        ``Authorization`` header by host, from netrc; named hosts only, no default entry.
    tokens : mapping of str to str
        ``Authorization`` header by host, from the environment; the host spelt as in a variable's name.
    lookup : callable
        Finds addresses of names.
    """

    user_agent: str = "emasync"
    tls: ssl.SSLContext | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    lookup: Lookup = system_lookup

    @classmethod
    def read(cls) -> Surroundings:
        """Read this machine's (blocking: certificates and netrc are files).

        ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``,
        ``NETRC`` and the variables of :mod:`emasync.transport.tokens` are honoured.

        Raises
        ------
        InputError
            A token that cannot be sent.
        """
        return cls(
            user_agent=f"emasync/{VERSION}",
            tls=ssl.create_default_context(),
            proxies=getproxies_environment(),
            logins=read_logins(Path(os.environ.get("NETRC") or Path.home() / ".netrc")),
            tokens=read_tokens(os.environ),
        )

    def proxy_for(self, location: Location) -> str | None:
        """URL of the proxy that `location` is asked through; None for none.

        Raises
        ------
        InputError
            A proxy that is no HTTP proxy.
        """
        proxy = self.proxies.get(location.scheme) or self.proxies.get("all")
        if not proxy or proxy_bypass(location.authority, self.proxies):
            return None
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        if urlsplit(proxy).scheme not in ("http", "https"):
            raise InputError(
                f"the environment names a {urlsplit(proxy).scheme} proxy for {location.scheme}; only HTTP proxies are "
                "supported. Unset it, or add the host to NO_PROXY"
            )
        return proxy

    def proxy_places(self) -> Iterator[tuple[str, int]]:
        """Hosts and ports of all proxies."""
        for scheme, proxy in self.proxies.items():
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            if scheme != "no" and parts.hostname:
                yield parts.hostname.lower(), parts.port or DEFAULT_PORTS.get(parts.scheme, 0)

    def login_for(self, location: Location) -> str | None:
        """``Authorization`` for `location` from netrc: over TLS (or to this machine) and to its own host only."""
        return self.logins.get(host_of(location)) if _is_safe(location) else None

    def token_for(self, location: Location) -> str | None:
        """``Authorization`` for `location` from the environment, under the same conditions."""
        return self.tokens.get(name_of(host_of(location))) if self.tokens and _is_safe(location) else None


def _is_safe(location: Location) -> bool:
    """Whether credentials may go there: nobody reads along."""
    return location.scheme == "https" or host_of(location) in LOOPBACK_NAMES


def host_of(location: Location) -> str:
    """Host of an http(s) location, lower case, without port and brackets."""
    return (urlsplit(f"//{location.authority}").hostname or "").lower()


def host_and_port(location: Location) -> tuple[str, int]:
    """Host as :func:`host_of`, and port of an http(s) location."""
    port = urlsplit(f"//{location.authority}").port
    return host_of(location), port or DEFAULT_PORTS[location.scheme]


def read_logins(path: Path) -> Mapping[str, str]:
    """Basic credentials (RFC 7617) by host from a netrc file; empty when there is none or it cannot be read.

    Parameters
    ----------
    path : Path
    """
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return {}
    return {
        host.lower(): "Basic " + b64encode(f"{login}:{password}".encode()).decode()
        for host, (login, _, password) in hosts.items()
        if host != "default" and login and password
    }
