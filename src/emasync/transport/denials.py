"""Whether a denial may stand for absence (law 9).

Where listing is not allowed, S3 answers 403 for an object that is not there ("GetObject", permissions), and Google
Cloud Storage does alike. So what is denied may be left out, or really denied.
"""

from __future__ import annotations

from collections.abc import Iterable

from emasync.errors import AccessDeniedError, TransportError
from emasync.model.digest import Span
from emasync.model.location import Location, missing_key
from emasync.transport.interface import Fetcher


async def hides_missing(fetcher: Fetcher, folder: Location, documents: Iterable[Location]) -> bool:
    """Whether a name that nobody wrote is denied by now, while what was read before is not.

    Parameters
    ----------
    fetcher : Fetcher
    folder : Location
        Where something was denied.
    documents : iterable of Location
        One of them was read: metadata of the same hierarchy. They are asked for until one answers.
    """
    try:
        await _ask(fetcher, folder.join(missing_key(folder)))
    except AccessDeniedError:
        return await _any_answers(fetcher, documents)
    except TransportError:
        return False
    return False


async def _any_answers(fetcher: Fetcher, documents: Iterable[Location]) -> bool:
    for place in documents:
        try:
            await _ask(fetcher, place)
        except TransportError:
            continue
        return True
    return False


async def _ask(fetcher: Fetcher, location: Location) -> None:
    await fetcher.read(location, span=Span(0, 1), limit_bytes=1)
