"""Notes about origins: what goes in comes out, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emasync.transport.remembered import MOST_ORIGINS, Remembered, as_note, from_note


def test_there_and_back() -> None:
    found = {"s3://b": Remembered(96, 1234567.8)}
    before = {"s3://b": Remembered(16, 1.0), "https://x": Remembered(8, 5.0)}
    note = json.loads(json.dumps(as_note(found, before)))
    assert from_note(note) == {"s3://b": Remembered(96, 1234568.0), "https://x": Remembered(8, 5.0)}


def test_the_newest_stay() -> None:
    before = {f"https://old{number}": Remembered(1, 0.0) for number in range(MOST_ORIGINS)}
    note = as_note({"https://new": Remembered(2, 0.0)}, before)
    assert len(note) == MOST_ORIGINS
    assert next(iter(note)) == "https://new"


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        "8",
        {},
        {"limit": 8},
        {"limit": 0, "goodput": 1},
        {"limit": 2000, "goodput": 1},
        {"limit": 8.5, "goodput": 1},
        {"limit": True, "goodput": 1},
        {"limit": 8, "goodput": -1},
        {"limit": 8, "goodput": float("inf")},
        {"limit": 8, "goodput": float("nan")},
        {"limit": 8, "goodput": "fast"},
        {"limit": 8, "goodput": True},
    ],
)
def test_what_makes_no_sense_is_left_out(row: Any) -> None:
    good = {"limit": 8, "goodput": 5}
    assert from_note({"https://odd": row, "https://x": good, "n" * 301: good}) == {"https://x": Remembered(8, 5.0)}


def test_no_note_and_a_note_without_end() -> None:
    assert from_note(None) == {}
    assert len(from_note({f"https://{n}": {"limit": 8, "goodput": 5} for n in range(1000)})) == MOST_ORIGINS
