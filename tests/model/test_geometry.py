from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.model.geometry import Box

intervals = st.tuples(st.integers(-5, 20), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
boxes = st.tuples(intervals, intervals).map(lambda pair: Box((pair[0][0], pair[1][0]), (pair[0][1], pair[1][1])))


def voxels(box: Box) -> set[tuple[int, int]]:
    return {(z, y) for z in range(box.start[0], box.stop[0]) for y in range(box.start[1], box.stop[1])}


def test_a_box_knows_its_shape() -> None:
    box = Box.from_shape((1, 2, 3), (4, 0, 6))

    assert box == Box((1, 2, 3), (5, 2, 9))
    assert box.shape == (4, 0, 6)
    assert box.empty
    assert not Box((0,), (1,)).empty


@pytest.mark.parametrize(("start", "stop"), [((0,), (1, 2)), ((2,), (1,))])
def test_a_box_that_is_none_is_refused(start: tuple[int, ...], stop: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="box"):
        Box(start, stop)


@given(boxes, boxes)
def test_the_common_part_holds_the_common_voxels(one: Box, other: Box) -> None:
    assert voxels(one.intersect(other)) == voxels(one) & voxels(other)


@given(boxes, boxes)
def test_a_box_contains_what_lies_in_it(one: Box, other: Box) -> None:
    if not other.empty:
        assert one.contains(other) == (voxels(other) <= voxels(one))
