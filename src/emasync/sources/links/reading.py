"""What a pasted text is: every rule is asked in turn, and what only the network knows is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from emasync.errors import AccessDeniedError, InputError, NotFoundError, SourceError, TransportError
from emasync.manifest.problems import shown
from emasync.model.location import Location
from emasync.registry import LINKS
from emasync.sources.links.interface import DOCUMENT_BYTES, LinkRule, Outcome, Question, Settled, Wrapped
from emasync.sources.links.open_data import Slugs
from emasync.sources.links.stores import StoreLinks, is_local
from emasync.transport.interface import Fetcher
from emasync.transport.redirects import literal_private

MAX_CHARACTERS: Final = 4 << 20
"""Longest text; a viewer's state is in the link as a whole."""

MAX_STEPS: Final = 32
"""Links inside links and documents that name documents, one after the other."""


def read_link(text: str) -> Settled | Question:
    """What `text` is, as far as the text says; nothing is contacted.

    Parameters
    ----------
    text : str
        As pasted: spaces, quotes and angle brackets around it do not matter.

    Returns
    -------
    Reading, Ready or Question
        A :class:`Question` where it takes the network to know.

    Raises
    ------
    InputError
        Nothing that is understood (the message lists what is); a URL that grants access.
    """
    text = _bare(text)
    for _ in range(MAX_STEPS):
        found = next((found for rule in rules() if (found := rule.read(text)) is not None), None)
        if found is None:
            raise not_understood(text)
        if not isinstance(found, Wrapped):
            return found
        text = _bare(found.text)
    raise InputError(f"{shown(text)}: links inside links without end; paste the URL of the data")


def names_inside(text: str) -> bool:
    """Whether the text itself, for all to see, is a path or the URL of a place on this machine or network.

    Whoever pastes that means it. What only a look-up or a document tells may be somebody else's wish.
    """
    text = _bare(text)
    if "://" not in text:
        return is_local(text)
    try:
        location = Location.parse(text)
    except InputError:
        return False
    return location.scheme == "file" or (location.scheme in ("http", "https") and bool(literal_private(location)))


async def settled(text: str, question: Question, fetcher: Fetcher) -> Settled:
    """What `text` is in the end: asks what has to be asked, one thing after the other.

    Parameters
    ----------
    text : str
        As given to :func:`read_link`.
    question : Question
        Its answer.
    fetcher : Fetcher

    Raises
    ------
    InputError
        As :func:`read_link`.
    SourceError
        What was asked for is not there, makes no sense, or does not answer.
    """
    found: Outcome | None = question
    for _ in range(MAX_STEPS):
        if found is None:
            raise await asyncio.to_thread(not_understood, _bare(text))  # looks for plug-ins
        if isinstance(found, Wrapped):
            found = await asyncio.to_thread(read_link, found.text)  # may look whether a path is there
        if not isinstance(found, Question):
            return found
        found = found.answer(await _asked(found, fetcher))
    raise InputError(f"{shown(text)}: one document names the next without end; paste the URL of the data")


async def _asked(question: Question, fetcher: Fetcher) -> bytes | None:
    try:
        return (await fetcher.read(question.location, limit_bytes=DOCUMENT_BYTES)).data
    except (NotFoundError, AccessDeniedError):
        return None
    except TransportError as error:
        message = f"it takes the network to know {question.why}, and that did not answer: {error.message}"
        raise SourceError(message, kind=error.kind, location=error.location) from error


def rules() -> Iterator[LinkRule]:
    """All rules in the order they are asked: our own, plug-ins of others, and last what takes whatever is left.

    Plug-ins are looked for only when no rule of our own claims a text: that reads what is installed.
    """
    for name in LINKS.built_in:
        yield _loaded(name)
    for name in plugged():
        yield _loaded(name)
    yield StoreLinks()
    yield Slugs()


@cache
def plugged() -> tuple[str, ...]:
    """Names of plug-ins (looked for once: that reads all installed packages)."""
    return LINKS.names()[len(LINKS.built_in) :]


def _loaded(name: str) -> LinkRule:
    made: Any = LINKS.load(name)  # a plug-in's class
    rule: LinkRule = made()
    return rule


def not_understood(text: str) -> InputError:
    """The error for a text that is nothing: what would be something."""
    forms = "\n".join(f"  {form}" for rule in rules() for form in rule.forms)
    return InputError(f"{shown(text)} is no link, path or name that is understood; such are:\n{forms}")


def _bare(text: str) -> str:
    """The text without what it was wrapped in.

    Raises
    ------
    InputError
        Empty, too long, or with control characters inside.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"a link of {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")
    bare = text.strip()
    for first, last in ('""', "''", "<>"):
        bare = bare[1:-1].strip() if len(bare) > 1 and bare[0] == first and bare[-1] == last else bare
    if not bare:
        raise InputError("there is no text: paste a link, a path or a name")
    if not bare.isprintable():
        raise InputError(f"{shown(bare)} has control characters or line breaks in it; remove them")
    return bare
