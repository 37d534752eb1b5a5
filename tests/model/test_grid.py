from __future__ import annotations

from typing import Literal

import pytest

from emasync.model.grid import ChunkGrid


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
