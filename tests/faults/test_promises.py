"""Each promise names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "docs" / "promises.md").read_text()
NAMED = sorted(set(re.findall(r"`([a-z_/]+/test_[a-z_]+\.py)::(test_\w+)`", TEXT)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_is_there_and_runs_by_default(path: str, name: str) -> None:
    nodes = ast.parse((TESTS / path).read_text()).body
    (found,) = [
        node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    marks = [ast.unparse(decorator) for decorator in found.decorator_list]
    assert not [
        mark for mark in marks if mark.startswith(("pytest.mark.soak", "pytest.mark.skip", "pytest.mark.network"))
    ]


def test_every_promise_has_a_proof() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith(("| promise", "|---"))]
    assert len(rows) >= 25
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4, row
        assert re.search(r"::test_\w+`", cells[3]), row
