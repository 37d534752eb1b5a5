"""Moments as sources tell them."""

from __future__ import annotations

from datetime import datetime


def wall_clock(text: object, form: str | None = None) -> datetime | None:
    """Read a moment as the clock on the wall showed it, to the second; None for what is no moment.

    A zone that stands with it is dropped and not applied: days and times in the names of sessions are local ones.

    Parameters
    ----------
    text : object
        ISO 8601, or as `form` says.
    form : str, optional
        Of :meth:`datetime.datetime.strptime`.
    """
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007 - local
    except ValueError:
        return None
    return found.replace(tzinfo=None, microsecond=0)
