"""JSON of a public OMERO.web server, with its ways of saying no.

Rules are those of ``omero-web`` (``omeroweb/api/views.py``, ``omeroweb/webgateway/{views,marshal}.py``): what is
unknown or not public is answered with 403 or 404; a rendering engine that is busy answers 200 and asks for patience in
the body; null fields are left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import orjson

from emasync.errors import AccessDeniedError, ErrorKind, FormatError, NotFoundError, SourceError
from emasync.model.location import Location
from emasync.model.task import escape_for_log
from emasync.sources.interface import SourceContext

SERVER = "https://idr.openmicroscopy.org"

ANSWER_BYTES = 64 << 20
"""Longest answer: a page of 200 images has some 100 KB, a fileset of 100,000 files some 20 MB."""

PAGE_IMAGES = 200
"""Images of one page (``maxLimit`` is 1,000): one page names work for minutes."""

MAX_PAGES = 100_000

MAX_PATIENCE = 8
"""Times that a busy server is asked again."""

MIN_BACKOFF_S, MAX_BACKOFF_S = 0.1, 60.0


class Answer(NamedTuple):
    """One answer.

    Attributes
    ----------
    data : bytes
        As received.
    value : JSON object
        Any: checked by the caller.
    """

    data: bytes
    value: dict[str, Any]


class Page(NamedTuple):
    """One page of a dataset's images.

    Attributes
    ----------
    offset : int
    data : bytes
        As received.
    numbers : tuple of int
    """

    offset: int
    data: bytes
    numbers: tuple[int, ...]


class OmeroServer:
    """Questions to the Image Data Resource.

    Parameters
    ----------
    context : SourceContext
    """

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def ask(self, path: str) -> Answer | None:
        """One JSON object; None for what is unknown or not public.

        Parameters
        ----------
        path : str
            With its query, without leading slash.

        Raises
        ------
        SourceError
            ``throttled``: busy after all patience.
        FormatError
            No JSON object: a page in HTML, a login.
        TransportError
            As :meth:`Fetcher.read`.
        """
        location = Location.parse(f"{SERVER}/{path}")
        for number in range(MAX_PATIENCE):
            try:
                data = (await self._context.fetcher.read(location, limit_bytes=ANSWER_BYTES)).data
            except (NotFoundError, AccessDeniedError):
                return None
            value = json_object(data, str(location))
            delay_s = backoff_s(value)
            if delay_s is None:
                return Answer(data, value)
            await self._context.clock.sleep(min(MAX_BACKOFF_S, delay_s * 2.0**number))
        message = f"{location}: the server was busy {MAX_PATIENCE} times (ConcurrencyException); run again later"
        raise SourceError(message, kind=ErrorKind.THROTTLED, location=str(location))

    async def pages(self, dataset: int) -> AsyncIterator[Page]:
        """Pages of the images of a dataset; as many images as the server promised.

        Raises
        ------
        SourceError
            Fewer images came than were promised.
        """
        offset = promised = 0
        for _ in range(MAX_PAGES):
            path = f"api/v0/m/datasets/{dataset}/images/?limit={PAGE_IMAGES}&offset={offset}"
            answer = await self.ask(path)
            if answer is None:
                break
            promised = total_count(answer.value, f"{SERVER}/{path}")
            numbers = image_numbers(answer.value, f"{SERVER}/{path}")
            if numbers or not promised:
                yield Page(offset, answer.data, tuple(numbers))
            offset += len(numbers)
            if offset >= promised:
                return
            if not numbers:
                break
        raise short_listing(dataset, offset, promised)


def short_listing(dataset: int, came: int, promised: int) -> SourceError:
    """The error for a dataset whose listing ends early."""
    location = f"{SERVER}/api/v0/m/datasets/{dataset}/images/"
    message = f"{location}: {promised} images are promised, {came} came; run again later"
    return SourceError(message, location=location)


def json_object(data: bytes, url: str) -> dict[str, Any]:
    """The JSON object of an answer (Any: checked by the caller).

    Raises
    ------
    FormatError
        Something else came.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        seen = escape_for_log(data[:100].decode("utf-8", "replace"))
        message = f"{url}: expected a JSON object of OMERO.web, got {seen!r}; the service may be down, run again"
        raise FormatError(message, location=url)
    return value


def backoff_s(value: dict[str, Any]) -> float | None:
    """Seconds that a busy server asks for inside of a 200; None for a usual answer."""
    busy = value.get("ConcurrencyException")
    if busy is None:
        return None
    asked = busy.get("backOff") if isinstance(busy, dict) else None
    milliseconds = asked if isinstance(asked, int | float) and 0 <= asked < 1e9 else 1000.0  # noqa: PLR2004 - no NaN
    return max(MIN_BACKOFF_S, milliseconds / 1000)


def total_count(value: dict[str, Any], url: str) -> int:
    """What a page promises in all.

    Raises
    ------
    FormatError
        Not a page: no list of data, no count.
    """
    meta = value.get("meta")
    total = meta.get("totalCount") if isinstance(meta, dict) else None
    if not isinstance(value.get("data"), list) or not isinstance(total, int):
        message = f"{url}: expected a page of images (data: [...], meta: {{totalCount}}); got {', '.join(value)[:200]}"
        raise FormatError(escape_for_log(message), location=url)
    return total


def single(value: dict[str, Any]) -> dict[str, Any]:
    """The one object of an answer: the server sends an object, its documentation shows a list of one (Any: JSON)."""
    data = value.get("data")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return data if isinstance(data, dict) else {}


def image_number(value: object) -> int | None:
    """``@id`` of an image; None where it has none."""
    number = value.get("@id") if isinstance(value, dict) else None
    return number if isinstance(number, int) and number > 0 else None


def image_numbers(page: dict[str, Any], url: str) -> list[int]:
    """``@id`` of all images of a page (Any: JSON).

    Raises
    ------
    FormatError
        One has none: leaving it out would be a silent subset.
    """
    numbers = [image_number(item) for item in page["data"]]
    if None in numbers:
        raise FormatError(f"{url}: image {numbers.index(None)} of the page has no @id", location=url)
    return [number for number in numbers if number is not None]
