"""Copies of voxels are what numpy's are, whatever the memory looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.read.desk import Array

from emasync.volume.copying import put

LAYOUTS: Mapping[str, Callable[[Array], Array]] = {
    "whole rows": lambda base: base,
    "rows": lambda base: base[2:, 1:, 5:],
    "every other row": lambda base: base[:, ::2],
    "backwards": lambda base: base[::-1, ::-1],
    "rows backwards": lambda base: base[:, :, ::-1],
    "thin": lambda base: base[:, :, ::3],
    "transposed": lambda base: base.transpose(2, 0, 1),
}
names = st.sampled_from(sorted(LAYOUTS))
parts = st.sampled_from([(slice(None),), (0,), (1, slice(3)), (2, 5)])


@settings(deadline=None, max_examples=200)
@given(names, names, st.sampled_from(["u1", "<u2", ">u2", "f4"]), st.integers(1, 40), parts)
def test_all_voxels_arrive_and_no_others_change(
    one: str, other: str, dtype: str, row: int, part: tuple[int | slice, ...]
) -> None:
    random = np.random.default_rng(8)
    there, here = (random.integers(0, 200, (40, 50, 130)).astype(kind) for kind in (dtype, "<u2"))

    def cut(base: Array, layout: str) -> Array:
        found: Array = LAYOUTS[layout](base)[:3, :20, :row][part]
        return found

    source, expected = cut(there, other), here.copy()
    cut(expected, one)[...] = source

    put(cut(here, one), source)

    np.testing.assert_array_equal(here, expected)


@pytest.mark.parametrize("value", [np.full((4, 5, 1), 7, "u1"), np.broadcast_to(np.uint8(7), (4, 5, 64))])
def test_one_value_may_be_for_all(value: Array) -> None:
    target = np.zeros((4, 5, 64), "u1")
    put(target, value)
    assert (target == 7).all()


def test_voxels_without_axes_and_without_extent() -> None:
    one = np.zeros((), "u1")
    put(one, np.array(9, "u1"))
    put(np.zeros((0, 64), "u1"), np.zeros((0, 64), "u1"))
    put(np.zeros((3, 0), "u1"), np.zeros((3, 0), "u1"))
    assert one == 9
