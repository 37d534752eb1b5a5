"""ListObjectsV2 answers: read, bounded and checked (Amazon S3 API reference, "ListObjectsV2"; GCS speaks it too)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from itertools import islice
from operator import lt
from urllib.parse import quote, unquote_plus

from emasync.errors import RefusedError
from emasync.model.task import escape_for_log
from emasync.transport.interface import ListedObject, ListPage, listed_objects

PAGE_BYTES = 16 << 20
"""A page of 1,000 keys of 1,024 escaped bytes each, with all optional fields, is below 5 MiB."""

PAGE_KEYS = 1000
MAX_EMPTY_PAGES = 100
"""Pages without keys that may follow each other: servers skip over deleted keys, but not for ever."""

_RESULT = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>)?\s*<(?:\w+:)?ListBucketResult[\s>/]")
_END = re.compile(rb"(?:</(?:\w+:)?ListBucketResult|/)\s*>\s*$")
_USUAL_ROW = re.compile(
    r"<Contents>\s*+<Key>([^<]*+)</Key>\s*+(?:<(?:Generation|MetaGeneration)>[^<]*+</\w++>\s*+)*+"
    r"<LastModified>([^<]*+)</LastModified>\s*+<ETag>([^<]*+)</ETag>\s*+(?:<Checksum\w++>[^<]*+</\w++>\s*+)*+"
    r"<Size>([0-9]{1,19})</Size>"
)
_ROW = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)
_FIELD = re.compile(r"<(Key|LastModified|ETag|Size)>([^<]*)</")
_FOLDER = re.compile(r"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>")
_TOP = re.compile(r"<(IsTruncated|NextContinuationToken|EncodingType)>([^<]*)</")


@dataclass(frozen=True, slots=True)
class RawPage:
    """One answer, before it is checked against its neighbours.

    Attributes
    ----------
    objects : tuple of ListedObject
    folders : tuple of str
    truncated : bool
        Whether more pages follow.
    token : str or None
        Continuation token.
    """

    objects: tuple[ListedObject, ...]
    folders: tuple[str, ...]
    truncated: bool
    token: str | None


def is_listing(data: bytes) -> bool:
    """Whether a body is a ListBucketResult document."""
    return _RESULT.match(data[:1024]) is not None


def parse_page(data: bytes, name: str) -> RawPage:
    """Read one ListBucketResult.

    Scanned, not parsed as a tree: three times as fast, and entities and document types have no way in.

    Parameters
    ----------
    data : bytes
        At most :data:`PAGE_BYTES`.
    name : str
        Of the listing, for messages.

    Raises
    ------
    RefusedError
        Something else came, with a document type, or with rows that cannot be read.
    """
    if not is_listing(data):
        seen = escape_for_log(data[:120].decode("utf-8", "replace"))
        raise RefusedError(f"{name}: expected a ListBucketResult document, got {seen!r}", location=name)
    if _END.search(data[-256:]) is None:  # half a page would pass for all there is
        raise RefusedError(f"{name}: the listing breaks off after {len(data)} bytes; run again", location=name)
    if b"<!" in data:
        raise RefusedError(f"{name}: a listing with a document type or CDATA; refused", location=name)
    try:
        return _scan(data)
    except (KeyError, ValueError) as error:
        raise RefusedError(f"{name}: a listing row cannot be read ({error!r})", location=name) from error


def _scan(data: bytes) -> RawPage:
    text = data.decode("utf-8").replace("&quot;", '"')  # almost the only entity there is: around every ETag
    rows = _USUAL_ROW.findall(text)
    if len(rows) != text.count("<Contents>"):
        rows = [_unusual_row(row) for row in _ROW.findall(text)]
    if len(rows) != text.count("</Contents>") or (not rows and ":Contents>" in text):  # better no page than fewer rows
        raise ValueError("not every <Contents> can be read")
    first, last = text.find("<Contents>"), text.rfind("</Contents>")
    top = dict(_TOP.findall(text if first < 0 else text[:first] + text[last:]))
    escaped = top.get("EncodingType") == "url"
    return RawPage(
        objects=_objects(rows, escaped=escaped, entities="&" in text),
        folders=tuple(_decoded(_FOLDER.findall(text) if "<CommonPrefixes>" in text else [], escaped=escaped)),
        truncated=top.get("IsTruncated") == "true",
        token=unescape(top.get("NextContinuationToken", "")) or None,
    )


def _objects(rows: list[tuple[str, str, str, str]], *, escaped: bool, entities: bool) -> tuple[ListedObject, ...]:
    """Rows of key, date, ETag and size, column by column."""
    if not rows:
        return ()
    keys, dates, etags, sizes = zip(*rows, strict=True)
    if entities:
        etags = tuple(map(unescape, etags))
    said = (
        [etags, dates]
        if all(etags) and all(dates)
        else [[text or None for text in column] for column in (etags, dates)]
    )
    columns = zip(_decoded(list(keys), escaped=escaped), map(int, sizes), *said, strict=True)
    return listed_objects(columns)


def _unusual_row(row: str) -> tuple[str, str, str, str]:
    """Key, date, ETag and size of a row whose elements come in another order, or not all."""
    fields = dict(_FIELD.findall(row))
    size = fields["Size"].strip()
    if not (size.isascii() and size.isdigit()) or len(size) > 19:  # noqa: PLR2004 - below 2^63
        raise ValueError(f"size {size[:40]!r}")
    return fields["Key"], fields.get("LastModified", ""), fields.get("ETag", ""), size


def _decoded(texts: list[str], *, escaped: bool) -> list[str]:
    """Keys without XML entities and, where the answer says so, without URL escapes."""
    if any("&" in text for text in texts):
        texts = [unescape(text) for text in texts]
    if not escaped or not texts:
        return texts
    together = unquote_plus("\n".join(texts), errors="strict").split("\n")  # one call: a fifth of the time
    return together if len(together) == len(texts) else [unquote_plus(text, errors="strict") for text in texts]


@dataclass(slots=True)
class Cursor:
    """Where a listing stands; asks for the next page and checks what came (law 14).

    Attributes
    ----------
    name : str
        Of the listing, for messages.
    prefix : str
        Raw key prefix on the wire.
    start_after : str or None
        Servers that do not know it, or take it for the first key that is wanted, answer with more: that is dropped.
    delimiter : str or None
    page_keys : int
        Most keys a page.
    """

    name: str
    prefix: str
    start_after: str | None = None
    delimiter: str | None = None
    page_keys: int = PAGE_KEYS
    _token: str | None = None
    _last_key: str = ""
    _last_folder: str = ""
    _empty_pages: int = 0
    _floor: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._floor = self.start_after or ""

    def query(self) -> str:
        """Query of the next page, sorted by name and escaped as signing needs it."""
        fields = {"encoding-type": "url", "list-type": "2", "max-keys": str(self.page_keys), "prefix": self.prefix}
        if self.delimiter:
            fields["delimiter"] = self.delimiter
        if self._token is not None:
            fields["continuation-token"] = self._token
        elif self.start_after is not None:
            fields["start-after"] = self.start_after
        return "&".join(f"{name}={quote(value, safe='-._~')}" for name, value in sorted(fields.items()))

    def take(self, page: RawPage) -> ListPage:
        """Check a page against what was asked for and what came before.

        Raises
        ------
        RefusedError
            Keys outside of the prefix or out of order, or a listing that does not move on.
        """
        self._check_order(page)
        if page.truncated:
            self._move_on(page)
        objects = page.objects
        ignored = bool(objects and self._floor and objects[0].key < self._floor)
        if objects and objects[0].key <= self._floor:
            objects = tuple(item for item in objects if item.key > self._floor)
        return ListPage(objects=objects, folders=page.folders, last=not page.truncated, start_ignored=ignored)

    def _check_order(self, page: RawPage) -> None:
        if page.objects:
            self._check_keys([item.key for item in page.objects])
        folder = self._last_folder
        for name in page.folders:
            if not name.startswith(self.prefix) or not name.endswith(self.delimiter or "/") or name <= folder:
                raise self._refused(
                    f"folder {escape_for_log(name)!r} is outside of prefix {self.prefix!r} or out of order"
                )
            folder = name
        self._last_folder = folder

    def _check_keys(self, keys: list[str]) -> None:
        """In order, behind the last one, and below the prefix: in order, all are where the first and the last are."""
        before = self._last_key
        ends_below = keys[0].startswith(self.prefix) and keys[-1].startswith(self.prefix)
        if not (ends_below and (keys[0] > before or not before) and all(map(lt, keys, islice(keys, 1, None)))):
            for key in keys:
                if not key.startswith(self.prefix):
                    raise self._refused(f"key {escape_for_log(key)!r} is outside of prefix {self.prefix!r}")
                if key <= before and before:
                    raise self._refused(f"key {escape_for_log(key)!r} comes after {escape_for_log(before)!r}")
                before = key
        self._last_key = keys[-1]

    def _move_on(self, page: RawPage) -> None:
        self._empty_pages = 0 if page.objects or page.folders else self._empty_pages + 1
        stuck = page.token is not None and page.token == self._token
        if stuck or self._empty_pages > MAX_EMPTY_PAGES or (page.token is None and self._empty_pages):
            raise self._refused("says that more follows, but does not move on")
        self._token = page.token
        if page.token is None:  # servers that only know start-after
            self.start_after = max(self._last_key, self._last_folder)

    def _refused(self, reason: str) -> RefusedError:
        return RefusedError(f"listing of {self.name}: {reason}; refused", location=self.name)
