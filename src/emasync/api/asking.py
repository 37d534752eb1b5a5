"""What a link is, with the questions that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from emasync.api.patience import SOMEBODY_WAITS
from emasync.model.events import OnEvent
from emasync.settings import Settings
from emasync.sources.links.interface import Question, Settled
from emasync.sources.links.reading import read_link, settled
from emasync.transport.governed import GovernedFetcher


class Settle(Protocol):
    """Says what a link is."""

    async def __call__(self, location: str, *, mirrors: Mapping[str, str], on_event: OnEvent) -> Settled:
        """As :func:`settle_link`."""
        ...


async def settle_link(location: str, *, mirrors: Mapping[str, str], on_event: OnEvent) -> Settled:
    """What a pasted text names; opens the network only where it has to.

    Raises
    ------
    InputError, SourceError
        As :func:`emasync.init`.
    """
    found = await asyncio.to_thread(read_link, location)  # may look whether a path is there
    if not isinstance(found, Question):
        return found
    settings = Settings(mirrors=dict(mirrors), hosts={"*": SOMEBODY_WAITS})
    async with GovernedFetcher(settings, on_event=on_event) as fetcher:
        return await settled(location, found, fetcher)
