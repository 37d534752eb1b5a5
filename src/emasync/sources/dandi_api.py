"""The API of DANDI archives: addresses, pages, and what its refusals mean.

Rules are those of ``dandiapi`` (``urls.py``, ``api/views/*.py``, ``zarr/views``). Tokens are the transport's matter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

from emasync.errors import AccessDeniedError, InputError, NotFoundError, SourceError
from emasync.model.location import Location
from emasync.transport.interface import Fetcher
from emasync.transport.surroundings import host_of
from emasync.transport.tokens import variable_for

PAGE_ASSETS = 1_000
"""Most that one page may hold (``DandiPagination.max_page_size``); costs twice as much as 100, and saves nine."""

ANSWER_BYTES = 64 << 20
"""Longest answer: a thousand asset records have some MB."""

MAX_PAGES = 100_000


class Page(NamedTuple):
    """One page of a listing.

    Attributes
    ----------
    results : list of JSON values
        Any: from the network, checked by the caller.
    promised : int or None
        Promised in all. The asset listing tells it on its first page only.
    """

    results: list[Any]
    promised: int | None


class DandiApi:
    """Questions to one archive.

    Parameters
    ----------
    fetcher : Fetcher
    base : Location
        Such as ``https://api.dandiarchive.org/api``.
    entry : str
        Dandiset (and version) in words, for messages.
    """

    def __init__(self, fetcher: Fetcher, base: Location, entry: str) -> None:
        self.base = base
        self._fetcher = fetcher
        self._entry = entry

    def __repr__(self) -> str:
        return f"<DandiApi {self.base}>"

    def at(self, path: str, /, **query: str | int) -> Location:
        """Location of one call; `path` is raw and below the base."""
        return replace(self.base.join(path), query=urlencode(query, quote_via=quote))

    async def get(self, location: Location) -> tuple[bytes, dict[str, Any]]:
        """One answer: as received, and parsed (Any: JSON, checked by the caller).

        Raises
        ------
        SourceError
            Unknown, denied, or no JSON object.
        TransportError
            The archive does not answer.
        """
        try:
            data = (await self._fetcher.read(location, limit_bytes=ANSWER_BYTES)).data
        except NotFoundError as error:
            raise SourceError(
                f"{self._entry} is not at {self.base} ({location} answers 404); check number, version and instance",
                kind=error.kind,
                location=str(location),
            ) from error
        except AccessDeniedError as error:
            variable = variable_for(host_of(self.base))
            raise SourceError(
                f"{self._entry}: {self.base} wants to know who asks: it is embargoed, or not yours to read. Put the "
                f"API token of an owner into the environment variable {variable}. {error.message}",
                kind=error.kind,
                location=str(location),
            ) from error
        return data, self.parsed(data, location)

    def parsed(self, data: bytes, location: Location) -> dict[str, Any]:
        """The JSON object of an answer (Any: checked by the caller).

        Raises
        ------
        SourceError
            Something else came, such as a page that says the archive is under maintenance.
        """
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise SourceError(
                f"{self._entry}: expected a JSON object from {location}, got {data[:60]!r}; the archive may be under "
                "maintenance, or the instance is no API: try again later, or check it",
                location=str(location),
            )
        return answer

    async def pages(self, first: Location) -> AsyncIterator[Page]:
        """Pages of a listing, following ``next``.

        Only the query of ``next`` is taken: whatever host it names, the archive itself is asked, so that a token
        never goes anywhere else.

        Raises
        ------
        SourceError
            As :meth:`get`; an answer that is no page, or pages without end.
        """
        location, seen = first, {first.query}
        for _ in range(MAX_PAGES):
            _, answer = await self.get(location)
            results, count = answer.get("results"), answer.get("count")
            if not isinstance(results, list):
                raise self._no_page(location, "it has no list of results")
            yield Page(results, count if isinstance(count, int) else None)
            following = answer.get("next")
            if following is None:
                return
            location = self._next(first, following)
            if location.query in seen or not results:
                raise self._no_page(location, "its pages go in a circle")
            seen.add(location.query)
        raise self._no_page(first, f"it has more than {MAX_PAGES:,} pages")

    def _next(self, first: Location, following: object) -> Location:
        try:
            told = Location.parse(str(following))
        except InputError:
            raise self._no_page(first, f"its next page is {str(following)[:80]!r}") from None
        if told.path.rstrip("/").rpartition("/")[2] != first.path.rstrip("/").rpartition("/")[2] or not told.query:
            raise self._no_page(first, f"its next page is another listing ({str(told)[:200]})")
        return replace(first, query=told.query)

    def _no_page(self, location: Location, why: str) -> SourceError:
        return SourceError(
            f"{self._entry}: expected a page of a listing from {location}, {why}; try again later",
            location=str(location),
        )
