"""The flat table: columns, their types, CSV lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
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

SEPARATOR: Final = "; "
"""Between the items of a list."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""Texts that begin so are run by spreadsheets; they get an apostrophe in front."""


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Lines of RFC 4180 (Any: values of the table's kinds); empty for unknown, ``true`` and ``false``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_cell(row.get(name)) for name in COLUMNS] for row in rows)
    return text.getvalue()


def header_line() -> str:
    """The first line."""
    return ",".join(COLUMNS) + "\r\n"


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        value = SEPARATOR.join(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def plain(value: object) -> object:
    """A value as typed tables have it: lists as text."""
    return SEPARATOR.join(value) if isinstance(value, tuple | list) else value
