"""Denials that stand for absence (law 9).

Where listing is not allowed, S3 answers 403 for an object that is not there ("GetObject", permissions), and Google
Cloud Storage does alike. So a denied chunk may be one that the publisher left out, or one that is really denied. It is
left out when a name that nobody wrote is denied as well, while the document that describes the array is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from emasync.errors import AccessDeniedError, EmasyncError, NotFoundError, TransportError
from emasync.model.digest import Span
from emasync.model.location import Location, missing_key
from emasync.model.task import Task
from emasync.transport.interface import Fetcher

DESCRIPTIONS = (".zarray", "zarr.json", "attributes.json", "../info", "../../info")
"""Documents beside or above the chunks of an array: one of them was read when the chunks were planned."""


@dataclass(slots=True)
class _Look:
    """Of one task set: the last look, and how many began so far (mutable)."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    begun: int = 0
    hides_missing: bool = False


class Denials:
    """Looks at what denials of chunks mean.

    Parameters
    ----------
    fetcher : Fetcher
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._looks: dict[int, _Look] = {}

    async def meaning(self, task: Task, error: EmasyncError) -> EmasyncError:
        """`error`, or that the object is not there, where its denial says no more than that.

        A look counts for the denials that came before it, never for later ones: rights may be taken away meanwhile.
        """
        if not isinstance(error, AccessDeniedError) or not task.absent_ok or task.spec.grid is None:
            return error
        look = self._looks.setdefault(task.set_id, _Look())
        denied_before = look.begun
        async with look.lock:
            if look.begun == denied_before:
                look.begun += 1
                look.hides_missing = await self._hides_missing(Location.parse(task.spec.base))
            return NotFoundError(error.message, location=error.location) if look.hides_missing else error

    async def _hides_missing(self, array: Location) -> bool:
        try:
            await self._ask(array.join(missing_key(array)))
        except AccessDeniedError:
            return await self._describes(array)
        except TransportError:
            return False
        return False

    async def _describes(self, array: Location) -> bool:
        for place in descriptions(array):
            try:
                await self._ask(place)
            except TransportError:
                continue
            return True
        return False

    async def _ask(self, location: Location) -> None:
        await self._fetcher.read(location, span=Span(0, 1), limit_bytes=1)


def descriptions(array: Location) -> Iterator[Location]:
    """Where the document that describes an array may be."""
    for name in DESCRIPTIONS:
        steps = name.count("../")
        folder = array.path.rstrip("/").rsplit("/", steps)[0] if steps else array.path
        above = Location(array.scheme, array.authority, folder)
        yield above.join(name.removeprefix("../" * steps))
