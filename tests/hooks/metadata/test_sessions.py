"""Sessions, recordings and light-sheet assets of the shipped manifests, as their source documents have them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.hooks.metadata.tables import Root, conflict, values, vector

TILE = "exaSPIM_708373_2024-04-02_19-49-38/SPIM.ome.zarr/tile_x_0001_y_0000_z_0000_ch_488.zarr"


def test_aind_a_coarse_level_keeps_its_number_its_voxels_and_the_sidecars_of_its_asset(
    shipped: Callable[[str], Root],
) -> None:
    asset = shipped("aind-exaspim").asset("exaspim-708373", TILE)
    (array,) = asset["arrays"]
    assert array["scale"] == 5
    assert vector(array, "voxel_size_{}_nm") == [32000.0, 23936.0, 23936.0]
    assert array["conflicts"] == [], "0.748 um of the sidecar is the finest level's"
    assert values(array, "axes", "shape_t", "shape_c", "codec_chain") == ["t,c,z,y,x", 1, 1, "blosc:zstd:1"]
    assert values(asset, "subject_id", "sex", "instrument") == ["708373", "male", "exaSPIM1-1"]
    assert asset["fields"]["sex"]["source"] == "sidecar"
    assert values(asset, "acquired_at") == ["2024-04-02T19:49:38"]
    assert asset["fields"]["acquired_at"]["source"] == "assumed", "no sidecar says so, only the name"


def test_aind_assets_of_sidecars_alone_are_described(shipped: Callable[[str], Root]) -> None:
    root = shipped("aind-exaspim")
    fused = "exaSPIM_708373_2024-04-02_19-49-38_fusion_2024-06-12_11-58-05"
    asset = root.asset("subject-708373", fused)
    assert (asset["kind"], asset["arrays"]) == ("sidecars", [])
    assert values(asset, "parent_asset", "subject_id") == ["exaSPIM_708373_2024-04-02_19-49-38", "708373"]
    assert [row["asset_id"] for row in root.rows()].count(fused) == 1


def test_pasteur_trap_6_both_voxel_sizes_are_kept(shipped: Callable[[str], Root]) -> None:
    root = shipped("pasteur-exaspim")
    sidecars = root.asset("pasteur-exaspim-sidecars")
    about = conflict(sidecars, "voxel_size_x_nm")
    assert (about["chosen"]["value"], about["chosen"]["note"]) == (748.0, "before expansion correction")
    assert [(one["value"], one["note"]) for one in about["others"]] == [(249.0, "after expansion correction")]
    assert values(sidecars, "subject_id", "organism", "license_spdx") == ["MOUSE001", "Mus musculus", "CC-BY-4.0"]
    (array,) = root.asset("pasteur-exaspim")["arrays"]
    assert array["scale"] == 2, "trap 7: levels are 0, 1, 2"
    assert vector(array, "voxel_size_{}_nm") == [4000.0, 2992.0, 2992.0]


def test_open_data_trap_6_a_licence_in_prose_stays_text(shipped: Callable[[str], Root]) -> None:
    dataset = shipped("aind-ephys-benchmark").dataset("ephys-benchmark-np2")
    assert values(dataset, "license_spdx", "license_url") == [
        "CC-BY-4.0",
        "https://creativecommons.org/licenses/by/4.0/",
    ]
    assert dataset["fields"]["license_spdx"]["source"] == "manifest"
    assert dataset["fields"]["license_text"]["value"].endswith(", and more")


def test_the_recording_has_rate_channels_and_the_length_that_its_size_tells(shipped: Callable[[str], Root]) -> None:
    asset = shipped("aind-ephys-benchmark").asset("ephys-benchmark-np2")
    (array,) = asset["arrays"]
    assert values(array, "sampling_rate_hz", "n_channels", "n_samples") == [30000.0, 16, 15000]
    assert values(array, "duration_s", "dtype", "format") == [0.5, "int16", "binary"]
    assert values(asset, "probe", "subject_id", "acquired_at") == ["Neuropixels 2.0", "595262", "2022-02-21T15:18:07"]


@pytest.fixture
def dandi(shipped: Callable[[str], Root]) -> Root:
    return shipped("dandi-000728")


@pytest.mark.parametrize(
    ("name", "codecs"), [("behavior+image+ophys.nwb", "shuffle, gzip"), ("ecephys.nwb.zarr", None)]
)
def test_nwb_in_both_containers_tells_session_and_subject(dandi: Root, name: str, codecs: str | None) -> None:
    asset = dandi.asset("visual-coding", f"sub-491604983/sub-491604983_ses-501560436-StimC_{name}")
    assert values(asset, "subject_id", "age", "sex") == ["491604983", "P147DT82800S", "male"]
    assert values(asset, "organism", "session_id") == ["Mus musculus", "501560436-StimC"]
    assert values(asset, "acquired_at") == ["2016-02-18T11:03:05.123456-08:00"], "nwb.md trap 2: the zone is kept"
    assert values(asset, "accession", "version", "license_spdx") == ["DANDI:000728", "draft", "CC-BY-4.0"]
    traces = next(one for one in asset["arrays"] if one["path"] == "acquisition/ElectricalSeries/data")
    assert values(traces, "sampling_rate_hz", "n_channels", "n_samples") == [1250.0, 8, 5000]
    assert values(traces, "duration_s", "value_unit", "dtype") == [4.0, "volts", "int16"]
    assert codecs is None or values(traces, "codec_chain") == [codecs]


def test_a_session_whose_name_and_header_differ_is_a_conflict(dandi: Root) -> None:
    asset = dandi.asset("visual-coding", "sub-491604983/sub-491604983_ses-495607822-StimA_behavior+image+ophys.nwb")
    about = conflict(asset, "session_id")
    assert (about["chosen"]["value"], about["chosen"]["source"]) == ("495607822-StimC", "header")
    assert [(one["value"], one["source"]) for one in about["others"]] == [("495607822-StimA", "assumed")]
    digests = dict(zip(("sha256", "checksum_source"), values(asset, "sha256", "checksum_source"), strict=True))
    assert len(digests["sha256"]) == 64
    assert digests["checksum_source"] == "publisher, computed"


def test_the_zarr_checksum_of_the_archive_is_kept(dandi: Root) -> None:
    asset = dandi.asset("visual-coding", "sub-491604983/sub-491604983_ses-501560436-StimC_ecephys.nwb.zarr")
    (digest,) = values(asset, "other_digests")
    assert digest.startswith("dandi-zarr-checksum:")
