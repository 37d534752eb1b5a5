"""No fault, kind of request or way is forgotten: each cell of the table is tried, or says why it is not."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tests.faults.table import CELLS, ROWS, WAYS, Row, page

from emasync.testing.selftest.matrix import ALL_DAYS, OPTIONS
from emasync.testing.selftest.program import EXTENTS

TESTS = Path(__file__).resolve().parents[1]
DAYS = {day.name for day in ALL_DAYS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_each_cell_is_tried_or_says_why_not(row: Row) -> None:
    assert row.days or row.proofs
    for cell in CELLS:
        assert cell in row.tried or row.reason(cell), f"{row.fault}: {cell} is forgotten"
    said = {name for name in row.reasons if name != "*"}
    stale = {name for name in said if all(cell in row.tried for cell in CELLS if name in cell)}
    assert not stale, "a reason for what is tried"
    assert "*" not in row.reasons or not row.tried


def test_each_bad_day_is_some_fault_and_all_of_them_are_tried_on_demand() -> None:
    named = Counter(day for row in ROWS for day in row.days)
    assert set(named) == DAYS
    assert set(named.values()) == {1}
    full = EXTENTS["full"]
    assert {day.name for day in full.days} == DAYS
    assert set(full.ways) == set(WAYS) == set(OPTIONS)
    assert set(full.often) == {"once", "always"}


@pytest.mark.parametrize("test", sorted({proof.test for row in ROWS for proof in row.proofs}))
def test_what_is_named_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in functions(TESTS / path)


@cache
def functions(path: Path) -> frozenset[str]:
    nodes = ast.parse(path.read_text()).body
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_page_is_what_the_table_says() -> None:
    found = (TESTS.parent / "docs" / "faults.md").read_text()
    assert found == page(), "python -m tests.faults.table > docs/faults.md"
