"""The flat tables: any text survives them, and no cell is run."""

from __future__ import annotations

import csv
import io
from typing import Any

import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.hooks.metadata.parquet import ROWS_A_GROUP, ParquetRows
from emasync.hooks.metadata.tables import COLUMNS, LISTS, csv_text, header_line

TEXTS = [name for name, dtype in COLUMNS.items() if dtype == "string" and not name.endswith("_source")]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["=1+1", '"', "a,b", "\r\n", "%s", "@x"]),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


def row() -> st.SearchStrategy[dict[str, Any]]:
    """A row that knows some columns, in any order."""

    def values(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        found = {}
        for name in ("dataset_id", "asset_id", *names):
            value = VALUES[COLUMNS[name]]
            found[name] = st.lists(VALUES["string"], max_size=3).map(tuple) if name in LISTS else value
        return st.fixed_dictionaries(found)

    plain = [name for name in COLUMNS if not name.endswith("_source")]
    return st.lists(st.sampled_from(plain), unique=True, max_size=12).flatmap(values)


def spelled(value: object) -> str:
    """How a cell is to be read."""
    if isinstance(value, tuple):
        value = "; ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value}"
    return f"'{text}" if isinstance(value, str) and text[:1] in tuple("=+-@\t\r") else text


@settings(max_examples=60, deadline=None)
@given(st.lists(row(), max_size=4))
def test_any_value_comes_back_from_the_csv_and_formulas_have_an_apostrophe(rows: list[dict[str, Any]]) -> None:
    text = header_line() + csv_text(rows)
    found = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert found == [{name: spelled(one[name]) if name in one else "" for name in COLUMNS} for one in rows]
    assert all(
        float(line[name]) == one[name]
        for line, one in zip(found, rows, strict=True)
        for name in one
        if COLUMNS[name] == "float64"
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(row(), min_size=1, max_size=4))
def test_any_value_comes_back_from_the_parquet_table(rows: list[dict[str, Any]]) -> None:
    file = io.BytesIO()
    table = ParquetRows(file)
    for one in rows:
        table.add([one])
    table.close()
    found = pq.read_table(file).to_pylist()
    assert found == [{name: typed(one.get(name)) for name in COLUMNS} for one in rows]


def typed(value: object) -> object:
    """Lists are one text; an empty one is nothing."""
    return ("; ".join(value) or None) if isinstance(value, tuple) else value


def test_memory_holds_one_group_of_rows() -> None:
    file = io.BytesIO()
    table = ParquetRows(file)
    for number in range(ROWS_A_GROUP + 1):
        table.add([{"dataset_id": "d", "asset_id": f"{number}"}])
    table.close()
    told = pq.ParquetFile(file)
    assert [told.metadata.row_group(number).num_rows for number in range(told.num_row_groups)] == [ROWS_A_GROUP, 1]
