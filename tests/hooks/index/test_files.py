"""Real files by other people's writers: what other readers find is in the index, and decodes to the same voxels."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.hooks.index.assembling import assembled
from tests.hooks.index.places import arrays, indexed

from emasync.volume.index import DatasetIndex
from emasync.volume.interface import IndexedArray

Truth = dict[str, dict[str, Any]]

HDF5 = (
    "hdf5/jhdf__test_userblock_latest.hdf5",
    "hdf5/jhdf__test_byteshuffle_compressed_datasets_earliest.hdf5",
    "hdf5/kerchunk__air.nc",
    "nwb_hdf5/pynwb__1.1.2_nwbfile.nwb",
)
"""A process is started for each: others are described by the tests of the format."""

TREES = (
    "ome_zarr_04/neuroglancer_simple_0.4",
    "ome_zarr_05/neuroglancer_simple_0.5",
    "zarr_v2/zarrs_v2",
    "zarr_v3/zarr-java_shard_index_end",
    "zarr_v3/zarr-java_shard_index_start",
    "zarr_v3/zarrita_js_v3_data.zarr",
    "n5/webknossos_simple_n5",
    "n5/neuroglancer_n5_multiscale_deprecated",
)


ODD_IMAGES = {
    "dm3/rsciio3D__test-8.dm3",  # colours, which the other reader orders otherwise
    "dm3/rsciio3D__test-23.dm3",
    "dm4/rsciio3D__test-14.dm4",  # truth values, which it reads as bytes
    "dm4/rosettasciio__test_fft_packed_complex8.dm4",  # a packed half of a transform: a note says so
}

UNDECODED = ("array_pcodec_C.zarr", "array_zfpy_C.zarr")
"""Nothing here decodes them."""


@pytest.fixture(scope="module")
def truth(fixtures_folder: Path) -> Truth:
    found: Truth = json.loads((fixtures_folder / "TRUTH.json").read_text())
    return found


@pytest.fixture(scope="module")
def root(fixtures_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real files as one dataset: all TIFF, DM and MRC, some of the others."""
    made = tmp_path_factory.mktemp("real")
    for kind in ("bigtiff", "imagej_tiff", "ome_tiff", "tiff_multipage", "dm3", "dm4", "mrc", "ephys_binary", *TREES):
        shutil.copytree(fixtures_folder / kind, made / "d" / kind)
    for name in HDF5:
        (made / "d" / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(fixtures_folder / name, made / "d" / name)
    return made


@pytest.fixture(scope="module")
def index(root: Path) -> DatasetIndex:
    return indexed(root)[0]


def digest(voxels: NDArray[Any]) -> str:
    """SHA-256 of voxels in C order, little-endian, as TRUTH.json has it."""
    little = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()


def files_of(truth: Truth, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, told) for name, told in truth.items() if name.startswith(kinds))


def pictures(index: DatasetIndex, asset: str) -> list[IndexedArray]:
    return [array for array in index.arrays(asset) if array.role == "image"]


def test_pages_of_tiff_files(index: DatasetIndex, root: Path, truth: Truth) -> None:
    compared = 0
    for name, told in files_of(truth, "bigtiff", "imagej_tiff", "tiff_multipage"):
        if not (root / "d" / name).is_file() or any("sha256" not in page for page in told["pages"]):
            continue
        shapes = {tuple(page["shape"]) for page in told["pages"]}
        found = pictures(index, name)
        if len(shapes) > 1 or len(found) != 1:  # several layouts are several arrays: pages are told apart by the format
            assert len(found) == len(shapes), name
            continue
        voxels = assembled(found[0], root)
        planes = voxels.reshape(len(told["pages"]), *told["pages"][0]["shape"])
        assert [digest(plane) for plane in planes] == [page["sha256"] for page in told["pages"]], name
        compared += 1
    assert compared > 15


def test_images_of_dm_files_and_no_thumbnails(index: DatasetIndex, root: Path, truth: Truth) -> None:
    """But for a packed transform, and a thumbnail that the other reader takes for an image."""
    unmatched, compared = [], 0
    for name, told in files_of(truth, "dm3", "dm4"):
        found = {digest(assembled(array, root)) for array in pictures(index, name)}
        for item in told.get("ncempy_file_order", ()):
            compared += 1
            if item.get("sha256") not in found:
                unmatched.append(name)
        assert all(array.role == "thumbnail" for array in index.arrays(name) if array.array == "ImageList/0")
    assert compared > 20
    assert set(unmatched) == ODD_IMAGES


def test_calibrations_of_dm_files(index: DatasetIndex) -> None:
    (array,) = pictures(index, "dm3/openncem__dmTest_float32_nonSquare_diffPixelSize.dm3")
    assert [measure and (measure.value, measure.unit) for measure in array.measures] == [(2.0, "A"), (1.0, "nm")]
    assert array.measures[0] is not None
    assert "ImageList/1" in array.measures[0].source


def test_volumes_of_mrc_files(index: DatasetIndex, root: Path, truth: Truth) -> None:
    compared = [
        digest(assembled(pictures(index, name)[0], root)) == told["sha256"]
        for name, told in files_of(truth, "mrc")
        if "sha256" in told and name.endswith((".mrc", ".map"))
    ]
    assert compared
    assert all(compared)


def test_every_dataset_of_numbers_of_hdf5_files(index: DatasetIndex, root: Path, truth: Truth) -> None:
    compared = 0
    for name in HDF5:
        found = {array.path: array for array in index.arrays(name)}
        for path, told in truth[name]["datasets"].items():
            if told["layout"] == "compact" or told.get("little_endian_dtype", "|O")[1] not in "biufc":
                continue
            array = found[path.lstrip("/")]
            assert array.shape == tuple(told["shape"]), path
            assert digest(assembled(array, root)) == told["sha256"], path
            compared += 1
    assert compared > 8


def test_arrays_of_trees(root: Path, index: DatasetIndex, truth: Truth) -> None:
    found = {f"{asset}/{path}".rstrip("/"): array for (asset, path, _), array in arrays(index).items()}
    compared = 0
    for tree in TREES:
        for path, told in truth.get(tree, {}).get("arrays", {}).items():
            array = found.get(f"{tree}/{path.strip('.')}".rstrip("/"))
            whole = told.get("nchunks_initialized") == told.get("nchunks")  # without a ledger others are unknown
            if array is None or not whole or "sha256" not in told or path.endswith(UNDECODED):
                assert array is not None or not told.get("dtype", "|O").startswith(("<", "|u", "|i", "|b")), path
                continue
            assert array.shape == tuple(told["shape"])
            assert digest(assembled(array, root)) == told["sha256"], path
            compared += 1
    assert compared > 12


def test_streams_of_open_ephys(root: Path, index: DatasetIndex, truth: Truth) -> None:
    streams = truth["ephys_binary/openephys_v0.6_multiexp"]["streams"]
    for path, told in streams.items():
        asset, _, array = f"ephys_binary/openephys_v0.6_multiexp/{path}".partition("/continuous/")
        (found,) = [item for item in index.arrays(asset) if item.path == f"continuous/{array}"]
        assert (found.axes, found.shape) == (("time", "channel"), tuple(told["shape"]))
        assert digest(assembled(found, root)) == told["sha256"]
        assert found.measures[0] is not None
        assert (found.measures[0].value, found.measures[0].unit) == (1 / told["sample_rate"], "s")
        gains = found.attributes["gain_uv"]
        assert (gains[0] if isinstance(gains, list) else gains) == told["bit_volts_0"]
