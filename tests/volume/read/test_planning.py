"""Plans cover each box once, stay small, and read what lies together in one go."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.model.geometry import Box
from emasync.volume.interface import WHOLE_FILE, ChunkPlaces
from emasync.volume.planning import ReadSizes, coalesce, plan_of, portions, split

SIZES = ReadSizes(most_gap_bytes=10, most_bytes=100)


@st.composite
def grids(draw: st.DrawFn) -> tuple[Box, tuple[int, ...]]:
    axes = draw(st.integers(1, 3))
    chunks = tuple(draw(st.integers(1, 7)) for _ in range(axes))
    start = tuple(draw(st.integers(0, 20)) for _ in range(axes))
    return Box.from_shape(start, [draw(st.integers(0, 25)) for _ in range(axes)]), chunks


def chunk_count(box: Box, chunks: tuple[int, ...]) -> int:
    grid = tuple(-(-stop // chunk) for stop, chunk in zip(box.stop, chunks, strict=True))
    return len(plan_of([box], chunks, grid))


@settings(deadline=None)
@given(grids(), st.integers(1, 20))
def test_parts_of_a_box_cover_it_once_and_share_no_chunk(grid: tuple[Box, tuple[int, ...]], most: int) -> None:
    box, chunks = grid
    covered = np.zeros(box.stop, int)

    parts = list(split(box, chunks, most))

    for part in parts:
        covered[tuple(map(slice, part.start, part.stop))] += 1
        assert chunk_count(part, chunks) <= most
    assert covered.sum() == covered[tuple(map(slice, box.start, box.stop))].size == np.prod(box.shape)
    assert sum(chunk_count(part, chunks) for part in parts) == (0 if box.empty else chunk_count(box, chunks))


@settings(deadline=None)
@given(grids())
def test_pieces_take_each_voxel_of_a_box_from_its_chunk(grid: tuple[Box, tuple[int, ...]]) -> None:
    box, chunks = grid
    counts = tuple(-(-stop // chunk) + 1 for stop, chunk in zip(box.stop, chunks, strict=True))
    whole = np.arange(np.prod(counts) * np.prod(chunks)).reshape(np.multiply(counts, chunks))
    block = np.full(box.shape, -1)

    for number, pieces in plan_of([box], chunks, counts).items():
        at = np.multiply(np.unravel_index(number, counts), chunks)
        chunk = whole[tuple(map(slice, at, np.add(at, chunks)))]
        for piece in pieces:
            assert (block[piece.target] == -1).all()
            block[piece.target] = chunk[piece.source]

    np.testing.assert_array_equal(block, whole[tuple(map(slice, box.start, box.stop))])


def test_portions_bound_what_is_planned_at_one_time() -> None:
    boxes = [Box((0, 0), (100, 100)), *(Box((at, 0), (at + 10, 10)) for at in range(50))]

    found = list(portions(boxes, (10, 10), most=30))

    assert sum(len(portion) for portion in found) >= len(boxes)
    for portion in found:
        assert sum(chunk_count(box, (10, 10)) for _, box in portion) <= 30
    assert {number for portion in found for number, _ in portion} == set(range(len(boxes)))


def places(*rows: tuple[int, int, int]) -> ChunkPlaces:
    files, starts, sizes = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return ChunkPlaces(files=files, starts=starts, sizes=sizes)


def test_reads_join_over_small_gaps_in_one_file_up_to_a_size() -> None:
    where = places((0, 50, 20), (0, 0, 20), (0, 30, 20), (0, 81, 5), (1, 86, 5), (0, 200, 90), (0, 290, 20))

    found = coalesce(where, range(7), SIZES)

    assert [tuple(read) for read in found] == [
        (0, 0, 70, [1, 2, 0]),  # a gap of 10
        (0, 81, 5, [3]),  # of 11
        (0, 200, 90, [5]),
        (0, 290, 20, [6]),  # 110 bytes in all
        (1, 86, 5, [4]),
    ]


def test_chunks_that_share_bytes_are_read_once() -> None:
    found = coalesce(places((0, 0, 50), (0, 10, 20), (0, 0, 50)), range(3), SIZES)

    assert [(read.start, read.size, sorted(read.rows)) for read in found] == [(0, 50, [0, 1, 2])]


def test_whole_files_are_read_by_themselves() -> None:
    found = coalesce(places((3, 0, WHOLE_FILE), (4, 0, WHOLE_FILE), (3, 0, WHOLE_FILE)), range(3), SIZES)

    assert [read.rows for read in found] == [[0], [2], [1]]
