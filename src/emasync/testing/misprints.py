"""Documents of listings and APIs that break off nowhere and yet cannot be right: rows twice, pages without end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode

import orjson

from emasync.testing.listing import from_token, to_token
from emasync.testing.messages import Asked

Misprint = Literal["doubled", "backwards", "same_page", "endless", "deep", "mistyped"]
"""What is wrong with a document.

- ``doubled``: each row comes twice.
- ``backwards``: rows in the opposite order.
- ``same_page``: the next page is this one.
- ``endless``: no rows, and always another page.
- ``deep``: lists in lists, of JSON; a listing in XML is left as it is.
- ``mistyped``: texts where numbers belong and the reverse, of JSON; sizes that are words, of XML.
"""

DEEP: Final = 100_000

_ROW = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_MORE = re.compile(rb"<IsTruncated>.*?</IsTruncated>|<NextContinuationToken>.*?</NextContinuationToken>")
_TOP_END = b"</MaxKeys>"
_FIRST_PAGE = 1


def misprinted(document: bytes, how: Misprint, asked: Asked) -> bytes:
    """Spoil a page of an S3 listing (ListBucketResult) or an answer of an API in JSON; others are left as they are.

    Parameters
    ----------
    document : bytes
    how : Misprint
    asked : Asked
        What it answers: pages that come again are named after it.
    """
    query = dict(parse_qsl(asked.query, keep_blank_values=True))
    if b"<ListBucketResult" in document:
        return _XML[how](document, query)
    if document[:1] in (b"{", b"["):
        return _json(document, how, asked, query)
    return document


# --- listings in XML ------------------------------------------------------------------------------------------------


def _doubled(document: bytes, _query: Mapping[str, str]) -> bytes:
    return _ROW.sub(lambda row: row[0] * 2, document)


def _backwards(document: bytes, _query: Mapping[str, str]) -> bytes:
    rows = iter(_ROW.findall(document)[::-1])
    return _ROW.sub(lambda _row: next(rows), document)


def _same_page(document: bytes, query: Mapping[str, str]) -> bytes:
    return _leading_to(document, to_token(query.get("prefix", "")))


def _endless(document: bytes, query: Mapping[str, str]) -> bytes:
    token = query.get("continuation-token")
    floor = from_token(token) if token else query.get("prefix", "")
    return _leading_to(_ROW.sub(b"", document), to_token(floor + "\0"))


def _mistyped(document: bytes, _query: Mapping[str, str]) -> bytes:
    return re.sub(rb"<Size>.*?</Size>", b"<Size>large</Size>", document)


def _leading_to(document: bytes, token: str) -> bytes:
    """The page, truncated, with `token` for the next one."""
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>".encode()
    return _MORE.sub(b"", document).replace(_TOP_END, _TOP_END + more, 1)


_XML: Final[Mapping[Misprint, Callable[[bytes, Mapping[str, str]], bytes]]] = {
    "doubled": _doubled,
    "backwards": _backwards,
    "same_page": _same_page,
    "endless": _endless,
    "deep": lambda document, _query: document,
    "mistyped": _mistyped,
}


# --- answers in JSON ------------------------------------------------------------------------------------------------


def _json(document: bytes, how: Misprint, asked: Asked, query: Mapping[str, str]) -> bytes:
    if how == "deep":
        return b"[" * DEEP + b"]" * DEEP
    value: Any = orjson.loads(document)  # Any: JSON
    if how == "mistyped":
        return orjson.dumps(_other_types(value))
    if not isinstance(value, dict) or "results" not in value:
        return document
    return orjson.dumps(value | _paged(value["results"], how, asked, query))


def _paged(rows: list[Any], how: Misprint, asked: Asked, query: Mapping[str, str]) -> dict[str, Any]:
    """What becomes of a page's rows, and of the page that follows (Any: JSON)."""
    if how == "doubled":
        return {"results": [row for row in rows for _ in range(2)]}
    if how == "backwards":
        return {"results": rows[::-1]}
    page = int(query.get("page", _FIRST_PAGE))
    following = urlencode({**query, "page": page if how == "same_page" else page + 1})
    place = f"http://{asked.headers.get('host', '')}{asked.path}?{following}"
    return {"next": place, **({"results": []} if how == "endless" else {})}


def _other_types(value: Any) -> Any:
    """Any: JSON."""
    if isinstance(value, dict):
        return {name: _other_types(item) for name, item in value.items()}
    if isinstance(value, list):
        return {str(number): _other_types(item) for number, item in enumerate(value)}
    return 7 if isinstance(value, str) else [value]
