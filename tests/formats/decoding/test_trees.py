"""Other people's trees, decoded chunk by chunk to what independent readers found."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.formats.decoding.whole import digest, of_tree, truth

from emasync.errors import ErrorKind
from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import decoder_for, layout_of
from emasync.formats.interface import ArrayDescription
from emasync.formats.n5.walk import N5Walk
from emasync.formats.precomputed.info import parse_info
from emasync.formats.precomputed.walk import describe_volume
from emasync.formats.zarr import ZarrWalk

Discover = Callable[..., Any]

ZARR = [
    "ome_zarr_04/neuroglancer_simple_0.4",
    "ome_zarr_04/viv_bioformats-zarr",
    "ome_zarr_04/zarr-java_ome_v0.4",
    "ome_zarr_04/zarr-java_ome_v0.4_hcs",
    "ome_zarr_05/neuroglancer_simple_0.5",
    "ome_zarr_05/zarr-java_ome_v0.5_hcs",
    "ome_zarr_05/zarr-java_ome_v0.6_scene",
    "zarr_v2/n5-zarr_dimensionOrder.zarr",
    "zarr_v2/netcdf-c__ref_oldformat.zip",
    "zarr_v2/netcdf-c__ref_power_901_constants_orig.zip",
    "zarr_v2/netcdf-c_ref_data.zarr",
    "zarr_v2/webknossos_simple_zarr_dataset",
    "zarr_v2/zarrita.js__data.zipped_from_within.zarr.zip",
    "zarr_v2/zarrs_v2",
    "zarr_v3/n5-zarr_shard_test.zarr",
    "zarr_v3/zarr-java_shard_index_end",
    "zarr_v3/zarr-java_shard_index_start",
    "zarr_v3/zarrita_js_v3_data.zarr",
    "zarr_v3/zarrs_array_write_read",
    "zarr_v3/zarrs_sharded_array_write_read",
]
BIG_ENDIAN_TEXT = ("1d.contiguous.U13.be",)
"""Whose digest is that of its bytes as they are."""

N5 = [
    "n5/n5_backward_2.5.1.n5",
    "n5/n5_backward_3.1.3.n5",
    "n5/webknossos_simple_n5",
    "n5/zarr_implementations_n5-java.n5",
    "n5/zarr_implementations_zarr.n5",
]


def all_arrays(discovery: Any) -> dict[str, ArrayDescription]:
    levels = {level.array.path: level.array for image in discovery.images.values() for level in image.levels}
    return {**discovery.arrays, **levels}


def unpacked(path: Path, tmp_path: Path) -> Path:
    """The tree in a zip file, as a folder."""
    if path.suffix != ".zip":
        return path
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.mark.parametrize("unit", ZARR)
def test_zarr_arrays_have_the_voxels_that_others_found(
    fixtures_folder: Path, discover: Discover, tmp_path: Path, unit: str
) -> None:
    folder = unpacked(fixtures_folder / unit, tmp_path)
    arrays = all_arrays(discover(folder, walk_of=ZarrWalk))
    compared = 0
    for path, found in truth(fixtures_folder)[unit]["arrays"].items():
        facts = found
        array = arrays["" if path == "." else path]
        if path == "array_pcodec_C.zarr":  # no reader there had it; it is one of several with the same voxels
            facts = truth(fixtures_folder)[unit]["arrays"]["array_none_C.zarr"]
        if not facts.get("sha256"):  # text and objects, whose size is not fixed
            with pytest.raises(NoDecoderError) as refused:
                decoder_for(layout_of(array))
            assert refused.value.kind is ErrorKind.NOT_BUILT
            continue
        voxels = of_tree(folder, array)
        assert list(voxels.shape) == facts["shape"]
        as_kept = voxels.view("u1") if path in BIG_ENDIAN_TEXT else voxels
        assert digest(as_kept) == facts["sha256"], path
        compared += 1
    assert compared


PRECOMPUTED = [
    "precomputed/cloudvolume_compresso_seg_unsharded",
    "precomputed/webknossos_png_gray",
    "precomputed/webknossos_png_rgb",
]


@pytest.mark.parametrize("unit", PRECOMPUTED)
def test_precomputed_scales_have_the_voxels_that_others_found(fixtures_folder: Path, tmp_path: Path, unit: str) -> None:
    folder = fixtures_folder / unit
    documents = {"info": (folder / "info").read_bytes()}
    image = describe_volume("", parse_info("info", documents["info"], ""), documents)
    compared = 0
    for level, facts in zip(image.levels, truth(fixtures_folder)[unit]["scales"], strict=True):
        if "sha256_czyx" in facts:  # of others no chunks were kept
            plain = unzipped(folder / level.array.path, tmp_path / level.array.path)
            voxels = of_tree(plain.parent, level.array, documents)
            assert digest(voxels) == facts["sha256_czyx"]
            compared += 1
    assert compared


def unzipped(folder: Path, to: Path) -> Path:
    """Chunks as a server would give them: CloudVolume keeps them zipped on disk, and says so in their names."""
    to.mkdir()
    for path in folder.iterdir():
        data = path.read_bytes()
        (to / path.name.removesuffix(".gz")).write_bytes(gzip.decompress(data) if path.suffix == ".gz" else data)
    return to


@pytest.mark.parametrize("unit", N5)
def test_n5_datasets_have_the_voxels_that_others_found(fixtures_folder: Path, discover: Discover, unit: str) -> None:
    folder = fixtures_folder / unit
    arrays = all_arrays(discover(folder, walk_of=N5Walk))
    for path, facts in truth(fixtures_folder)[unit]["arrays"].items():
        voxels = of_tree(folder, arrays[path])
        reference = facts if "sha256_reversed" in facts else truth(fixtures_folder)[unit]["arrays"]["gzip"]
        assert digest(voxels) == reference["sha256_reversed"], path
