"""HTML out of elements, never out of text: what a publisher wrote can only become text.

Elements are those of :mod:`xml.etree.ElementTree`, whose HTML writer escapes all text and all attributes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Final, TypeAlias
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = "Element | str | int | Iterable[Child] | None"
"""None is left out; lists are taken apart."""

LONGEST_TEXT: Final = 2_000
"""Characters of one text; the rest is cut off, visibly."""

_UNSHOWN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""What has no glyph, or turns the direction of what follows it (Unicode TR 36, section 2.5)."""

_WHOLE: Final = frozenset(("src", "content"))
"""Attributes that are never cut: they are ours."""


def tag(name: str, /, *children: Child, **attributes: str | None) -> Element:
    """An element.

    Parameters
    ----------
    name : str
    *children : str, int, Element, None or iterable of those
    **attributes : str or None
        ``class_`` is ``class``, other underscores are hyphens; None is left out.
    """
    element = Element(name)
    for key, value in attributes.items():
        if value is not None:
            element.set(key.rstrip("_").replace("_", "-"), shown(value) if key in _WHOLE else cut(shown(value)))
    _fill(element, children)
    return element


def _fill(element: Element, children: Iterable[Child]) -> None:
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif isinstance(child, str | int):
            _add_text(element, cut(shown(child)))
        elif child is not None:
            _fill(element, child)


def _add_text(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def shown(value: str | int) -> str:
    """A text as it is shown: whole numbers with separators, no invisible characters."""
    return f"{value:,}" if isinstance(value, int) else _UNSHOWN.sub("\ufffd", value)


def cut(text: str, limit: int = LONGEST_TEXT) -> str:
    """A text of bounded length."""
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def fitting(elements: Iterable[Element], most_bytes: int) -> tuple[list[Element], int]:
    """Elements from the first on as long as there is room for them, and how many there are beside them.

    Parameters
    ----------
    elements : iterable of Element
    most_bytes : int
        As they are written.
    """
    kept: list[Element] = []
    left = 0
    for element in elements:
        if left == 0 and (most_bytes := most_bytes - len(tostring(element, "utf-8", method="html"))) >= 0:
            kept.append(element)
        else:
            left += 1
    return kept, left


def link(url: str, text: str | None = None) -> Element | str:
    """A link to a page of the web, which learns nothing of this one; anything but http and https stays text."""
    label = url if text is None else text
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https") or len(url) > LONGEST_TEXT:
        return label
    return tag("a", label, href=url, rel="noreferrer noopener")


def data_uri(kind: str, data: bytes) -> str:
    """A resource inside the page (RFC 2397)."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def document(title: str, style: str, body: Iterable[Child], *, inputs: str) -> bytes:
    """The page: it loads nothing, runs nothing and sends nothing, whatever is in it.

    Parameters
    ----------
    title : str
    style : str
        The one style sheet; the policy names it by its digest (Content Security Policy 3, section 2.3.1).
    body : iterable of children
    inputs : str
        Digest of what the page was made from.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    sheet = Element("style")
    sheet.text = style  # as it is: the writer leaves style sheets alone, and this one is ours
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name=INPUTS, content=inputs),
        tag("title", title),
        sheet,
    )
    page = tag("html", head, tag("body", body), lang="en")
    text: str = tostring(page, encoding="unicode", method="html")
    return f"<!doctype html>\n{text}\n".encode()


INPUTS: Final = "emasync-inputs"


def inputs_of(beginning: bytes) -> str | None:
    """The digest in the first kilobytes of a page, if it is one of ours."""
    found = re.search(rb'<meta name="%b" content="([0-9a-f]{64})">' % INPUTS.encode(), beginning)
    return None if found is None else found[1].decode()
