"""From a manifest to voxels: what was fetched is opened by its name and read."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from tests.integration.folders import run_within
from tests.volume.read.desk import Array, voxels
from typer.testing import CliRunner

import emasync
from emasync.cli.main import app, main
from emasync.errors import EmasyncError, ErrorKind, InputError

SHAPE = (40, 50, 60)


def write_image(folder: Path, data: Array, chunk: int = 16) -> None:
    """An OME-Zarr 0.4 image of two levels, 4 nm."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=2)
    levels = [data, data[::2, ::2, ::2]]
    datasets: list[Any] = []
    for number, level in enumerate(levels):
        array = group.create_array(
            f"s{number}",
            shape=level.shape,
            chunks=(chunk,) * 3,
            dtype=level.dtype,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        array[:] = level
        scale: Any = [4.0 * 2**number] * 3
        offset = [1000.0 + (0 if number == 0 else 2.0)] * 3
        transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": offset}]
        datasets.append({"path": f"s{number}", "coordinateTransformations": transforms})
    axes: Any = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets, "name": "em"}]


@pytest.fixture(scope="module")
def data() -> Array:
    return voxels(SHAPE)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, data: Array) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_image(folder / "a.zarr/em", data)
    write_image(folder / "b.zarr/one", data[::-1].copy())
    write_image(folder / "b.zarr/two", data[:, ::-1].copy())
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Path:
    """Three datasets: a whole image, two images, and a box of one."""
    root = tmp_path_factory.mktemp("root")
    entries = [
        {"id": "whole", "source": "bucket", "url": f"file://{published}/a.zarr"},
        {"id": "two", "source": "bucket", "url": f"file://{published}/b.zarr"},
        {
            "id": "box",
            "source": "bucket",
            "url": f"file://{published}/a.zarr",
            "scales": [0],
            "crop": {"start": [10, 20, 20], "shape": [15, 20, 30]},
        },
        {
            "id": "holes",
            "source": "bucket",
            "url": f"file://{published}/a.zarr",
            "scales": [0],
            "crop": {"start": [10, 20, 20], "shape": [15, 20, 30]},
            "subset": "mirror",
        },
    ]
    receipt = run_within({"version": 1, "datasets": entries}, root)
    assert receipt.ok, receipt.to_dict()
    return root


def test_what_was_fetched_is_read(root: Path, data: Array) -> None:
    volume = emasync.open_volume(root, "whole")

    assert volume.shape == SHAPE
    assert volume.axes == ("z", "y", "x")
    assert volume.voxel_size_nm == (4.0, 4.0, 4.0)
    np.testing.assert_array_equal(volume.read((3, 4, 5), (30, 40, 50)), data[3:33, 4:44, 5:55])
    level = emasync.open_volume(root, "whole", scale=1)
    np.testing.assert_array_equal(level[:], data[::2, ::2, ::2])
    assert level.voxel_size_nm == (8.0, 8.0, 8.0)


@pytest.mark.parametrize("dataset", ["box", "holes"])
def test_a_box_keeps_the_coordinates_of_its_source(root: Path, data: Array, dataset: str) -> None:
    volume = emasync.open_volume(root, dataset)

    assert (volume.bounds.start, volume.bounds.stop) == ((10, 20, 20), (25, 40, 50))
    assert (volume.chunk_bounds.start, volume.chunk_bounds.stop) == ((0, 16, 16), (32, 48, 60))
    np.testing.assert_array_equal(volume[:], data[10:25, 20:40, 20:50])
    np.testing.assert_array_equal(volume.read((0, 16, 16), (32, 32, 44)), data[:32, 16:48, 16:60])
    with pytest.raises(EmasyncError) as caught:
        volume.read((0, 0, 0), (4, 4, 4))
    assert caught.value.kind is ErrorKind.OUT_OF_BOUNDS


def test_what_a_name_does_not_decide_is_an_error_that_lists_the_choices(root: Path) -> None:
    with pytest.raises(EmasyncError, match=r"asset='one' array='' scale=0 .*; asset='two' ") as caught:
        emasync.open_volume(root, "two")
    assert caught.value.kind is ErrorKind.AMBIGUOUS
    wrong: list[dict[str, Any]] = [{"array": "three"}, {"scale": 7}, {"asset": "c"}]
    for options in wrong:
        with pytest.raises(InputError, match="there are asset='one'"):
            emasync.open_volume(root, "two", **options)
    with pytest.raises(InputError):
        emasync.open_volume(root, "nothing")


def test_arrays_are_named_by_image_or_by_path(root: Path, data: Array) -> None:
    np.testing.assert_array_equal(emasync.open_volume(root, "two", "one")[:], data[::-1])
    np.testing.assert_array_equal(emasync.open_volume(root, "two", "two", "s1")[:], data[:, ::-1][::2, ::2, ::2])


def test_a_volume_pickles_as_how_it_was_opened(root: Path, data: Array) -> None:
    volume = emasync.open_volume(root, "two", "one")
    block = volume.read((0, 0, 0), (8, 8, 8))

    text = pickle.dumps(volume)

    assert len(text) < 600
    np.testing.assert_array_equal(pickle.loads(text).read((0, 0, 0), (8, 8, 8)), block)  # noqa: S301 - our own


@pytest.mark.parametrize("options", [{"cache_bytes": 0}, {"threads": 1}, {"check": False}, {"engine": "tensorstore"}])
@pytest.mark.parametrize("dataset", ["whole", "box", "holes"])
def test_all_ways_to_read_give_the_same(root: Path, dataset: str, options: dict[str, Any]) -> None:
    volume, other = emasync.open_volume(root, dataset), emasync.open_volume(root, dataset, **options)
    low, high = volume.chunk_bounds.start, volume.chunk_bounds.stop
    random = np.random.default_rng(1)
    starts = random.integers(low, np.subtract(high, 9), (20, 3))

    np.testing.assert_array_equal(other[:], volume[:])
    np.testing.assert_array_equal(other.read_many(starts, (9, 9, 9)), volume.read_many(starts, (9, 9, 9)))


def test_an_unknown_engine_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="expected 'direct' or 'tensorstore'"):
        emasync.open_volume(root, "whole", engine="dask")  # type: ignore[arg-type]


def test_the_program_prints_and_saves_a_block(root: Path, tmp_path: Path, data: Array) -> None:
    out = tmp_path / "block.npy"
    arguments = ["block", str(root), "whole", "--start", "1,2,3", "--shape", "10,11,12", "--out", str(out)]

    result = CliRunner().invoke(app, arguments, catch_exceptions=False)

    expected = data[1:11, 2:13, 3:15]
    assert f"min: {expected.min()}\nmax: {expected.max()}\n" in result.stdout
    assert "shape: 10 x 11 x 12\ndtype: uint16\n" in result.stdout
    np.testing.assert_array_equal(np.load(out), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["block.npy"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["whole", "--start", "1,2,3", "--shape", "100,1,1"], 1),
        (["two", "--start", "1,2,3", "--shape", "1,1,1"], 1),
        (["whole", "--start", "1,x,3", "--shape", "1,1,1"], 2),
        (["whole", "--start", "1,2,3", "--shape", "1,1,1", "--select", "t"], 2),
        (["whole", "--start", "1,2,3", "--shape", "1,1,1", "--out", "/proc/nowhere/x.npy"], 4),
    ],
)
def test_the_program_says_what_is_wrong(root: Path, arguments: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["block", str(root), *arguments])
    assert ended.value.code == code
