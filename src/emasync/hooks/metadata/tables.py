"""The flat table: columns, their types, CSV lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
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


_EMPTY: Final = dict.fromkeys(COLUMNS, "")
_IN_ORDER: Final = itemgetter(*COLUMNS)


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Lines of RFC 4180 (Any: values of the table's kinds); empty for unknown, ``true`` and ``false``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        writer.writerow(_IN_ORDER(_EMPTY | {name: _cell(value) for name, value in row.items()}))
    return text.getvalue()


def header_line() -> str:
    """The first line."""
    return ",".join(COLUMNS) + "\r\n"


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in _FORMULA else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _cell(SEPARATOR.join(value)) if isinstance(value, tuple | list) else value


def plain(value: object) -> object:
    """A list as one text, as typed tables have it, an empty one as nothing; anything else as it is."""
    return (SEPARATOR.join(value) or None) if isinstance(value, tuple | list) else value
