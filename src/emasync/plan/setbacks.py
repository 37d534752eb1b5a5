"""What could not be had of one dataset while the rest of it could."""

from __future__ import annotations

from collections.abc import Sequence

from emasync.errors import SourceError

MAX_NAMED = 10
"""Setbacks that one message names; the rest is counted."""


def together(errors: Sequence[SourceError]) -> SourceError:
    """One error that names them.

    Parameters
    ----------
    errors : sequence of SourceError
        Not empty.

    Returns
    -------
    SourceError
        Of the first one's kind and location.
    """
    if len(errors) == 1:
        return errors[0]
    named = "; ".join(error.message for error in errors[:MAX_NAMED])
    more = f"; and {len(errors) - MAX_NAMED:,} more" if len(errors) > MAX_NAMED else ""
    message = f"{len(errors):,} parts cannot be had, the others are fetched: {named}{more}"
    return SourceError(message, kind=errors[0].kind, location=errors[0].location)


def named(error: SourceError, path: str) -> SourceError:
    """The error of one part of a dataset, called by the part's name."""
    return SourceError(f"{path}: {error.message}", kind=error.kind, location=error.location)


def nothing_there(place: str, path: str, chunks: int) -> SourceError:
    """An array without a single chunk (law 9): publishers leave out what holds no data, but hardly all of it.

    Parameters
    ----------
    place : str
        Of the array, as people read it.
    path : str
        The array's.
    chunks : int
        That were wanted.
    """
    return SourceError(
        f"{place}: none of its {chunks:,} wanted chunks is there. Publishers leave out what holds no data, as beside "
        "the specimen, but an array or a box of nothing is more often a mistake: check the url, the crop, and how the "
        "chunks are named",
        location=path,
    )
