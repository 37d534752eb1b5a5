"""Which arrays of a dataset are shown, and at which level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emasync.formats.chunks import ChunkLayout
from emasync.hooks.report.drawing import SIDE
from emasync.hooks.report.gallery import LOOKED_AT, MOST_ARRAYS, chosen, known_index
from emasync.hooks.report.kept import forget_others, keep_pictures, kept_pictures
from emasync.hooks.report.pictures import ArrayPictures, Picture
from emasync.model.geometry import Box
from emasync.volume.index_entry import ArrayEntry, Coverage

CUBE = ArrayEntry(
    asset="a",
    array="em",
    scale=0,
    path="em/s0",
    format="zarr",
    shape=(1000, 1000, 1000),
    axes=("z", "y", "x"),
    layout=ChunkLayout(chunks=(64, 64, 64), dtype="|u1"),
    chunks={"kind": "affine"},
    origin=(0, 0, 0),
    bounds=Box((0, 0, 0), (1000, 1000, 1000)),
    measures=(None, None, None),
    coverage=Coverage(chunks=4096, present=4096),
)


def level(scale: int, side: int, **changes: object) -> ArrayEntry:
    bounds = Box((0, 0, 0), (side, side, side))
    return replace(CUBE, scale=scale, shape=bounds.shape, bounds=bounds, **changes)  # type: ignore[arg-type]  # as above


def test_the_coarsest_level_that_fills_a_picture() -> None:
    levels = [level(0, 8 * SIDE), level(1, 4 * SIDE), level(2, 2 * SIDE), level(3, SIDE), level(4, SIDE // 2)]
    assert [entry.scale for entry in chosen(levels)] == [3]
    assert [entry.scale for entry in chosen(levels[:2])] == [1]
    assert [entry.scale for entry in chosen([level(4, SIDE // 2), level(5, SIDE // 4)])] == [4]


def test_what_was_asked_for_counts_and_not_what_it_is_a_part_of() -> None:
    small = replace(CUBE, bounds=Box((0, 0, 0), (SIDE, 10, 10)))
    assert chosen([replace(small, scale=1, bounds=Box((0, 0, 0), (SIDE // 2, 5, 5))), small]) == [small]


def test_an_image_and_its_segments_come_first() -> None:
    others = [replace(CUBE, array=f"em{number}") for number in range(5)]
    segments = replace(CUBE, array="seg", role="labels")
    assert [entry.array for entry in chosen([*others, segments])] == ["em0", "seg", "em1"]
    assert len(chosen(others)) == MOST_ARRAYS


@pytest.mark.parametrize(
    "entry",
    [
        replace(CUBE, role="thumbnail"),
        replace(CUBE, axes=("t", "c", "x")),
        replace(CUBE, coverage=Coverage(chunks=4096, not_downloaded=4096)),
        replace(CUBE, bounds=Box((0, 0, 0), (0, 10, 10))),
    ],
)
def test_what_cannot_be_shown_is_passed_over(entry: ArrayEntry) -> None:
    assert chosen([entry]) == []
    assert chosen([entry, CUBE]) == [CUBE]


def test_a_level_of_which_nothing_is_here_is_passed_over() -> None:
    nothing = level(3, SIDE, coverage=Coverage(chunks=10, not_downloaded=10))
    assert [entry.scale for entry in chosen([level(0, 8 * SIDE), nothing])] == [0]


def test_without_a_ledger_what_is_here_is_not_known_and_looked_for() -> None:
    assert chosen([replace(CUBE, coverage=Coverage(chunks=4096))]) != []


def test_not_all_of_many_arrays_are_looked_at() -> None:
    seen = []

    def entries() -> object:
        for number in range(10 * LOOKED_AT):
            seen.append(number)
            yield replace(CUBE, array=f"{number}")

    chosen(entries())  # type: ignore[arg-type]  # entries, one by one
    assert len(seen) <= LOOKED_AT + 1


def test_a_root_without_index_has_no_pictures(tmp_path: Path) -> None:
    assert known_index(tmp_path, "d") is None


# --- pictures that are kept ---------------------------------------------------------------------------------------

DRAWN = (ArrayPictures(name="s0", about="x", planes=(Picture(data=bytes(range(256)), alt="a", caption="c"),)),)


def test_pictures_are_kept_for_the_index_that_they_were_drawn_from(tmp_path: Path) -> None:
    keep_pictures(tmp_path, "d", "g1", DRAWN)
    assert kept_pictures(tmp_path, "d", "g1") == DRAWN
    assert kept_pictures(tmp_path, "d", "g2") is None
    assert kept_pictures(tmp_path, "other", "g1") is None


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1, "generation": "g1", "tool": "0", "arrays": []}', "[]"])
def test_pictures_of_others_are_drawn_again(text: str, tmp_path: Path) -> None:
    keep_pictures(tmp_path, "d", "g1", DRAWN)
    (tmp_path / "report/d.json").write_text(text)
    assert kept_pictures(tmp_path, "d", "g1") is None


def test_pictures_of_datasets_that_left_are_forgotten(tmp_path: Path) -> None:
    forget_others(tmp_path, {"d"})
    for name in ("d", "gone", "d.v2"):
        keep_pictures(tmp_path, name, "g1", DRAWN)
    forget_others(tmp_path, {"d", "d.v2"})
    assert [kept_pictures(tmp_path, name, "g1") is None for name in ("d", "gone", "d.v2")] == [False, True, False]
