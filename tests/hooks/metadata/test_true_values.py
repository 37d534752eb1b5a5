"""What the documents about each source say is true, field by field, from runs against its twin.

The five volumes are looked over in true size (``--metadata-only`` reads kilobytes of gigabytes); recordings, sessions
and light-sheet assets are those of the shipped manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.hooks.metadata.tables import Root, conflict

from emasync import api
from emasync.manifest.load import parse_manifest
from emasync.testing import empiar, epfl, idr
from emasync.testing.archive_twin import together
from emasync.testing.demonstration import chosen
from emasync.testing.shipped import hemibrain, openorganelle

VOLUME = "s3://janelia-cosem-datasets/jrc_mus-nacc-2/jrc_mus-nacc-2.zarr"
LABELS = "gs://neuroglancer-janelia-flyem-hemibrain/v1.2/segmentation"
SLICES = "data/F57-8_test1_3VBSED_slice_0000.dm3: ImageList/1"

MORE = f"""
  - {{id: nacc-2, source: bucket, url: "{VOLUME}", region: us-east-1, arrays: [recon-2/em/fibsem-int16]}}
  - {{id: labels, source: bucket, url: "{LABELS}", format: precomputed, role: labels}}
"""


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Root, int]]:
    """The root of ``em-datasets`` and of all levels, headers alone, and how many bytes the archives sent for it."""
    twin = together(
        epfl.hippocampus(epfl.TRUE_SHAPE),
        empiar.retina(empiar.TRUE_PAGE),
        idr.u2os(idr.TRUE_SHAPE),
        openorganelle.twin(),
        hemibrain.twin(),
    )
    root = tmp_path_factory.mktemp("volumes")
    (entry,) = chosen(["em-datasets"])
    manifest = parse_manifest(entry.text + MORE, file="em.yaml", environ={})
    with twin.serve() as archive:
        settings = replace(manifest.settings, mirrors=twin.mirrors(archive.url))
        options = api.RunOptions(metadata_only=True)
        receipt = api.run(replace(manifest, settings=settings), root=root, options=options)
        assert receipt.ok, receipt.failures
        yield Root(root), archive.bytes_sent


def zyx(name: str, values: tuple[Any, ...], source: str = "header") -> dict[str, tuple[Any, str]]:
    """Expected values along the axes of space."""
    return {name.format(axis): (value, source) for axis, value in zip("zyx", values, strict=True)}


SHAPE, VOXEL, ORIGIN, CHUNK = "shape_{}", "voxel_size_{}_nm", "origin_{}_nm", "chunk_{}"

TRUE: dict[str, dict[str, tuple[Any, str]]] = {
    "epfl-hippocampus": {  # epfl.md, sections 1 to 4
        **zyx(SHAPE, (1065, 1536, 2048)),
        **zyx(VOXEL, (5.0, 5.0, 5.0), "manifest"),
        **zyx("extent_{}_um", (5.325, 7.68, 10.24), "computed"),
        "dtype": ("uint8", "header"),
        "codec_chain": ("none", "header"),
        "isotropic": (True, "computed"),
        "processing": (["InsightToolkit"], "header"),
        "tissue": ("hippocampus CA1", "manifest"),
        "citation": ("https://www.epfl.ch/labs/cvlab/data/data-em/", "manifest"),
    },
    "empiar-11759": {  # empiar.md, sections 1 and 4
        **zyx(SHAPE, (16, 5500, 5496)) | {"shape_z": (16, "computed")},
        **zyx(VOXEL, (50.0, 7.99825042486, 7.99825042486)),
        "dtype": ("uint8", "header"),
        "format": ("dm3", "header"),
        "acquired_at": ("2018-06-11T22:26:45", "header"),
        "license_spdx": ("CC0-1.0", "webpage"),
        "doi_data": (["10.6019/EMPIAR-11759"], "api"),
        "accession": ("EMPIAR-11759", "api"),
        "version": ("2024-01-15", "api"),
        "technique": ("SBF-SEM", "api"),
        "organism": ("Danio rerio", "manifest"),
        "tissue": ("retina", "manifest"),
        "developmental_stage": ("larva, 55 hpf", "manifest"),
    },
    "idr-u2os": {  # idr.md, sections 1 and 3.1
        **zyx(SHAPE, (184, 775, 1121)),
        **zyx(VOXEL, (20.0, 20.0, 20.0)),
        "shape_c": (1, "api"),
        "shape_t": (1, "api"),
        "dtype": ("uint8", "header"),
        "metadata_convention": ("ImageJ 1.52p", "header"),
        "title": ("Figure_S3B_FIB-SEM_U2OS_20x20x20nm_xy.tif", "api"),
        "accession": ("IDR image 9846137", "api"),
        "license_spdx": ("CC-BY-4.0", "manifest"),
        "doi_data": (["10.17867/10000141d"], "manifest"),
        "doi_paper": (["10.1126/sciadv.aba8811"], "manifest"),
        "organism": ("Homo sapiens", "api"),
        "tissue": ("U2OS", "manifest"),
        "technique": ("FIB-SEM", "manifest"),
        "processing": (["rescaled to 125 % along the milling axis"], "manifest"),
    },
    "nacc-2-box": {  # openorganelle.md, section 1
        **zyx(SHAPE, (564, 2520, 2596)),
        **zyx(VOXEL, (2.96, 4.0, 4.0)),
        **zyx(ORIGIN, (0.0, 0.0, 0.0)),
        **zyx(CHUNK, (64, 64, 64)),
        **zyx("extent_{}_um", (1.66944, 10.08, 10.384), "computed"),
        "axes": ("z,y,x", "header"),
        "dtype": ("int16", "header"),
        "codec_chain": ("zstd:1", "header"),
        "lossy": (False, "header"),
        "format": ("zarr", "header"),
        "format_version": ("2", "header"),
        "metadata_convention": ("OME-NGFF 0.4", "header"),
        "voxel_unit": ("nanometer", "header"),
        "license_spdx": ("CC-BY-4.0", "manifest"),
        "doi_data": (["10.25378/janelia.24222898"], "manifest"),
        "acquired_at": ("2015-03-09", "manifest"),
        "voltage_kv": (0.2, "manifest"),
        "current_na": (0.22, "manifest"),
        "scan_rate_mhz": (0.4, "manifest"),
    },
    "hemibrain": {  # hemibrain.md, section 1.1
        **zyx(SHAPE, (41394, 39725, 34427)),
        **zyx(VOXEL, (8.0, 8.0, 8.0)),
        **zyx(CHUNK, (64, 64, 64)),
        "dtype": ("uint8", "header"),
        "codec_chain": ("jpeg, shard gzip", "header"),
        "lossy": (True, "header"),
        "is_label": (False, "header"),
        "doi_paper": (["10.7554/eLife.57443"], "manifest"),
        "organism": ("Drosophila melanogaster", "manifest"),
    },
    "labels": {  # hemibrain.md, section 1.1: it is not as large as the image
        **zyx(SHAPE, (41408, 39552, 34432)),
        **zyx(VOXEL, (8.0, 8.0, 8.0)),
        "dtype": ("uint64", "header"),
        "codec_chain": ("compressed_segmentation, shard gzip", "header"),
        "lossy": (False, "header"),
        "is_label": (True, "header"),
    },
}


@pytest.mark.parametrize("dataset", TRUE)
def test_a_volume_has_the_values_that_its_source_document_states(volumes: tuple[Root, int], dataset: str) -> None:
    asset = volumes[0].asset(dataset)
    fields = {**asset["fields"], **asset["arrays"][0]["fields"]}
    found = {name: (fields.get(name, {}).get("value"), fields.get(name, {}).get("source")) for name in TRUE[dataset]}
    assert found == TRUE[dataset]


@pytest.mark.parametrize("dataset", TRUE)
def test_conflicts_are_told_where_sources_disagree_and_nowhere_else(volumes: tuple[Root, int], dataset: str) -> None:
    """empiar.md trap 1: the size that the depositor typed is wrong; 80 Angstrom are 7.998 nm, rounded."""
    asset = volumes[0].asset(dataset)
    told = {item["field"] for part in (asset, *asset["arrays"]) for item in part["conflicts"]}
    assert told == ({"shape_y", "shape_x"} if dataset == "empiar-11759" else set())


def test_empiar_trap_1_and_2_whoever_says_another_size_is_named(volumes: tuple[Root, int]) -> None:
    (array,) = volumes[0].asset("empiar-11759")["arrays"]
    for name, true, typed in (("shape_y", 5500, 5632), ("shape_x", 5496, 5628)):
        about = conflict(array, name)
        assert (about["chosen"]["value"], about["chosen"]["where"]) == (true, SLICES)
        assert {(one["value"], one["source"], one["where"].partition(":")[0]) for one in about["others"]} == {
            (typed, "api", "empiar/EMPIAR-11759.json"),
            (typed, "api", "empiar/11759.xml"),
        }
        assert about["rule"].startswith("header over sidecar")


@pytest.mark.parametrize(
    ("level", "shape", "scale", "translation"),
    [  # openorganelle.md, section 1.1, rounded to 12 digits; trap 6: halves are rounded down
        (0, (564, 2520, 2596), (2.96, 4.0, 4.0), (0.0, 0.0, 0.0)),
        (1, (282, 1260, 1298), (5.92, 8.0, 8.0), (1.48, 2.0, 2.0)),
        (2, (141, 630, 649), (11.84, 16.0, 16.0), (4.44, 6.0, 6.0)),
        (3, (70, 315, 324), (23.68, 32.0, 32.0), (10.36, 14.0, 14.0)),
        (4, (35, 157, 162), (47.36, 64.0, 64.0), (22.2, 30.0, 30.0)),
        (5, (17, 78, 81), (94.72, 128.0, 128.0), (45.88, 62.0, 62.0)),
        (6, (8, 39, 40), (189.44, 256.0, 256.0), (93.24, 126.0, 126.0)),
        (7, (4, 19, 20), (378.88, 512.0, 512.0), (187.96, 254.0, 254.0)),
        (8, (2, 9, 10), (757.76, 1024.0, 1024.0), (377.4, 510.0, 510.0)),
    ],
)
def test_all_levels_of_nacc_2(
    volumes: tuple[Root, int], level: int, shape: tuple[int, ...], scale: Any, translation: Any
) -> None:
    arrays = volumes[0].asset("nacc-2")["arrays"]
    assert len(arrays) == 9
    array = arrays[level]
    expected = {**zyx(SHAPE, shape), **zyx(VOXEL, scale), **zyx(ORIGIN, translation)}
    assert {name: (array["fields"][name]["value"], "header") for name in expected} == expected
    assert (array["path"], array["scale"]) == (f"s{level}", level)


def test_nothing_but_headers_was_fetched_and_nothing_is_said_to_be_here(volumes: tuple[Root, int]) -> None:
    root, bytes_sent = volumes
    assert bytes_sent < 4 << 20, "of 4.6 GB"
    assert [asset["fields"]["access_url"]["value"] for asset in root.dataset("epfl-hippocampus")["assets"]] == [
        f"https://{epfl.FOLDER}/volumedata.tif".replace(" ", "%20")
    ]
    assert not [path for path in root.path.rglob("*") if path.suffix in (".tif", ".dm3")]
    for row in root.rows():
        assert row["bytes_on_disk"] in ("", "0")
        assert row["completeness"] in ("", "0.0", "0")


SESSIONS: dict[tuple[str, str, str], dict[str, tuple[Any, str]]] = {
    ("aind-exaspim", "exaspim-708373", "SPIM.ome.zarr/tile_x_0001_y_0000_z_0000_ch_488.zarr"): {  # aind.md, 2 to 4
        "subject_id": ("708373", "sidecar"),
        "sex": ("male", "sidecar"),
        "instrument": ("exaSPIM1-1", "sidecar"),
        "acquired_at": ("2024-04-02T19:49:38", "assumed"),
        "license_spdx": ("CC-BY-4.0", "manifest"),
        "axes": ("t,c,z,y,x", "header"),
        "dtype": ("uint16", "header"),
        **zyx(VOXEL, (32000.0, 23936.0, 23936.0)),
        "codec_chain": ("blosc:zstd:1", "header"),
    },
    ("pasteur-exaspim", "pasteur-exaspim", "image.ome.zarr"): {  # pasteur_exaspim.md, 1 to 4
        **zyx(VOXEL, (4000.0, 2992.0, 2992.0)),
        "metadata_convention": ("OME-NGFF 0.4", "header"),
        "license_spdx": ("CC-BY-4.0", "manifest"),
        "subject_id": ("MOUSE001", "assumed"),
        "acquired_at": ("2025-01-15T10:30:00", "assumed"),
    },
    ("pasteur-exaspim", "pasteur-exaspim-sidecars", ""): {  # trap 6: both voxel sizes
        "organism": ("Mus musculus", "sidecar"),
        "sex": ("female", "sidecar"),
        "license_spdx": ("CC-BY-4.0", "sidecar"),
        "preparation": ("injection", "sidecar"),
        **zyx(VOXEL, (1000.0, 748.0, 748.0), "sidecar"),
    },
    ("aind-ephys-benchmark", "ephys-benchmark-np2", ""): {  # aind.md, section 5; open_data_registry.md, section 5
        "sampling_rate_hz": (30000.0, "header"),
        "n_channels": (16, "header"),
        "n_samples": (15000, "header"),
        "duration_s": (0.5, "header"),
        "dtype": ("int16", "header"),
        "axes": ("t,c", "header"),
        "license_spdx": ("CC-BY-4.0", "manifest"),
        "doi_paper": (["10.1101/2023.05.22.541700"], "manifest"),
        "subject_id": ("595262", "assumed"),
        "probe": ("Neuropixels 2.0", "sidecar"),
        "acquired_at": ("2022-02-21T15:18:07", "assumed"),
    },
    ("dandi-000728", "visual-coding", "501560436-StimC_behavior+image+ophys.nwb"): {  # dandi.md, 2.2; nwb.md, 1.1
        "subject_id": ("491604983", "header"),
        "age": ("P147DT82800S", "header"),
        "sex": ("male", "header"),
        "organism": ("Mus musculus", "header"),
        "session_id": ("501560436-StimC", "header"),
        "acquired_at": ("2016-02-18T11:03:05.123456-08:00", "header"),
        "accession": ("DANDI:000728", "api"),
        "version": ("draft", "api"),
        "license_spdx": ("CC-BY-4.0", "api"),
        "checksum_source": ("publisher, computed", "computed"),
    },
}


@pytest.mark.parametrize("place", SESSIONS, ids=lambda place: f"{place[1]}/{place[2]}")
def test_an_asset_has_the_values_that_its_source_document_states(
    shipped: Callable[[str], Root], place: tuple[str, str, str]
) -> None:
    manifest, dataset, ending = place
    found = [item for item in shipped(manifest).dataset(dataset)["assets"] if item["asset"].endswith(ending)]
    assert len(found) == 1, [item["asset"] for item in found]
    fields = {**found[0]["fields"], **(found[0]["arrays"][0]["fields"] if found[0]["arrays"] else {})}
    told = {name: (fields.get(name, {}).get("value"), fields.get(name, {}).get("source")) for name in SESSIONS[place]}
    assert told == SESSIONS[place]


def test_every_scientific_value_names_where_it_stands(
    volumes: tuple[Root, int], shipped: Callable[[str], Root]
) -> None:
    roots = [volumes[0], *(shipped(name) for name in ("aind-exaspim", "aind-ephys-benchmark", "dandi-000728"))]
    for root in roots:
        for dataset in root.document["datasets"]:
            for asset in dataset["assets"]:
                for part in (asset, *asset["arrays"]):
                    for name, field in part["fields"].items():
                        assert field["where"], name
                        assert field["source"] in SOURCES, name


SOURCES = {"header", "sidecar", "api", "webpage", "manifest", "assumed", "computed"}
