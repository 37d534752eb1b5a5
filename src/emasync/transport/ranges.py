"""Byte ranges as RFC 9110, section 14, writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE)
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,19})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """``Content-Range: bytes start-last/total`` as a half-open span.

    Attributes
    ----------
    start, stop : int
        Half-open.
    total_bytes : int or None
        None for ``*``.
    """

    start: int
    stop: int
    total_bytes: int | None


def ask(start: int, stop: int | None) -> str:
    """Value of ``Range`` for a half-open span; `stop` None asks for all that follows (section 14.1.2)."""
    return f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"


def ask_tail(size_bytes: int) -> str:
    """Value of ``Range`` for the last bytes of an object: a suffix-range (section 14.1.2)."""
    return f"bytes=-{size_bytes}"


def parse_content_range(text: str | None) -> ContentRange | None:
    """Read ``Content-Range`` of a 206 (section 14.4); None when it is missing or makes no sense."""
    match = _CONTENT_RANGE.fullmatch((text or "").strip())
    if match is None:
        return None
    start, stop = int(match[1]), int(match[2]) + 1
    total_bytes = None if match[3] == "*" else int(match[3])
    if stop <= start or (total_bytes is not None and stop > total_bytes):
        return None
    return ContentRange(start, stop, total_bytes)


def parse_unsatisfied(text: str | None) -> int | None:
    """Object size in the ``Content-Range: bytes */N`` of a 416; None when it is not told."""
    match = _UNSATISFIED.fullmatch((text or "").strip())
    return int(match[1]) if match else None


def parse_length(text: str | None) -> int | None:
    """Read ``Content-Length`` (section 8.6); None when it is missing or makes no sense."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None  # noqa: PLR2004 - below 2^63
