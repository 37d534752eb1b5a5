"""Where listings are asked for, and how the keys they give relate to canonical locations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from emasync.errors import AccessDeniedError, RefusedError, TransientError, TransportError
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.transport.interface import ListPage
from emasync.transport.mirrors import Mirrors, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingPlace:
    """One listing.

    Attributes
    ----------
    asked_for : Location
        The prefix as the caller named it.
    root : Location
        Canonical; keys handed out are appended to it.
    endpoint : Location
        What is asked: a bucket (s3, gs), an http(s) URL that takes ``?list-type=2``, a folder.
    prefix : str
        Raw key prefix on the wire.
    lead : str
        Leads every key on the wire and no key handed out (a mirror inside of a bucket).
    """

    asked_for: Location
    root: Location
    endpoint: Location
    prefix: str
    lead: str = ""

    def __str__(self) -> str:
        """For messages."""
        name = redact(self.asked_for)
        mirrored = self.endpoint.origin != self.root.origin
        return f"{name} (mirror {redact(self.endpoint)})" if mirrored else name

    def with_query(self, query: str) -> Location:
        """The endpoint with the query of one page."""
        return replace(self.endpoint, query=query)

    def canonical(self, page: ListPage) -> ListPage:
        """A page of the wire, in keys below :attr:`root`."""
        if not self.lead:
            return page
        cut = len(self.lead)
        return ListPage(
            objects=tuple(item._replace(key=item.key[cut:]) for item in page.objects),
            folders=tuple(name[cut:] for name in page.folders),
            last=page.last,
            start_ignored=page.start_ignored,
        )


class PlaceFinder:
    """Finds the place of a listing; S3-style http(s) servers are tried out once and remembered.

    Parameters
    ----------
    mirrors : Mirrors
    probe : callable
        Lists one key; raises when there is no listing.
    """

    def __init__(self, mirrors: Mirrors, probe: Callable[[ListingPlace], Awaitable[None]]) -> None:
        self._mirrors = mirrors
        self._probe = probe
        self._known: dict[tuple[str, str], str] = {}

    async def find(self, prefix: Location) -> ListingPlace:
        """Where to ask for the keys below `prefix`.

        Raises
        ------
        RefusedError
            An http(s) server that does not list, or a URL with a query.
        TransportError
            The server could not be asked.
        """
        route = self._mirrors.route(prefix)
        if route.mirror is not None:
            return _mirrored(prefix, route, *route.mirror)
        if prefix.scheme == "file":
            return ListingPlace(asked_for=prefix, root=prefix, endpoint=prefix, prefix="")
        if (bucket := prefix.as_bucket()) is not None:
            return _bucket(prefix, bucket)
        return await self._endpoint(prefix)

    async def _endpoint(self, prefix: Location) -> ListingPlace:
        if prefix.query:
            raise RefusedError(f"{redact(prefix)}: a URL with a query cannot be listed", location=redact(prefix))
        head, _, rest = prefix.path.removeprefix("/").partition("/")
        roots = {f"/{head}": rest, "/": prefix.path.removeprefix("/")}
        known = self._known.get((prefix.origin, head))
        if known is not None:
            return _at(prefix, known, roots[known])
        path = await self._try_out(prefix, roots)
        self._known[prefix.origin, head] = path
        return _at(prefix, path, roots[path])

    async def _try_out(self, prefix: Location, roots: dict[str, str]) -> str:
        """Path style first (``http://host/bucket``), then the host as the bucket; gives the path that lists."""
        reasons: list[TransportError] = []
        for path, rest in roots.items():
            try:
                await self._probe(_at(prefix, path, rest))
            except TransientError:
                raise
            except TransportError as error:
                reasons.append(error)
            else:
                return path
        for reason in reasons:
            if isinstance(reason, AccessDeniedError):
                raise reason
        tried = "; ".join(reason.message for reason in reasons)
        message = (
            f"{redact(prefix)}: this server gives no S3-style listing; name its files one by one (source: web). {tried}"
        )
        raise RefusedError(message, location=redact(prefix))


def _at(prefix: Location, path: str, rest: str) -> ListingPlace:
    root = Location(prefix.scheme, prefix.authority, path)
    return ListingPlace(asked_for=prefix, root=root, endpoint=root, prefix=unquote(rest))


def _bucket(prefix: Location, bucket: Location) -> ListingPlace:
    """A bucket in any spelling; keys handed out are appended in the caller's own spelling."""
    if prefix.scheme in ("s3", "gs"):
        root = replace(bucket, path="")
    else:
        path_style = prefix.path.removeprefix("/").partition("/")[0] == bucket.authority and not (
            prefix.authority.startswith(f"{bucket.authority}.")
        )
        root = Location(prefix.scheme, prefix.authority, f"/{bucket.authority}" if path_style else "/")
    return ListingPlace(asked_for=prefix, root=root, endpoint=replace(bucket, path=""), prefix=bucket.path)


def _mirrored(prefix: Location, route: Route, root: Location, target: Location) -> ListingPlace:
    """Listings of a mirror are at the target itself (contract, section 1)."""
    rest = route.rest
    bucket = target.as_bucket()
    if bucket is None:
        return ListingPlace(asked_for=prefix, root=root, endpoint=target, prefix=rest)
    lead = bucket.path if not bucket.path or bucket.path.endswith("/") else bucket.path + "/"
    return ListingPlace(asked_for=prefix, root=root, endpoint=replace(bucket, path=""), prefix=lead + rest, lead=lead)
