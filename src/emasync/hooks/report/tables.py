"""Tables with header cells that say what they head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from xml.etree.ElementTree import Element

from emasync.hooks.report.markup import Child, fitting, tag

MOST_TABLE_BYTES: Final = 768 << 10
"""Of a table, as it is written: some thousand rows."""


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    numbers: Sequence[int] = (),
    more: int = 0,
    most_bytes: int = MOST_TABLE_BYTES,
) -> Element:
    """A table whose first column names the row; it says how many rows it has no room for.

    Parameters
    ----------
    caption : str
    heads : sequence of str
    rows : iterable of sequence of children
    numbers : sequence of int
        Columns of numbers, aligned to the right.
    more : int
        Rows that there are beside these.
    most_bytes : int
        As it is written.
    """
    right = frozenset(numbers)
    shown, left = fitting((_row(cells, right) for cells in rows), most_bytes)
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", [_head(text, at in right) for at, text in enumerate(heads)])),
            tag("tbody", shown),
        ),
        tag("p", f"and {left + more:,} more") if left + more else None,
        class_="wide",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _head(text: str, number: bool) -> Element:  # noqa: FBT001 - of one column
    return tag("th", text, scope="col", class_="number" if number else None)


def _row(cells: Sequence[Child], right: frozenset[int]) -> Element:
    first, *rest = cells
    others = [tag("td", cell, class_="number" if at in right else None) for at, cell in enumerate(rest, 1)]
    return tag("tr", tag("th", first, scope="row", class_="number" if 0 in right else None), others)


def facts(pairs: Iterable[tuple[str, Child]]) -> Element:
    """Names and what they are, those without a value left out."""
    return tag(
        "dl", [(tag("dt", name), tag("dd", value)) for name, value in pairs if value is not None and value != ""]
    )
