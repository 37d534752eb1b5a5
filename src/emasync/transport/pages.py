"""Pages of a listing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple


class ListedObject(NamedTuple):
    """One row of a listing: a tuple, because one is made for every object of a bucket.

    Attributes
    ----------
    key : str
        Whole key below the bucket.
    size_bytes : int
    etag : str or None
        With quotes, as in an answer's ETag header.
    last_modified : str or None
        As the listing gives it (ISO 8601 for S3 and GCS).
    """

    key: str
    size_bytes: int
    etag: str | None = None
    last_modified: str | None = None


def listed_objects(rows: Iterable[tuple[str, int, str | None, str | None]]) -> tuple[ListedObject, ...]:
    """Rows of a listing from tuples of their fields, without a call of ours for each."""
    return tuple(map(partial(tuple.__new__, ListedObject), rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page of a listing.

    Attributes
    ----------
    objects : tuple of ListedObject
        In key order (UTF-8 binary, as S3 lists).
    folders : tuple of str
        Common prefixes, with trailing delimiter.
    last : bool
        Whether the listing ends here.
    start_ignored : bool
        Whether the server answered with keys that were not asked for, because it does not know ``start-after``. They
        were dropped.
    """

    objects: tuple[ListedObject, ...]
    folders: tuple[str, ...] = ()
    last: bool
    start_ignored: bool = False
