"""Markdown out of strangers' texts: nothing in them is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
_SHOWN: Final = 160


def plain(value: object, most: int = _SHOWN) -> str:
    """A value as text in a table: one line, escaped, bounded; a dash for nothing."""
    if value is None or value in ("", ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        value = ", ".join(str(item) for item in value)
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    short = text if len(text) <= most else text[:most] + "..."
    return _MARKS.sub(r"\\\1", short)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines of a table (GitHub Flavored Markdown, section 4.10)."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' for _ in header)}|"
    for row in rows:
        yield f"| {' | '.join(plain(cell) for cell in row)} |"
    yield ""
