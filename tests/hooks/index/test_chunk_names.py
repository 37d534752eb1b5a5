"""Many names at once give the numbers that one name at a time gives, whatever the names are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.hooks.index.chunk_names import NO_CHUNK, Names, numbers_at
from emasync.model.grid import ChunkGrid, VoxelGrid

AXES = st.integers(0, 4)
ODD = st.sampled_from(["", "01", "+1", "-1", "1e3", " 1", "\u0661", "c", "9" * 30, "1.", ".zarray", "zarr.json", "0x1"])


@st.composite
def grids(draw: Any) -> ChunkGrid:
    count = draw(AXES)
    lengths = st.lists(st.integers(1, 12), min_size=count, max_size=count)
    return ChunkGrid(
        start=tuple(draw(st.lists(st.integers(0, 1200), min_size=count, max_size=count))),
        shape=tuple(draw(lengths)),
        prefix=draw(st.sampled_from(["", "s0/", "a/b.c/"])),
        encoding=draw(st.sampled_from(["default", "v2", "n5"])),
        separator=draw(st.sampled_from(["/", "."])),
        rebase=draw(st.booleans()),
    )


@given(grids(), st.data())
def test_as_one_by_one(grid: ChunkGrid, data: st.DataObject) -> None:
    known = [grid.destination(number) for number in range(min(len(grid), 200))]
    others = [
        *known,
        *(
            grid.prefix + grid.separator.join(part)
            for part in data.draw(st.lists(st.lists(ODD, max_size=4), max_size=3))
        ),
        *data.draw(st.lists(st.sampled_from([*known, grid.prefix, "x"]), max_size=3)),
        *(f"{name}{grid.separator}0" for name in known[:1]),
    ]
    for names in (known, data.draw(st.permutations(others))):
        expected = [NO_CHUNK if (found := grid.number_at(name)) is None else found for name in names]
        assert numbers_at(grid, Names.of(names)).tolist() == expected


@pytest.mark.parametrize("outside", ["2.0", "0.3", "1.99999999999999999999"])
def test_what_lies_beside_the_grid_is_no_chunk(outside: str) -> None:
    grid = ChunkGrid(start=(0, 0), shape=(2, 3), prefix="")
    assert numbers_at(grid, Names.of(["1.2", outside, "0.0"])).tolist() == [5, NO_CHUNK, 0]


@pytest.mark.parametrize("first", [0, 7, -5])
def test_names_that_say_voxels(first: int) -> None:
    origin = (0, 3, first)
    grid = VoxelGrid(start=(1, 0, 0), shape=(1, 2, 2), prefix="8/", chunk=(8, 8, 8), origin=origin, size=(16, 12, 12))
    known = [grid.destination(number) for number in range(len(grid))]
    odd = ["8/x", known[0] + "_", known[0].replace("_", "-"), known[1].replace("-", "_"), known[2][2:], known[0] + "-1"]
    odd += [known[3].replace("8", "9"), "8/0-8_3-11_0-8", "8/" + "_".join(["00-08"] * 3)]
    names = [*known[::-1], *odd]
    expected = [NO_CHUNK if (found := grid.number_at(name)) is None else found for name in names]
    assert numbers_at(grid, Names.of(names)).tolist() == expected
    assert expected[:4] == [3, 2, 1, 0]


def test_grids_of_true_size() -> None:
    grid = ChunkGrid(start=(0, 0, 0), shape=(600, 600, 600), prefix="s0/", separator="/")
    numbers = np.array([0, 215_999_999, 123_456_789])
    assert (numbers_at(grid, Names.of([grid.destination(number) for number in numbers.tolist()])) == numbers).all()
