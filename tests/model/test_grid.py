from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import pytest

from emasync.model.grid import ChunkGrid, VoxelGrid, grid_of


def test_chunks_are_numbered_with_the_last_axis_fastest() -> None:
    grid = ChunkGrid(start=(2, 0, 5), shape=(2, 1, 3), prefix="s0/", separator="/")

    assert len(grid) == 6
    assert [grid.coordinates(number) for number in range(6)] == [
        (0, 0, 0),
        (0, 0, 1),
        (0, 0, 2),
        (1, 0, 0),
        (1, 0, 1),
        (1, 0, 2),
    ]
    assert grid.key(4) == "s0/3/0/6"
    assert grid.destination(4) == "s0/3/0/6"


@pytest.mark.parametrize(
    ("encoding", "separator", "expected"),
    [
        ("v2", ".", "a/1.23.45"),
        ("v2", "/", "a/1/23/45"),
        ("default", "/", "a/c/1/23/45"),
        ("default", ".", "a/c.1.23.45"),
    ],
)
def test_keys_follow_the_encodings_of_zarr(
    encoding: Literal["v2", "default"], separator: Literal[".", "/"], expected: str
) -> None:
    grid = ChunkGrid(start=(1, 23, 45), shape=(1, 1, 1), prefix="a/", encoding=encoding, separator=separator)

    assert grid.key(0) == expected


def test_keys_of_n5_name_the_last_axis_first() -> None:
    grid = ChunkGrid(start=(1, 2, 3), shape=(2, 2, 2), prefix="a/", encoding="n5", separator="/", rebase=True)

    assert [grid.key(number) for number in (0, 1, 4)] == ["a/3/2/1", "a/4/2/1", "a/3/2/2"]
    assert [grid.destination(number) for number in (0, 1, 4)] == ["a/0/0/0", "a/1/0/0", "a/0/0/1"]
    assert [grid.number_of(grid.key(number)) for number in range(8)] == [*range(8)]
    assert [grid.number_at(grid.destination(number)) for number in range(8)] == [*range(8)]
    assert grid.number_of("a/1/2/3") is None
    assert grid_of(asdict(grid)) == grid


@pytest.mark.parametrize(("encoding", "expected"), [("v2", "0"), ("default", "c")])
def test_an_array_without_axes_has_one_chunk(encoding: Literal["v2", "default"], expected: str) -> None:
    grid = ChunkGrid(start=(), shape=(), prefix="", encoding=encoding)

    assert len(grid) == 1
    assert grid.key(0) == expected


def test_a_box_of_its_own_counts_from_zero() -> None:
    grid = ChunkGrid(start=(4, 4), shape=(2, 2), prefix="s/", rebase=True)

    assert [grid.key(number) for number in range(4)] == ["s/4.4", "s/4.5", "s/5.4", "s/5.5"]
    assert [grid.destination(number) for number in range(4)] == ["s/0.0", "s/0.1", "s/1.0", "s/1.1"]


@pytest.mark.parametrize("number", [-1, 4])
def test_other_numbers_are_none(number: int) -> None:
    with pytest.raises(IndexError, match="of a grid of 4"):
        ChunkGrid(start=(0, 0), shape=(2, 2), prefix="").key(number)


VOXELS = VoxelGrid(
    start=(1, 0, 2),
    shape=(1, 2, 2),
    prefix="8.0x8.0x8.0/",
    chunk=(16, 24, 32),
    origin=(7, -20, 1000),
    size=(30, 40, 120),
)


def test_chunks_named_by_voxels_tell_x_y_z_with_offset_and_are_cut_at_the_end() -> None:
    keys = [VOXELS.key(number) for number in range(len(VOXELS))]

    assert keys == [
        "8.0x8.0x8.0/1064-1096_-20-4_23-37",
        "8.0x8.0x8.0/1096-1120_-20-4_23-37",
        "8.0x8.0x8.0/1064-1096_4-20_23-37",
        "8.0x8.0x8.0/1096-1120_4-20_23-37",
    ]
    assert [VOXELS.destination(number) for number in range(len(VOXELS))] == keys
    assert [VOXELS.number_of(key) for key in keys] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "key",
    [
        "1064-1096_-20-4_23-37",
        "8.0x8.0x8.0/1064-1096_-20-4_7-23",
        "8.0x8.0x8.0/1064-1095_-20-4_23-37",
        "8.0x8.0x8.0/1063-1096_-20-4_23-37",
        "8.0x8.0x8.0/01064-1096_-20-4_23-37",
        "8.0x8.0x8.0/1064-1096_-20-4",
        "8.0x8.0x8.0/info",
        "8.0x8.0x8.0/" + "9" * 500 + "-1_0-1_0-1",
    ],
)
def test_other_names_are_no_chunks(key: str) -> None:
    assert VOXELS.number_of(key) is None
    assert VOXELS.number_at(key) is None


@pytest.mark.parametrize("grid", [VOXELS, ChunkGrid(start=(4, 4), shape=(2, 2), prefix="s/", rebase=True)])
def test_grids_come_back_from_their_fields(grid: ChunkGrid) -> None:
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(grid).items()}

    assert grid_of(fields) == grid
    assert type(grid_of(fields)) is type(grid)
