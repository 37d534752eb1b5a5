"""Files that other programs wrote, and hostile ones beside them: one run describes all, as other readers do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.hooks.metadata.desk import run_hook
from tests.hooks.metadata.tables import Root, values, vector

from emasync.hooks.interface import DatasetFacts

Truth = dict[str, Any]
SHAPE, VOXEL = "shape_{}", "voxel_size_{}_nm"


@pytest.fixture(scope="module")
def truth(fixtures_folder: Path) -> Truth:
    """What other readers found."""
    found: Truth = json.loads((fixtures_folder / "TRUTH.json").read_text())
    return found


@pytest.fixture(scope="module")
def real(fixtures_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """All files as one dataset."""
    path = tmp_path_factory.mktemp("real")
    shutil.copytree(fixtures_folder, path / "d")
    run_hook(path, DatasetFacts(id="d", folder="d"))
    return Root(path)


@pytest.fixture(scope="module")
def assets(real: Root) -> dict[str, dict[str, Any]]:
    """By path."""
    return {asset["asset"]: asset for asset in real.dataset("d")["assets"]}


def told(truth: Truth, *kinds: str) -> Iterator[tuple[str, Any]]:
    return ((name, said) for name, said in truth.items() if name.partition("/")[0] in kinds)


def plain(dtype: str) -> str:
    return np.dtype(dtype).name


def test_nothing_surprised_anybody_and_hostile_files_are_noted(real: Root, assets: dict[str, dict[str, Any]]) -> None:
    notes = [*real.dataset("d")["notes"], *(note for asset in assets.values() for note in asset["notes"])]
    assert [note for note in notes if "please report" in note] == []
    hostile = [asset for name, asset in assets.items() if name.startswith(("hostile_tiff", "hostile_hdf5"))]
    assert len(hostile) == 21
    assert sum(bool(asset["notes"]) for asset in hostile) == 15
    assert {"bigtiff", "dm3", "dm4", "mrc", "n5", "nwb_hdf5", "precomputed", "zarr_v3"} < {
        name.partition("/")[0] for name in assets
    }


def test_tiff_files_have_the_pages_and_types_that_tifffile_finds(assets: dict[str, Any], truth: Truth) -> None:
    compared = 0
    for name, said in told(truth, "bigtiff", "imagej_tiff", "ome_tiff", "tiff_multipage", "tiff_compressed"):
        arrays = [one for one in assets[name]["arrays"] if one["scale"] is None]
        if len(said["series"]) != 1 or len(arrays) != 1 or "shape" not in said["series"][0]:
            continue  # several layouts are several arrays: test_index tells them apart
        series, (array,) = said["series"][0], arrays
        sizes = dict(zip(series["axes"].lower(), series["shape"], strict=True))
        assert values(array, "dtype", "shape_y", "shape_x") == [plain(series["dtype"]), sizes["y"], sizes["x"]], name
        compared += 1
    assert compared > 20


def test_dm_files_have_the_calibration_that_rosettasciio_finds(assets: dict[str, Any], truth: Truth) -> None:
    compared = 0
    factors = {"pm": 1e-3, "nm": 1.0, "µm": 1e3, "Å": 0.1, "A": 0.1}
    for name, said in told(truth, "dm3", "dm4"):
        images = said["rosettasciio"]
        arrays = assets[name]["arrays"]
        if not isinstance(images, list) or len(images) != 1 or len(arrays) != 1:
            continue
        axis = images[0]["axes"][-1]
        found = values(arrays[0], "shape_x", "voxel_size_x_nm")
        assert found[0] == axis["size"], name
        if axis["units"] in factors:
            assert found[1] == pytest.approx(axis["scale"] * factors[axis["units"]], rel=1e-6), name
            compared += 1
        else:
            assert found[1] is None, (name, axis["units"])
    assert compared >= 5


def test_mrc_files_have_the_cells_that_mrcfile_finds_and_negative_ones_are_refused(
    assets: dict[str, Any], truth: Truth
) -> None:
    compared = 0
    for name, said in told(truth, "mrc"):
        if name not in assets:
            continue  # compressed as a whole
        (array,) = assets[name]["arrays"]
        assert values(array, "dtype") == [plain(said["dtype"])]
        if said["mapc_mapr_maps"] == [1, 2, 3]:
            assert vector(array, SHAPE) == said["shape"], name
        sizes = [size / 10 if size > 0 else None for size in reversed(said["voxel_size_A_xyz"])]
        assert vector(array, VOXEL) == [None if size is None else pytest.approx(size, rel=1e-6) for size in sizes], name
        compared += 1
    assert compared == 4


def test_ome_zarr_images_have_the_scales_of_their_levels(assets: dict[str, Any], truth: Truth) -> None:
    compared = 0
    factors = {"nanometer": 1.0, "micrometer": 1e3}
    for name, said in told(truth, "ome_zarr_04", "ome_zarr_05"):
        for group, images in (said.get("ome_multiscales") or {}).items():
            asset = assets.get(name if group == "." else f"{name}/{group}")
            if asset is None or len(images) != 1 or not images[0].get("axes"):
                continue
            axes = images[0]["axes"]
            for array, (path, steps) in zip(asset["arrays"], images[0]["datasets"], strict=True):
                assert array["path"] == path
                scale = next(step["scale"] for step in steps if step["type"] == "scale")
                for axis, size in zip(axes, scale, strict=True):
                    if axis.get("unit") in factors and axis["name"] in "zyx":
                        expected = pytest.approx(size * factors[axis["unit"]])
                        assert values(array, f"voxel_size_{axis['name']}_nm") == [expected], (name, path)
                        compared += 1
    assert compared > 8


def test_arrays_have_the_shapes_and_types_that_other_readers_find(assets: dict[str, Any], truth: Truth) -> None:
    compared = 0
    for name, said in told(truth, "zarr_v2", "zarr_v3", "n5"):
        for path, array in (said.get("arrays") or {}).items():
            asset = assets.get(name if path in ("", ".") else f"{name}/{path}")
            if asset is None or len(asset["arrays"]) != 1 or not {"shape", "dimensions"} & set(array):
                continue
            shape = array["dimensions"][::-1] if "dimensions" in array else array["shape"]
            fields = asset["arrays"][0]["fields"]
            found = [fields[f"shape_{axis}"]["value"] for axis in "tczyx" if f"shape_{axis}" in fields]
            if len(shape) <= 3 and len(found) == len(shape):
                assert found == shape, (name, path)
                compared += 1
    assert compared > 30


def test_precomputed_volumes_sessions_and_streams(assets: dict[str, Any], truth: Truth) -> None:
    for name, said in told(truth, "precomputed"):
        scales = [one for one in said["scales"] if "size_xyz" in one]
        for array, scale in zip(assets[name]["arrays"], scales, strict=False):
            assert vector(array, SHAPE) == scale["size_xyz"][::-1], name
            assert vector(array, VOXEL) == [float(size) for size in scale["resolution_nm"][::-1]], name
    for name, said in told(truth, "nwb_hdf5"):
        rows = assets[name]["arrays"] or [assets[name]]
        assert values(rows[0], "metadata_convention") == [f"NWB {said['nwb_version'].removeprefix('NWB-')}"]
    streams = truth["ephys_binary/openephys_v0.6_multiexp"]["streams"]
    recording = assets["ephys_binary/openephys_v0.6_multiexp/Record Node 101/experiment1/recording1"]
    assert len(recording["arrays"]) == len(streams) == 3
    for array in recording["arrays"]:
        said = streams[f"Record Node 101/experiment1/recording1/{array['path']}"]
        assert values(array, "n_samples", "n_channels", "sampling_rate_hz") == [*said["shape"], said["sample_rate"]]
        assert values(array, "value_scale") == [pytest.approx(said["bit_volts_0"])]
        assert values(array, "value_unit") == ["V" if "NI-DAQ" in array["path"] else "uV"]
