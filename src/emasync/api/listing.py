"""Looking at what a link names: its assets, files, folders and arrays, without fetching them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emasync.api.blocking import blocking
from emasync.api.links import checked, compose, settle
from emasync.api.listed_row import ListedRow
from emasync.api.options import RunOptions
from emasync.errors import InputError
from emasync.model.events import OnEvent, ignore_event

if TYPE_CHECKING:
    from emasync.manifest.manifest import Manifest

MOST_ROWS: Final = 100_000
"""Rows that :func:`ls` keeps; :func:`als` gives any number, one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to look.

    Attributes
    ----------
    include, exclude : tuple of str
        Globs over paths below the dataset; with ``include`` folders are looked into as deep as it reaches.
    arrays : tuple of str
    recursive : bool
        All objects below folders, and inside of each tree.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    recursive: bool = False


def ls(
    location: str,
    *,
    look: Look | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
) -> tuple[ListedRow, ...]:
    """List what a link, a path or a name stands for; fetches documents and listings only.

    Parameters
    ----------
    location : str
        Anything that ``docs/links.md`` lists.
    look : Look, optional
    on_event : callable
    options : RunOptions, optional
        ``mirrors`` are used.

    Returns
    -------
    tuple of ListedRow
        What could not be looked at is among them, as ``failed``.

    Raises
    ------
    InputError
        Nothing that is understood; more than :data:`MOST_ROWS` rows (use :func:`als`).
    SourceError, TransportError
        It takes the network to know what the link names, and that did not answer.
    """
    return blocking(lambda: _gathered(als(location, look=look, on_event=on_event, options=options)))


async def _gathered(rows: AsyncIterator[ListedRow]) -> tuple[ListedRow, ...]:
    kept: list[ListedRow] = []
    async for row in rows:
        kept.append(row)
        if len(kept) > MOST_ROWS:
            raise InputError(f"more than {MOST_ROWS:,} rows: narrow it with include, or take them one by one (als)")
    return tuple(kept)


async def als(
    location: str,
    *,
    look: Look | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
) -> AsyncGenerator[ListedRow]:
    """As :func:`ls`, one row after the other as answers come; memory does not grow with their number."""
    look, options = look or Look(), options or RunOptions()
    manifest, notes = await _manifest(location, look, options, on_event)
    from emasync.api.survey import Surveyor  # noqa: PLC0415 - sources and formats, and not for a wrong link
    from emasync.sources.interface import SourceContext  # noqa: PLC0415 - as above
    from emasync.transport.governed import GovernedFetcher  # noqa: PLC0415 - as above

    for note in notes:
        yield ListedRow(kind="note", dataset="", message=note)
    settings = options.settings(manifest.settings)
    async with GovernedFetcher(settings, on_event=on_event) as fetcher:
        surveyor = Surveyor(
            SourceContext(fetcher=fetcher, settings=settings, on_event=on_event, folder=manifest.folder),
            recursive=look.recursive,
        )
        for entry in manifest.datasets:
            async with aclosing(surveyor.rows(entry)) as rows:
                async for row in rows:
                    yield row


async def _manifest(
    location: str, look: Look, options: RunOptions, on_event: OnEvent
) -> tuple[Manifest, Sequence[str]]:
    """What is to be looked at, as a manifest."""
    from emasync.sources.links.narrowing import Narrowing  # noqa: PLC0415 - pydantic, by way of the manifest

    settled = await settle(location, mirrors=options.mirrors, on_event=on_event)
    narrowing = Narrowing(include=look.include, exclude=look.exclude, arrays=look.arrays)
    made = await asyncio.to_thread(compose, settled, comments=(), narrowing=narrowing)
    return await asyncio.to_thread(checked, made.text), made.notes
