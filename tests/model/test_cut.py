"""``boxes.json`` has one reader: rows that can be read are, others are passed over."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from emasync.model.cut import BOXES_VERSION, Cut, read_cuts
from emasync.model.geometry import Box

BOX: dict[str, Any] = {"start": [1, 2], "shape": [3, 4]}
HULL: dict[str, Any] = {"start": [0, 0], "shape": [8, 8]}
CUT = Cut(level=2, box=Box.from_shape((1, 2), (3, 4)), hull=Box.from_shape((0, 0), (8, 8)))


def document(*arrays: object, image: str = "a.zarr/em", **more: object) -> bytes:
    return orjson.dumps({"version": BOXES_VERSION, "images": {image: {"arrays": arrays}}, **more})


def row(path: str = "em/s0", **more: object) -> dict[str, object]:
    return {"path": path, "level": 2, "box": BOX, "hull": HULL, **more}


def test_an_array_is_found_by_its_path_below_the_dataset() -> None:
    assert read_cuts(document(row()))["a.zarr/em/s0"] == CUT
    assert read_cuts(document(row("s0"), image="#1"))["s0"] == CUT
    assert read_cuts(document(row(""), image="x.n5"))["x.n5"] == CUT
    assert "em/s0" not in read_cuts(document(row()))


@pytest.mark.parametrize(
    "broken",
    [
        {"path": "em/s1"},
        row("em/s1", box={"start": [1]}),
        row("em/s1", level="two"),
        row("em/s1", hull={"start": [0, 0], "shape": "many"}),
        "em/s1",
        None,
    ],
)
def test_a_row_that_cannot_be_read_is_passed_over_and_the_others_are_read(broken: object) -> None:
    assert set(read_cuts(document(broken, row()))) == set(read_cuts(document(row())))


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"[",
        b"[]",
        b"{}",
        orjson.dumps({"version": BOXES_VERSION + 1, "images": {"a": {"arrays": [row()]}}}),
        orjson.dumps({"version": BOXES_VERSION, "images": []}),
        orjson.dumps({"version": BOXES_VERSION, "images": {"a": {"arrays": {"path": "a"}}, "b": None}}),
    ],
)
def test_a_document_that_is_none_tells_nothing(data: bytes | None) -> None:
    assert read_cuts(data) == {}
