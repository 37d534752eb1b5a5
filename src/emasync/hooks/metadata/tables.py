"""The flat table: columns, their types, CSV lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Literal

from emasync.hooks.metadata.fields import FIELDS, Kind

Dtype = Literal["string", "Int64", "float64", "boolean"]

_DTYPES: Final[Mapping[Kind, Dtype]] = {
    "text": "string",
    "texts": "string",
    "integer": "Int64",
    "number": "float64",
    "boolean": "boolean",
}

COLUMNS: Final[Mapping[str, Dtype]] = {
    **{
        name: dtype
        for field in FIELDS
        for name, dtype in (
            (field.name, _DTYPES[field.kind]),
            *(((f"{field.name}_source", "string"),) if field.sourced else ()),
        )
    },
    "n_conflicts": "Int64",
    "conflicts": "string",
    "n_notes": "Int64",
}
"""Names and pandas types of all columns, in their order."""

LISTS: Final = frozenset((*(field.name for field in FIELDS if field.kind == "texts"), "conflicts"))
"""Columns of lists."""

SEPARATOR: Final = "; "
"""Between the items of a list."""

_FORMULA: Final = frozenset("=+-@\t\r")
"""Texts that begin so are run by spreadsheets; they get an apostrophe in front."""


_SPELLED: Final = LISTS | {field.name for field in FIELDS if field.kind in ("text", "boolean")}
"""Columns that are not written as they are: strangers' texts, lists, truth. Sources are words of ours."""

_QUOTED: Final = frozenset('",\r\n')
_ODD: Final = re.compile(r'^[=+\-@\t\r]|[",\r\n]')
"""Texts that need more than to be written: formulas and quotes are rare."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How rows that know the same columns are written; nearly all columns of a row are empty.

    Attributes
    ----------
    template : str
        A line, with a place for each column that is known.
    cells : callable
        Values of these, in their order.
    spelled : tuple of str
        Those of them that are not written as they are.
    """

    template: str
    cells: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    spelled: tuple[str, ...]

    def line(self, row: Mapping[str, Any]) -> str:
        """One line (Any: values of the table's kinds)."""
        written = dict(row)
        for name in self.spelled:
            written[name] = _cell(written[name])
        return self.template % self.cells(written)


@lru_cache(maxsize=1024)
def _form(names: tuple[str, ...]) -> _Form:
    known = [name for name in COLUMNS if name in names]
    line = ",".join("%s" if name in names else "" for name in COLUMNS)
    return _Form(f"{line}\r\n", itemgetter(*known), tuple(name for name in known if name in _SPELLED))


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Lines of RFC 4180 (Any: values of the table's kinds); empty for unknown, ``true`` and ``false``."""
    return "".join([_form(tuple(row)).line(row) for row in rows])


def header_line() -> str:
    """The first line."""
    return ",".join(COLUMNS) + "\r\n"


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value if _ODD.search(value) is None else _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _cell(SEPARATOR.join(value)) if isinstance(value, tuple | list) else f"{value}"


def _quoted(text: str) -> str:
    """RFC 4180, section 2, rules 5 to 7."""
    safe = f"'{text}" if text[:1] in _FORMULA else text
    return safe if _QUOTED.isdisjoint(safe) else '"' + safe.replace('"', '""') + '"'


def plain(value: object) -> object:
    """A list as one text, as typed tables have it, an empty one as nothing; anything else as it is."""
    return (SEPARATOR.join(value) or None) if isinstance(value, tuple | list) else value
