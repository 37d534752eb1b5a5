"""Where a box lies in its array."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from emasync.hooks.report.boxes import LEAST, SIDE, box_pictures
from emasync.hooks.report.described import DescribedAsset, Statement
from emasync.hooks.report.extent import PRESENT

SHAPE = {"shape_z": 100, "shape_y": 200, "shape_x": 400}
START = {"box_start_z": 50, "box_start_y": 0, "box_start_x": 200}
BOX = SHAPE | START | {"box_shape_z": 50, "box_shape_y": 100, "box_shape_x": 200}


def asset(fields: Mapping[str, object]) -> DescribedAsset:
    return DescribedAsset(
        dataset="d", asset="d", fields={name: Statement(f"{value}", "header") for name, value in fields.items()}
    )


def painted(data: bytes) -> tuple[tuple[int, int], list[int]]:
    """Size of a picture, and the first and last row and column that are painted."""
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    rows, columns = np.nonzero((pixels == PRESENT).all(axis=-1))
    return pixels.shape[:2], [rows.min(), rows.max(), columns.min(), columns.max()]


def test_a_box_is_seen_along_z_and_along_y() -> None:
    along_z, along_y = box_pictures(asset(BOX))
    assert painted(along_z.data) == ((SIDE // 2, SIDE), [0, SIDE // 4 - 1, SIDE // 2, SIDE - 1])
    assert painted(along_y.data) == ((SIDE // 4, SIDE), [round(SIDE / 8), SIDE // 4 - 1, SIDE // 2, SIDE - 1])
    assert along_z.caption == "12.5 % of an array of 100 x 200 x 400 voxels"


@pytest.mark.parametrize("start", [0, 5, 500_000, 999_995])
def test_a_small_box_in_a_large_array_is_a_dot(start: int) -> None:
    sizes = dict.fromkeys(SHAPE, 1_000_000) | dict.fromkeys(START, start)
    sizes |= {name: 5 for name in BOX if name.startswith("box_shape")}
    for view in box_pictures(asset(sizes)):
        _, (upper, lower, left, right) = painted(view.data)
        assert (lower - upper + 1, right - left + 1) == (LEAST, LEAST)


@pytest.mark.parametrize(
    "change",
    [{"box_start_z": None}, {"shape_x": "many"}, {"shape_y": 0}, {"box_shape_y": -3}, {"shape_z": "1e9"}],
)
def test_what_is_not_known_is_not_drawn(change: Mapping[str, object]) -> None:
    assert box_pictures(asset({**BOX, **change})) == ()


def test_all_of_an_array_is_no_box() -> None:
    assert box_pictures(asset(SHAPE)) == ()
