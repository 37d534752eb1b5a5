"""Where to ask instead: canonical prefixes and the places that stand in for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from emasync.errors import RefusedError
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.transport.surroundings import host_and_port


@dataclass(frozen=True, slots=True)
class Route:
    """Which place is asked for a canonical location.

    Attributes
    ----------
    canonical : Location
        What metadata, ledger and receipt call it.
    asked : Location
        What goes over the wire.
    mirror : tuple of (Location, Location) or None
        The canonical prefix and its target, when a mirror stands in.
    rest : str
        What the canonical location adds to the prefix, as a raw key.
    """

    canonical: Location
    asked: Location
    mirror: tuple[Location, Location] | None = None
    rest: str = ""

    def __str__(self) -> str:
        """For messages: the canonical location and, where it differs, the mirror asked."""
        name = redact(self.canonical)
        return name if self.mirror is None else f"{name} (mirror {redact(self.asked)})"


class Mirrors:
    """Table of mirrors; the longest canonical prefix wins, and targets are not looked up again.

    Parameters
    ----------
    table : mapping of str to str
        ``Settings.mirrors``.

    Raises
    ------
    InputError
        A prefix or target that is no URL.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        rows = [(Location.parse(prefix), Location.parse(target)) for prefix, target in table.items()]
        self._rows = sorted(rows, key=lambda row: len(row[0].path), reverse=True)

    def __repr__(self) -> str:
        return f"<Mirrors {', '.join(f'{prefix} -> {target}' for prefix, target in self._rows) or 'none'}>"

    def places(self) -> frozenset[tuple[str, int]]:
        """Hosts and ports of all http(s) targets."""
        return frozenset(host_and_port(target) for _, target in self._rows if target.scheme in ("http", "https"))

    def route(self, location: Location) -> Route:
        """The place to ask for an object.

        Raises
        ------
        RefusedError
            A key that would leave the folder of a ``file://`` mirror.
        """
        for prefix, target in self._rows:
            rest = _below(prefix, location)
            if rest is not None:
                raw = rest if prefix.scheme in ("s3", "gs") else unquote(rest)
                return Route(location, _target(location, target, rest), (prefix, target), raw)
        return Route(location, location)

    def route_all(self, base: Location, *, encoded: bool) -> Location | None:
        """The place to ask for everything below `base`; None where that is not one place.

        Parameters
        ----------
        base : Location
        encoded : bool
            Keys are appended to the base's text, not below it.
        """
        if not self._rows:
            return base
        if (encoded and not base.path.endswith("/")) or any(_below(base, prefix) for prefix, _ in self._rows):
            return None
        asked = self.route(base).asked
        return None if asked.scheme == "file" else asked


def _below(prefix: Location, location: Location) -> str | None:
    """What `location` adds to `prefix` (escaped as in the location); None when it is not below it."""
    if prefix.scheme in ("s3", "gs"):
        bucket = location.as_bucket()
        if bucket is None:
            return None
        location = bucket
    if (prefix.scheme, prefix.authority) != (location.scheme, location.authority):
        return None
    stem = prefix.path.rstrip("/") if prefix.path.strip("/") else prefix.path.removesuffix("/")
    if not stem and prefix.scheme in ("s3", "gs"):
        return location.path
    if location.path == stem:
        return ""
    return location.path[len(stem) + 1 :] if location.path.startswith(stem + "/") else None


def _target(location: Location, target: Location, rest: str) -> Location:
    if location.scheme in ("http", "https") and location.as_bucket() is None:
        if target.scheme in ("http", "https"):
            # the escapes of the canonical URL are kept: %2F in a segment is no slash
            base = target.path if target.path.endswith("/") or not rest else target.path + "/"
            return replace(target, path=base + rest, query=location.query)
        rest = unquote(rest)
    if target.scheme == "file":
        return target.join(_confined(location, rest))
    return target.join(rest)


def _confined(location: Location, key: str) -> str:
    """`key`, when it stays below a folder (law 14)."""
    if any(segment in ("..", ".") for segment in key.split("/")) or key.startswith("/") or "\0" in key:
        raise RefusedError(f"{redact(location)}: this name would leave the mirror's folder", location=redact(location))
    return key
