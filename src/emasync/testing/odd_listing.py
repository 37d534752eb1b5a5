"""One bucket that lists as some servers do: start-after ignored, misread or refused, short pages, no tokens, no order.

An :class:`~emasync.testing.site.App`: it answers ListObjectsV2 of its bucket, and counts what it was asked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl
from zlib import crc32

from emasync.testing import listing
from emasync.testing.content import XML, error
from emasync.testing.messages import Answer, Asked, of_bytes
from emasync.testing.objects import EPOCH_S, Listed, md5_tag

BUCKET = "odd"

BEHIND_ALL = "\U0010ffff" * 9
SKIPPED = 2
"""Keys that a server leaves out that skips some."""


class Start(StrEnum):
    """What a server makes of ``start-after``."""

    AFTER = "after"
    """What Amazon does."""
    AT = "at"
    """The key itself comes along."""
    IGNORED = "ignored"
    REFUSED = "refused"
    """400."""
    SKIPS = "skips"
    """Some keys behind it are left out: of a server that reads escapes twice, say."""
    EMPTY = "empty"
    """Nothing comes."""


@dataclass(slots=True)
class OddListing:
    """A bucket of keys and its manners (mutable: tests bend it).

    Attributes
    ----------
    keys : list of str
        In the order of the listing.
    order : callable
        What it sorts by: code points, which is the order of UTF-8 bytes, unless a test wants another.
    page_keys : sequence of int
        Most rows of a page: which of them, its first key decides, so that all who ask get the same; 0 for none.
    start : Start
    tokens : bool
        Whether truncated pages name a continuation token.
    repeats : bool
        The last row of a page is the first of the next one, too.
    before_page : callable or None
        Called before each page: a bucket that changes meanwhile.
    asked : Counter
        Requests by what they begin with: ``beginning``, ``token``, ``start-after``, ``folders``.
    """

    keys: list[str] = field(default_factory=list)
    order: Callable[[str], bytes] = str.encode
    page_keys: Sequence[int] = (listing.PAGE_LIMIT,)
    start: Start = Start.AFTER
    tokens: bool = True
    repeats: bool = False
    before_page: Callable[[], None] | None = None
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, asked: Asked) -> Answer | None:
        """See :class:`~emasync.testing.site.App`."""
        if asked.key.rstrip("/") != BUCKET or "list-type=2" not in asked.query:
            return None
        query = dict(parse_qsl(asked.query, keep_blank_values=True))
        if self.before_page is not None:
            self.before_page()
        if "delimiter" in query:
            self.asked["folders"] += 1
            return self._xml(query, self._page(query, self._floor(query), listing.PAGE_LIMIT))
        floor = self._floor(query)
        if floor is None:
            return error(asked, 400, "InvalidArgument", "start-after is not understood")
        limit = self.page_keys[crc32(floor.encode()) % len(self.page_keys)]
        return self._xml(query, self._page(query, floor, limit))

    def _floor(self, query: Mapping[str, str]) -> str | None:
        """Smallest key of the page; None: the request is refused."""
        if token := query.get("continuation-token"):
            self.asked["token"] += 1
            return listing.from_token(token)
        after = query.get("start-after")
        self.asked["beginning" if after is None else "start-after"] += 1
        if after is None or self.start is Start.IGNORED:
            return ""
        behind = bisect_left(self.keys, f"{after}\0") + SKIPPED
        floors: dict[Start, str | None] = {
            Start.AT: after,
            Start.REFUSED: None,
            Start.EMPTY: BEHIND_ALL,
            Start.SKIPS: self.keys[behind] if behind < len(self.keys) else BEHIND_ALL,
        }
        return floors.get(self.start, f"{after}\0")

    def _page(self, query: Mapping[str, str], floor: str | None, limit: int) -> listing.Page:
        prefix, floor = query.get("prefix", ""), floor or ""
        if limit == 0 and max(floor, prefix) not in self.keys:
            more = any(key.startswith(prefix) and self.order(key) > self.order(floor) for key in self.keys)
            return listing.Page((), (), max(floor, prefix) + "\0" if more else None, "")
        page = listing.page_of(
            self._scan, prefix=prefix, floor=floor, delimiter=query.get("delimiter", ""), limit=max(1, limit)
        )
        if self.repeats and page.resume is not None and page.objects:
            return listing.Page(page.objects, page.folders, page.objects[-1].key, page.last_name)
        return page

    def _scan(self, floor: str) -> Iterator[Listed]:
        for key in [key for key in self.keys if self.order(key) >= self.order(floor)]:
            yield Listed(key, 1, EPOCH_S, md5_tag(key.encode()))

    def _xml(self, query: Mapping[str, str], page: listing.Page) -> Answer:
        document = listing.s3_xml(BUCKET, query, page, listing.PAGE_LIMIT, google=False)
        if not self.tokens:
            document = document.replace(b"NextContinuationToken>", b"Unknown>")
        return of_bytes(200, XML, document)
