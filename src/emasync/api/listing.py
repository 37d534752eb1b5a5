"""Looking at what a link names: its assets, files, folders and arrays, without fetching them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emasync.api.blocking import blocking
from emasync.api.links import checked, compose, guard, settle
from emasync.api.listed_row import ListedRow
from emasync.api.options import RunOptions
from emasync.errors import InputError
from emasync.model.events import OnEvent, ignore_event

if TYPE_CHECKING:
    from emasync.api.asking import Linked
    from emasync.api.survey import Survey
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
        ``mirrors`` and ``allow_private`` are used.

    Returns
    -------
    tuple of ListedRow
        What could not be looked at is among them, as ``failed``.

    Raises
    ------
    InputError
        Nothing that is understood; more than :data:`MOST_ROWS` rows (use :func:`als`).
    SourceError
        It takes the network to know what the link names, and it is not there or does not answer.
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
    linked = await settle(location, mirrors=options.mirrors, on_event=on_event, allow_private=options.allow_private)
    manifest, notes = await asyncio.to_thread(_manifest, linked, look)
    for note in notes:
        yield ListedRow(kind="note", dataset="", message=note)
    survey = await asyncio.to_thread(_survey)
    settings = options.settings(manifest.settings)
    async with aclosing(survey(manifest, settings, recursive=look.recursive, on_event=on_event)) as rows:
        async for row in rows:
            yield row


def _manifest(linked: Linked, look: Look) -> tuple[Manifest, Sequence[str]]:
    """What is to be looked at, as a manifest."""
    from emasync.sources.links.narrowing import Narrowing  # noqa: PLC0415 - pydantic, by way of the manifest

    narrowing = Narrowing(include=look.include, exclude=look.exclude, arrays=look.arrays)
    made = compose(linked.settled, comments=(), narrowing=narrowing, head=guard(linked))
    return checked(made.text), made.notes


def _survey() -> Survey:
    from emasync.api.survey import survey  # noqa: PLC0415 - sources, formats and network; imports read files

    return survey
