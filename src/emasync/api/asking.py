"""What a link is, with the questions that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from emasync.api.patience import SOMEBODY_WAITS
from emasync.model.events import OnEvent
from emasync.settings import Settings
from emasync.sources.links.interface import Question, Settled
from emasync.sources.links.reading import names_inside, read_link, settled
from emasync.transport.governed import GovernedFetcher


class Settle(Protocol):
    """Says what a link is."""

    async def __call__(
        self, location: str, *, mirrors: Mapping[str, str], allow_private: bool, on_event: OnEvent
    ) -> Linked:
        """As :func:`settle_link`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What a link is.

    Attributes
    ----------
    settled : Settled
    allow_private : bool
        Whether it may lead to this machine and its network.
    """

    settled: Settled
    allow_private: bool


async def settle_link(location: str, *, mirrors: Mapping[str, str], allow_private: bool, on_event: OnEvent) -> Linked:
    """What a pasted text names; opens the network only where it has to.

    Parameters
    ----------
    allow_private : bool
        Addresses inside may be named by anything; else only by the pasted text itself.

    Raises
    ------
    InputError, SourceError
        As :func:`emasync.init`.
    """
    found = await asyncio.to_thread(read_link, location)  # may look whether a path is there
    allow_private = allow_private or await asyncio.to_thread(names_inside, location)
    if not isinstance(found, Question):
        return Linked(settled=found, allow_private=allow_private)
    settings = Settings(mirrors=dict(mirrors), hosts={"*": SOMEBODY_WAITS}, allow_private=allow_private)
    async with GovernedFetcher(settings, on_event=on_event) as fetcher:
        return Linked(settled=await settled(location, found, fetcher), allow_private=allow_private)
