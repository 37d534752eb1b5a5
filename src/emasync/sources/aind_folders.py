"""The folders right below a flat bucket, listed from several places at once.

A delimiter listing gives 1,000 names a request, one page after the other. Here each page that is not the last cuts
what lies behind it in two, and both parts are listed at the same time. Where the cut lies is a matter of speed
alone: each name lies in exactly one part. At most one request in two finds nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import takewhile
from operator import eq

from emasync.errors import SourceError
from emasync.sources.fanout import BEHIND_ALL
from emasync.sources.walk import BucketTree
from emasync.transport.interface import ListPage

MAX_FOLDERS = 1_000_000
"""Most names that are kept (law 4): about 100 MB. The largest flat bucket known has some ten thousand."""

_TOPS = ((str.isdigit, ":"), (str.isupper, "["), (str.islower, "{"))
"""The ASCII character behind the digits, capitals and small letters."""


async def folders_of(tree: BucketTree) -> list[str]:
    """Names of all folders right below `tree`, sorted, without slash.

    Raises
    ------
    SourceError
        More than :data:`MAX_FOLDERS`.
    TransportError, ExceptionGroup
        As :meth:`Fetcher.list`.
    """
    found: list[str] = []
    await _between(tree, found, None, None)
    return sorted(found)


async def _between(tree: BucketTree, found: list[str], after: str | None, high: str | None) -> None:
    """List names behind `after` and before `high`, handing out the upper part of what is left after each page."""
    async with asyncio.TaskGroup() as group:
        while (page := await _page(tree, after)) is not None:
            names = [name for name in page.folders if high is None or name < high]
            _take(tree, found, names)
            last = _last(page)
            if page.last or last is None or len(names) < len(page.folders):
                return
            if (cut := cut_behind(page.folders[0] if page.folders else last, last, high)) is not None:
                group.create_task(_between(tree, found, cut, high))
                high = cut
            after = last + BEHIND_ALL if last.endswith("/") else last


def _take(tree: BucketTree, found: list[str], names: list[str]) -> None:
    found.extend(name.removesuffix("/") for name in names)
    if len(found) > MAX_FOLDERS:
        raise SourceError(
            f"{tree.base}: more than {MAX_FOLDERS:,} folders; name the assets (assets: [...]) in place of a filter",
            location=str(tree.base),
        )


async def _page(tree: BucketTree, after: str | None) -> ListPage | None:
    async with aclosing(tree.level("", start_after=after)) as pages:
        return await anext(pages, None)


def _last(page: ListPage) -> str | None:
    """Last name of a page: a folder with its slash, or an object."""
    names = (*page.folders[-1:], *(item.key for item in page.objects[-1:]))
    return max(names, default=None)


def cut_behind(first: str, last: str, high: str | None) -> str | None:
    """A text between `last` and `high` that may part the names there well; None when none is found.

    The names of a page differ from some character on: the next names will differ there too, or before.

    Parameters
    ----------
    first, last : str
        Of the names seen.
    high : str or None
        Exclusive end; None: there is none.

    Returns
    -------
    str or None
        Without slash, so that no folder lies on both sides.
    """
    alike = sum(1 for _ in takewhile(bool, map(eq, first, last)))
    for at in range(min(alike, len(last) - 1), -1, -1):
        char = last[at]
        top = next((top for among, top in _TOPS if char.isascii() and among(char)), "~")
        middle = chr((ord(char) + ord(top) + 1) // 2)
        cut = last[:at] + middle
        if char < middle < top and middle != "/" and (high is None or cut < high):
            return cut
    return None
