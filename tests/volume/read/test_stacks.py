"""Arrays whose uncompressed chunks lie in one file at equal distances: looked into as memory, never planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.read.desk import Array, Stored, store, voxels

from emasync.errors import EmasyncError, FormatError, InputError
from emasync.volume.stacks import Stack, stack_of


def stack(stored: Stored) -> Stack | None:
    return stack_of(stored.array)


@pytest.mark.parametrize(
    ("shape", "chunks", "edges", "strides"),
    [
        ((12, 20, 30), (12, 20, 30), "full", (1200, 60, 2)),
        ((12, 20, 30), (1, 20, 30), "full", (1200, 60, 2)),
        ((12, 20, 30), (4, 20, 30), "full", (1200, 60, 2)),
        ((10, 20, 30), (4, 20, 30), "cut", (1200, 60, 2)),
        ((10, 20, 30), (1, 32, 32), "full", (2048, 64, 2)),
        ((10, 20, 30), (1, 32, 32), "cut", (1200, 60, 2)),
        ((7,), (7,), "full", (2,)),
    ],
)
def test_blocks_of_a_stack_are_copied_out_of_the_files_memory(
    shape: tuple[int, ...], chunks: tuple[int, ...], edges: str, strides: tuple[int, ...], tmp_path: Path
) -> None:
    axes = "zyx"[-len(shape) :]
    stored = store(tmp_path, voxels(shape), chunks, axes=axes, codecs=(), edges=edges, files="one")  # type: ignore[arg-type]

    found = stack(stored)
    assert found is not None
    assert found.strides == strides
    np.testing.assert_array_equal(stored.volume()[:], stored.data)
    inner = tuple(slice(1, size - 1) for size in shape)
    np.testing.assert_array_equal(stored.volume()[inner], stored.data[inner])
    assert stored.reads == []


def test_pages_may_lie_apart(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((3, 4, 5)), (1, 4, 5), codecs=(), files="one")
    file = tmp_path / stored.places.path(0)
    before = file.read_bytes()
    file.write_bytes(b"".join(before[at : at + 40] + b"directory" for at in stored.places.starts))
    stored.places.starts[:] = [0, 49, 98]

    found = stack(stored)
    assert found is not None
    assert found.strides == (49, 10, 2)
    np.testing.assert_array_equal(stored.volume()[:], stored.data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda places: places.starts.__setitem__(slice(None), [0, 40, 90]),
        lambda places: places.starts.__setitem__(slice(None), [80, 40, 0]),
        lambda places: places.sizes.__setitem__(1, 39),
        lambda places: places.files.__setitem__(1, -1),
        lambda places: places.files.__setitem__(0, -2),
    ],
    ids=["unequal distances", "backwards", "a short page", "a page left out", "a page not downloaded"],
)
def test_what_is_no_stack_is_planned(spoil: object, tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((3, 4, 5)), (1, 4, 5), codecs=(), files="one")
    assert stack(stored) is not None

    spoil(stored.places)  # type: ignore[operator]  # one of the changes above

    assert stack(stored) is None


def test_other_arrays_are_no_stacks(tmp_path: Path) -> None:
    packed = store(tmp_path / "packed", voxels((4, 4, 4)), (4, 4, 4), files="one")
    grid = store(tmp_path / "grid", voxels((4, 4, 4)), (2, 2, 4), codecs=(), files="one")
    checked = store(tmp_path / "checked", voxels((4, 4, 4)), (1, 4, 4), codecs=(), files="one", crcs=True)
    apart = store(tmp_path / "apart", voxels((4, 4, 4)), (1, 4, 4), codecs=())

    assert [stack(each) for each in (packed, grid, checked, apart)] == [None] * 4


def test_thick_chunks_that_lie_apart_are_no_stack(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((4, 4, 5)), (2, 4, 5), codecs=(), files="one")
    stored.places.starts[:] = [0, 89]

    assert stack(stored) is None


SHAPE, ORIGIN = (6, 20, 30), (5, -7, 0)


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return store(tmp_path_factory.mktemp("stack"), voxels(SHAPE), (1, 20, 30), codecs=(), files="one", origin=ORIGIN)


def outcome(read: Callable[[], Array]) -> object:
    """What came, or what was said."""
    try:
        found = read()
    except EmasyncError as error:
        return error.kind, str(error)
    return found.shape, found.dtype, found.tobytes(), found.flags.c_contiguous


numbers = st.integers(-9, 40)


@settings(deadline=None, max_examples=300)
@given(st.lists(numbers, min_size=2, max_size=4), st.lists(numbers, min_size=2, max_size=4))
def test_the_short_way_is_the_long_one(shifted: Stored, start: list[int], shape: list[int]) -> None:
    volume, planned = shifted.volume(), shifted.volume()
    planned._window = None

    assert outcome(lambda: volume.read(start, shape)) == outcome(lambda: planned.read(start, shape))


@settings(deadline=None)
@given(st.data())
def test_boxes_inside_are_parts_of_the_whole(shifted: Stored, data: st.DataObject) -> None:
    low = [data.draw(st.integers(0, size - 1)) for size in SHAPE]
    size = [data.draw(st.integers(1, whole - at)) for at, whole in zip(low, SHAPE, strict=True)]
    volume = shifted.volume()

    found = volume.read([at + first for at, first in zip(low, ORIGIN, strict=True)], size)

    np.testing.assert_array_equal(
        found, shifted.data[tuple(slice(at, at + one) for at, one in zip(low, size, strict=True))]
    )
    assert len(shifted.looks) == 1


@pytest.mark.parametrize("axis", range(3))
def test_one_voxel_beyond_an_edge_is_out_of_bounds(shifted: Stored, axis: int) -> None:
    volume = shifted.volume()
    for start in (ORIGIN[axis] - 1, ORIGIN[axis] + SHAPE[axis] - 1):
        low, size = list(ORIGIN), [1, 1, 1]
        low[axis], size[axis] = start, 2
        with pytest.raises(EmasyncError, match="out of bounds"):
            volume.read(low, size)


def test_boxes_of_other_axes_are_refused(shifted: Stored) -> None:
    for start, shape in ((ORIGIN[:2], (1, 1)), ((*ORIGIN, 0), (1, 1, 1, 1)), (ORIGIN, (1, 1)), ((0.0, 0, 0), SHAPE)):
        with pytest.raises(InputError):
            shifted.volume().read(start, shape)  # type: ignore[arg-type]  # one has no whole numbers


def test_the_short_way_is_for_plain_reads_only(shifted: Stored) -> None:
    volume = shifted.volume()
    out = np.zeros((20, 6, 30), "<u2").transpose(1, 0, 2)

    assert volume.read(ORIGIN, SHAPE, out=out) is out
    np.testing.assert_array_equal(out, shifted.data)
    for wrong in (np.zeros(SHAPE, "<u4"), np.zeros((1, *SHAPE), "<u2"), np.broadcast_to(np.uint16(0), SHAPE)):
        with pytest.raises(InputError, match="out is"):
            volume.read(ORIGIN, SHAPE, out=wrong)
    with pytest.raises(InputError, match="fill"):
        volume.read(ORIGIN, SHAPE, fill=1)
    with pytest.raises(InputError, match="pad='mirror'"):
        volume.read(ORIGIN, SHAPE, pad="mirror")  # type: ignore[arg-type]  # as a caller without a type checker may
    np.testing.assert_array_equal(volume.read(ORIGIN, SHAPE, pad="edge"), shifted.data)


def test_axes_of_blocks_that_are_others_take_the_long_way(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels(SHAPE), SHAPE, axes="xyz", codecs=(), files="one")

    np.testing.assert_array_equal(stored.volume()[:], stored.data.transpose(2, 1, 0))


def test_a_file_that_is_shorter_is_an_error_and_no_crash(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((3, 4, 5)), (1, 4, 5), codecs=(), files="one")
    file = tmp_path / stored.places.path(0)
    file.write_bytes(file.read_bytes()[:-1])
    volume = stored.volume()

    np.testing.assert_array_equal(volume.read((0, 0, 0), (2, 4, 5)), stored.data[:2])
    with pytest.raises(FormatError, match="byte"):
        volume.read((2, 0, 0), (1, 4, 5))


def test_bytes_in_another_order_arrive_in_the_machines(tmp_path: Path) -> None:
    data = voxels((3, 4, 5), ">u2")
    stored = store(tmp_path, data, (3, 4, 5), codecs=(), files="one")
    stored = replace(stored, array=replace(stored.array, layout=replace(stored.array.layout, dtype=">u2")))

    found = stored.volume()[:]

    assert found.dtype == np.dtype("u2")
    np.testing.assert_array_equal(found, data)
