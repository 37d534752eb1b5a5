"""The five electron microscopy sets of the shipped manifest, field by field, as their source documents have it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.hooks.metadata.tables import Root, conflict, sources, values, vector

VOXEL, SHAPE = "voxel_size_{}_nm", "shape_{}"


@pytest.fixture
def em(shipped: Callable[[str], Root]) -> Root:
    return shipped("em-datasets")


def test_epfl_trap_8_the_voxel_size_comes_from_the_manifest_and_says_so(em: Root) -> None:
    (array,) = em.asset("epfl-hippocampus")["arrays"]
    assert vector(array, VOXEL) == [5.0, 5.0, 5.0]
    assert sources(array, VOXEL) == ["manifest"] * 3
    assert array["fields"]["voxel_size_z_nm"]["where"] == "datasets[epfl-hippocampus]: metadata.voxel_size (z)"
    assert vector(array, SHAPE) == [60, 96, 128], "z, y, x of the twin"
    assert values(array, "dtype", "axes", "lossy", "isotropic") == ["uint8", "z,y,x", False, True]


def test_idr_trap_3_and_4_pages_and_the_distance_of_pages_come_from_the_description(em: Root) -> None:
    (array,) = em.asset("idr-u2os")["arrays"]
    assert vector(array, VOXEL) == [20.0, 20.0, 20.0]
    assert sources(array, VOXEL) == ["header"] * 3
    assert array["fields"]["voxel_size_z_nm"]["original"] == "0.02 µm"
    assert vector(array, SHAPE) == [23, 97, 141], "not swapped, not one slice"


def test_nacc_2_a_box_is_described_as_a_part_of_the_published_array(em: Root) -> None:
    asset = em.asset("nacc-2-box")
    (array,) = asset["arrays"]
    assert asset["asset"] == "recon-2/em/fibsem-int16"
    assert (array["path"], array["scale"]) == ("s0", 0)
    assert vector(array, SHAPE) == [564, 2520, 2596]
    assert vector(array, VOXEL) == [2.96, 4.0, 4.0]
    assert vector(array, "box_start_{}") == [128, 1024, 1024]
    assert vector(array, "box_shape_{}") == [256, 256, 256]
    assert values(array, "dtype", "codec_chain", "n_chunks_expected", "completeness") == ["int16", "zstd:1", 64, 1.0]
    assert array["coverage"]["state"] == "complete"
    assert values(asset, "license_spdx", "doi_data") == ["CC-BY-4.0", ["10.25378/janelia.24222898"]]


def test_hemibrain_is_lossy_and_has_the_size_that_its_info_tells(em: Root) -> None:
    asset = em.asset("hemibrain")
    (array,) = asset["arrays"]
    assert vector(array, SHAPE) == [41394, 39725, 34427], "hemibrain.md trap 1: four sizes are in circulation"
    assert vector(array, VOXEL) == [8.0, 8.0, 8.0]
    assert vector(array, "box_shape_{}") == [1000, 1000, 1000]
    assert vector(array, "hull_shape_{}") == [1024, 1024, 1024]
    assert values(array, "lossy", "codec_chain", "is_label") == [True, "jpeg, shard gzip", False]
    assert values(array, "n_chunks_expected", "n_chunks_present") == [4096, 4096]
    assert asset["document"] == "metadata/hemibrain/hemibrain.json"


def test_each_asset_has_a_document_of_its_own_and_a_line_in_the_table(em: Root) -> None:
    assets = [asset for dataset in em.document["datasets"] for asset in dataset["assets"]]
    assert all((em.path / asset["document"]).is_file() for asset in assets)
    lines = {(row["dataset_id"], row["asset_id"], row["scale_level"]) for row in em.rows()}
    assert ("nacc-2-box", "recon-2/em/fibsem-int16", "0") in lines
    assert len(lines) == sum(max(1, len(asset["arrays"])) for asset in assets)


def test_empiar_trap_1_2_5_and_9_the_series_is_a_volume_of_50_nm_and_the_depositors_sizes_are_a_conflict(
    em: Root,
) -> None:
    asset = em.asset("empiar-11759")
    (array,) = asset["arrays"]
    assert (asset["asset"], asset["kind"], len(asset["files"])) == ("data", "series", 16)
    assert vector(array, SHAPE) == [16, 344, 343]
    assert vector(array, VOXEL) == [50.0, 7.99825042486, 7.99825042486], "not 8 nm along z"
    assert array["fields"]["voxel_size_z_nm"]["where"].endswith("ImageTags/Meta Data/Dimension info/2")
    about = conflict(array, "shape_y")
    assert about["chosen"]["value"] == 344
    assert {(one["value"], one["source"]) for one in about["others"]} == {(5632, "api")}
    assert "voxel_size_x_nm" not in {one["field"] for one in array["conflicts"]}, "80 Angstrom is the same, rounded"
    assert values(asset, "acquired_at", "voltage_kv", "instrument") == ["2018-06-11T22:26:45", 1.9, "FEI Quanta"]
    assert values(asset, "license_spdx", "technique", "accession") == ["CC0-1.0", "SBF-SEM", "EMPIAR-11759"]
    assert asset["fields"]["license_spdx"]["source"] == "webpage"


def test_idr_the_archives_word_and_the_files_agree_or_the_conflict_is_told(em: Root) -> None:
    asset = em.asset("idr-u2os")
    assert asset["conflicts"] == []
    assert asset["arrays"][0]["conflicts"] == []
    assert values(asset, "organism", "accession") == ["Homo sapiens", "IDR image 9846137"]
    assert asset["fields"]["organism"]["where"] == "idr/annotations-9846137.json: annotations[0]: Organism"
