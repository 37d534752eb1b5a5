"""Denials of chunks that the publisher left out (law 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from emasync.errors import AccessDeniedError, EmasyncError, NotFoundError
from emasync.model.location import Location
from emasync.model.task import Task
from emasync.transport.denials import hides_missing
from emasync.transport.interface import Fetcher

DESCRIPTIONS = (".zarray", "zarr.json", "attributes.json", "info", "../info", "../../info")
"""Documents beside or above the chunks of an array: one of them was read when the chunks were planned."""


@dataclass(slots=True)
class _Look:
    """Of one task set: the last look, and how many began so far (mutable)."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    begun: int = 0
    hides_missing: bool = False


class Denials:
    """Looks at what denials of objects mean that may be absent.

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
        if not isinstance(error, AccessDeniedError) or not task.absent_ok:
            return error
        look = self._looks.setdefault(task.set_id, _Look())
        denied_before = look.begun
        async with look.lock:
            if look.begun == denied_before:
                look.begun += 1
                base = Location.parse(task.spec.base)
                look.hides_missing = await hides_missing(self._fetcher, base, descriptions(base))
            return NotFoundError(error.message, location=error.location) if look.hides_missing else error


def descriptions(array: Location) -> Iterator[Location]:
    """Where the document that describes an array may be."""
    for name in DESCRIPTIONS:
        steps = name.count("../")
        folder = array.path.rstrip("/").rsplit("/", steps)[0] if steps else array.path
        above = Location(array.scheme, array.authority, folder)
        yield above.join(name.removeprefix("../" * steps))
