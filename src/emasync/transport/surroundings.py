"""What the machine says about its network: certificates, proxies, netrc. Read once, at the edge."""

from __future__ import annotations

import netrc
import os
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from emasync.errors import InputError
from emasync.model.location import Location
from emasync.model.version import VERSION

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
    """

    user_agent: str = "emasync"
    tls: ssl.SSLContext | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    logins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Surroundings:
        """Read this machine's (blocking: certificates and netrc are files).

        ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY`` and
        ``NETRC`` are honoured.
        """
        return cls(
            user_agent=f"emasync/{VERSION}",
            tls=ssl.create_default_context(),
            proxies=getproxies_environment(),
            logins=read_logins(Path(os.environ.get("NETRC") or Path.home() / ".netrc")),
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

    def login_for(self, location: Location) -> str | None:
        """``Authorization`` for `location` from netrc: over TLS (or to this machine) and to its own host only."""
        host = host_of(location)
        if location.scheme != "https" and host not in LOOPBACK_NAMES:
            return None
        return self.logins.get(host)


def host_of(location: Location) -> str:
    """Host of an http(s) location, lower case, without port and brackets."""
    return (urlsplit(f"//{location.authority}").hostname or "").lower()


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
