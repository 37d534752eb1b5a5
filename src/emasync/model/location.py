"""Where bytes live: canonical locations and the origin that limits belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, cast
from urllib.parse import quote, unquote, urlsplit

from emasync.errors import InputError

Scheme = Literal["s3", "gs", "http", "https", "file"]

PATH_SAFE = "/!$&'()*+,;=:@-._~"
"""Characters RFC 3986, section 3.3, allows in a path without escape (``pchar`` and the slash)."""

_PLAIN = re.compile(r"[A-Za-z0-9/!$&'()*+,;=:@\-._~]*").fullmatch
"""Whether a key is the same with and without escapes: nearly all are, and looking is faster than escaping."""

_S3_HOST = r"s3(?:[.\-](?:(?:accelerate\.)?dualstack|(?:dualstack\.)?(?P<region>[a-z0-9\-]+)))?\.amazonaws\.com$"
"""Amazon S3 user guide: "Virtual hosting of buckets", "Dual-stack endpoints", "Transfer Acceleration"."""

_S3_VIRTUAL = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.\-]+)\." + _S3_HOST)
_S3_PATH = re.compile("^" + _S3_HOST)
_GS_VIRTUAL = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9._\-]+)\.storage\.googleapis\.com$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_GS_HOST = "storage.googleapis.com"
_DEFAULT_PORT = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Location:
    """One object or prefix at its canonical place (mirrors are applied by the transport, never here).

    Attributes
    ----------
    scheme : {"s3", "gs", "http", "https", "file"}
    authority : str
        Bucket for s3 and gs, ``host[:port]`` for http(s) (no default port, no user info), empty for file.
    path : str
        s3 and gs: the raw key, without leading slash. http(s): the percent-encoded path as sent on the wire,
        with leading slash. file: the absolute path.
    query : str
        http(s) only: the raw query, without the question mark.
    """

    scheme: Scheme
    authority: str
    path: str
    query: str = ""

    @classmethod
    def parse(cls, text: str) -> Location:
        """Read a URL as users paste it.

        Parameters
        ----------
        text : str
            ``s3://``, ``gs://``, ``http(s)://`` or ``file://`` URL. Percent escapes of http paths are kept as
            they are (``%20`` stays ``%20``); raw spaces and non-ASCII characters are escaped.

        Raises
        ------
        InputError
            Other schemes, no host or bucket, user info in the URL, control characters, a relative file URL.
        """
        if _CONTROL.search(text):
            raise InputError(f"URL {text!r} has control characters; remove them")
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in ("s3", "gs", "http", "https", "file"):
            raise InputError(f"URL {text!r}: expected s3://, gs://, http://, https:// or file://")
        if scheme == "file":
            if not rest.startswith("/"):
                raise InputError(f"URL {text!r}: file URLs are absolute, such as file:///data/x")
            return cls("file", "", unquote(rest))
        if scheme in ("s3", "gs"):
            bucket, _, key = rest.partition("/")
            if not bucket:
                raise InputError(f"URL {text!r} names no bucket")
            return cls(cast("Scheme", scheme), bucket, key)
        return cls._parse_http(text, cast("Scheme", scheme))

    @classmethod
    def _parse_http(cls, text: str, scheme: Scheme) -> Location:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InputError(f"URL {text!r}: {error}") from error
        if not host:
            raise InputError(f"URL {text!r} names no host")
        if parts.username is not None or parts.password is not None:
            raise InputError(f"a URL at {host!r} has credentials in it; put them into netrc or the environment")
        host = host.removesuffix(".")  # the root label is left out of certificates and of what others call the host
        authority = f"[{host}]" if ":" in host else host
        if port is not None and str(port) != _DEFAULT_PORT[scheme]:
            authority = f"{authority}:{port}"
        path = quote(parts.path or "/", safe=PATH_SAFE + "%")
        return cls(scheme, authority, path, quote(parts.query, safe=PATH_SAFE + "%?"))

    def __str__(self) -> str:
        if self.scheme == "file":
            return "file://" + quote(self.path, safe=PATH_SAFE)
        if self.scheme in ("s3", "gs"):
            return f"{self.scheme}://{self.authority}/{self.path}"
        return f"{self.scheme}://{self.authority}{self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def origin(self) -> str:
        """Whom limits belong to: ``s3://bucket``, ``gs://bucket`` (all spellings), ``scheme://host[:port]``, ``file://``."""
        if self.scheme == "file":
            return "file://"
        return (
            f"{bucket.scheme}://{bucket.authority}"
            if (bucket := self.as_bucket())
            else f"{self.scheme}://{self.authority}"
        )

    @property
    def site(self) -> str:
        """What the URL begins with, so that the rest is a key: ``scheme://authority``, or ``file:///``."""
        return "file:///" if self.scheme == "file" else f"{self.scheme}://{self.authority}"

    @property
    def name(self) -> str:
        """Last path segment, decoded; empty for a location that ends with a slash."""
        last = self.path.rsplit("/", 1)[-1]
        return unquote(last) if self.scheme in ("http", "https") else last

    def as_bucket(self) -> Location | None:
        """The s3:// or gs:// spelling of this location; None when it is no AWS or Google object URL."""
        if self.scheme in ("s3", "gs"):
            return self
        if self.scheme == "file" or ":" in self.authority:
            return None
        key = unquote(self.path.removeprefix("/"))
        if match := _S3_VIRTUAL.match(self.authority):
            return Location("s3", match["bucket"], key)
        if match := _GS_VIRTUAL.match(self.authority):
            return Location("gs", match["bucket"], key)
        if _S3_PATH.match(self.authority) or self.authority == _GS_HOST:
            bucket, _, rest = key.partition("/")
            return Location("gs" if self.authority == _GS_HOST else "s3", bucket, rest) if bucket else None
        return None

    def join(self, key: str) -> Location:
        """Append a raw (unescaped) key below this location.

        Parameters
        ----------
        key : str
            Appended after one slash; escaped for http(s). Empty gives this location. Nothing is normalised:
            ``..`` and doubled slashes are part of the key.
        """
        if not key:
            return self
        base = self.path if not self.path or self.path.endswith("/") else self.path + "/"
        escaped = quote(key, safe=PATH_SAFE) if self.scheme in ("http", "https") and not _PLAIN(key) else key
        return Location(self.scheme, self.authority, base + escaped)


def missing_key(base: Location) -> str:
    """A key that nobody has written below `base`, stable so that answers can be compared."""
    return f"emasync-probe-{blake2b(str(base).encode(), digest_size=8).hexdigest()}"
