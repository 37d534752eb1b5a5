"""Blocks around a place in the world: known functions of position are found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.read.desk import Array, Stored, store, voxels

import emasync
from emasync.errors import EmasyncError, ErrorKind, InputError
from emasync.formats.stored import Measure
from emasync.volume.resampling import hull, samples, tiles
from emasync.volume.volume import Volume

NM = (5.0, 4.0, 3.0)
OFFSET = {"z": 100.0, "y": -20.0, "x": 7.5}


def in_the_world(root: Path, data: Array, sizes: Sequence[float] = NM, role: Any = "image") -> Stored:
    measures = [Measure(size, "nm", "test") for size in sizes]
    stored = store(root, data, [8] * data.ndim, measures=measures)
    stored.array = replace(stored.array, translation_nm=OFFSET, role=role)
    return stored


def ramp(shape: Sequence[int], dtype: str) -> Array:
    z, y, x = np.indices(shape)
    made: Array = (z * 3 + y * 5 + x * 7).astype(dtype)
    return made


def trilinear(data: Array, axes: Sequence[Array]) -> Array:
    """The eight voxels around each place, by their nearness."""
    total = np.zeros([len(at) for at in axes])
    for corner in product((0, 1), repeat=len(axes)):
        low = [np.floor(at).astype(int) for at in axes]
        nearness = [np.abs(1 - upper - (at - first)) for at, first, upper in zip(axes, low, corner, strict=True)]
        weights = np.prod(np.meshgrid(*nearness, indexing="ij"), axis=0)
        total += weights * data[np.ix_(*(first + upper for first, upper in zip(low, corner, strict=True)))]
    return total


@pytest.mark.parametrize("dtype", ["<f4", "<u2", "|u1", "<i4", "<f8"])
def test_between_voxels_images_are_linear(tmp_path: Path, dtype: str) -> None:
    data = voxels((20, 24, 28), dtype) if dtype != "|u1" else voxels((20, 24, 28)).astype("u1")
    volume = in_the_world(tmp_path, data).volume()
    center, shape, step = (140.0, 20.0, 41.0), (5, 6, 7), (3.3, 4.0, 1.1)

    found = volume.read_world(center, shape, step)

    axes = [
        (middle + (np.arange(n) - (n - 1) / 2) * d - OFFSET[name]) / size
        for middle, n, d, size, name in zip(center, shape, step, NM, "zyx", strict=True)
    ]
    expected = trilinear(data, axes)
    assert found.dtype == volume.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0.5001 if data.dtype.kind in "iu" else 1e-3)


def test_voxels_that_are_where_the_levels_are_come_unchanged(tmp_path: Path) -> None:
    data = voxels((20, 24, 28))
    volume = in_the_world(tmp_path, data).volume()
    center = [OFFSET[name] + size * (4 + 2.5) for name, size in zip("zyx", NM, strict=True)]

    np.testing.assert_array_equal(volume.read_world(center, (6, 6, 6), NM), data[4:10, 4:10, 4:10])


def test_labels_are_never_mixed(tmp_path: Path) -> None:
    data = voxels((20, 24, 28)) * 7
    volume = in_the_world(tmp_path, data, role="labels").volume()

    found = volume.read_world((140.0, 20.0, 41.0), (5, 6, 7), 1.7)

    axes = [
        np.floor((middle + (np.arange(n) - (n - 1) / 2) * 1.7 - OFFSET[name]) / size + 0.5).astype(int)
        for middle, n, size, name in zip((140.0, 20.0, 41.0), (5, 6, 7), NM, "zyx", strict=True)
    ]
    np.testing.assert_array_equal(found, data[np.ix_(*axes)])


def levels(tmp_path: Path) -> dict[float, Volume]:
    """Levels of 4, 8 and 16 nm; the voxels of each tell which it is."""
    made: dict[float, Volume] = {}
    for size in (4.0, 8.0, 16.0):
        stored = in_the_world(tmp_path / str(size), np.full((40, 40, 40), int(size), "u1"), [size] * 3)
        one = stored.volume()
        made[size] = Volume(one.array, one._engine, one._orientation, levels=lambda: list(made.values()))
    return made


@pytest.mark.parametrize(
    ("step", "expected"),
    [(4, 4), (7.9, 4), (8, 8), (7.995, 8), (15, 8), (100, 16), (1, 4), ((16, 16, 8), 8), ((16, 2, 16), 4)],
)
def test_the_coarsest_level_that_is_fine_enough_is_sampled(tmp_path: Path, step: Any, expected: int) -> None:
    for volume in levels(tmp_path).values():  # whichever was opened
        assert (volume.read_world((140.0, 40.0, 60.0), (2, 2, 2), step, pad="edge") == expected).all()


def test_beyond_the_volume_padding_decides(tmp_path: Path) -> None:
    volume = in_the_world(tmp_path, np.full((8, 8, 8), 9, "u1"), (1.0, 1.0, 1.0)).volume()
    corner = list(OFFSET.values())

    with pytest.raises(EmasyncError) as caught:
        volume.read_world(corner, (3, 3, 3), 1.0)
    assert caught.value.kind is ErrorKind.OUT_OF_BOUNDS
    found = volume.read_world(corner, (3, 3, 3), 1.0, pad="constant", fill=1)
    assert (found[1:, 1:, 1:] == 9).all()
    assert (found[0] == 1).all()


@pytest.mark.parametrize(
    "arguments",
    [((1, 2), (3, 3, 3), 1.0), ((1, 2, 3), (3, 3, 0), 1.0), ((1, 2, 3), (3, 3, 3), 0.0), ((1,), (3,), 1.0)],
)
def test_places_that_are_none_are_refused(tmp_path: Path, arguments: Any) -> None:
    with pytest.raises(InputError):
        in_the_world(tmp_path, voxels((8, 8, 8))).volume().read_world(*arguments)


def test_without_sizes_there_is_no_world(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody says how large voxels are"):
        store(tmp_path, voxels((8, 8, 8)), (4, 4, 4)).volume().read_world((1, 1, 1), (1, 1, 1), 1.0)


def test_channels_come_along(tmp_path: Path) -> None:
    data = np.moveaxis(voxels((3, 20, 24, 28), "<f4"), 0, -1)
    measures = [*(Measure(size, "nm", "test") for size in NM), None]
    volume = store(tmp_path, data, (8, 8, 8, 2), axes="zyxc", measures=measures).volume()

    found = volume.read_world((25.0, 20.0, 15.0), (3, 3, 3), NM)

    np.testing.assert_array_equal(found, data[4:7, 4:7, 4:7])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(0.1, 50)), min_size=1, max_size=3),
    st.integers(1, 10_000),
)
def test_coarse_blocks_are_cut_into_parts_that_fit_into_memory(axes: list[tuple[int, float]], most: int) -> None:
    wanted = [samples(10.0, count, step, 1.0, 0.0) for count, step in axes]
    covered = np.zeros([count for count, _ in axes], int)

    for tile in tiles(wanted, most):
        covered[tile] += 1
        parts = [at[along] for at, along in zip(wanted, tile, strict=True)]
        assert np.prod(hull(parts).shape) <= most or covered[tile].size == 1

    assert (covered == 1).all()


def test_an_opened_volume_finds_its_other_levels(tmp_path: Path) -> None:
    from tests.integration.folders import run_within
    from tests.volume.read.test_opening import write_image

    data = ramp((40, 48, 56), "u2")
    write_image(tmp_path / "a.zarr", data)
    entry = {"id": "a", "source": "bucket", "url": f"file://{tmp_path}/a.zarr"}
    assert run_within({"version": 1, "datasets": [entry]}, tmp_path / "root").ok
    volume = emasync.open_volume(tmp_path / "root", "a", scale=1)

    # voxel 10 of the finest level lies at 1040 nm; voxel 5 of the other one (taken from voxel 10) at 1042 nm
    np.testing.assert_array_equal(volume.read_world([1040.0] * 3, (1, 1, 1), 4.0), data[10:11, 10:11, 10:11])
    np.testing.assert_array_equal(volume.read_world([1042.0] * 3, (1, 1, 1), 8.0), data[10:11, 10:11, 10:11])
