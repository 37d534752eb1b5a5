"""Documents as archives really answered them: what each says, and which of them disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.hooks.metadata.desk import Content, described
from tests.hooks.metadata.tables import conflict, values, vector

VOXEL = "voxel_size_{}_nm"
Payloads = Path


@pytest.fixture(scope="session")
def payloads() -> Payloads:
    """Folder of answers of archives, beside the checkout."""
    folder = Path(__file__).resolve().parents[4] / "shared" / "reference" / "payloads"
    if not folder.is_dir():
        pytest.skip(f"no answers of archives at {folder}")
    return folder


# --- AIND ------------------------------------------------------------------------------------------------------------

AGGREGATES: dict[str, dict[str, Any]] = {
    "exaSPIM_654308_2023-11-02_14-07-20": {
        "voxel": [1000.0, 748.0, 748.0],
        "subject_id": "654308",
        "genotype": "Slc17a6-IRES-Cre/wt",
        "sex": "female",
        "channels": ["561"],
        "preparation": "Retro-orbital injection; Perfusion",
        "conflicts": {"instrument"},
    },
    "exaSPIM_747820_2024-12-09_12-59-02_alignment_2025-01-23_06-40-34": {
        "voxel": [None, None, None],  # tiles of two scales: each is told of its own
        "subject_id": "747820",
        "sex": "male",
        "parent_asset": "exaSPIM_747820_2024-12-09_12-59-02",
        "channels": ["488", "561"],
        "conflicts": {"instrument"},
    },
    "SmartSPIM_658208_2023-02-05_13-42-31_stitched_2023-02-07_19-40-25": {
        "voxel": [2000.0, 1800.0, 1800.0],
        "title": "smartspim_658208_2023-02-07_11-28-38",  # aind.md trap 5: another spelling than the asset's
        "subject_id": "658208",
        "sex": "female",
        "acquired_at": "2023-02-05T13:42:03",
        "conflicts": {"instrument"},
    },
    "SmartSPIM_679519_2023-08-15_11-43-09": {
        "voxel": [2000.0, 1800.0, 1800.0],
        "subject_id": "679519",
        "genotype": "Ai224(TICL-NLS-EGFP-ICF-NLS-dT)-hyg/wt",
        "conflicts": {"instrument"},
    },
    "ecephys_655565_2023-03-31_14-47-36": {
        "voxel": [None, None, None],
        "subject_id": "655565",
        "acquired_at": "2023-03-31T21:30:00.000Z",
        "genotype": "Chat-IRES-Cre-neo/Chat-IRES-Cre-neo",
        "conflicts": {"acquired_at"},  # the name says 14:47:36
    },
    "ecephys_660104_2023-07-24_18-18-13": {
        "voxel": [None, None, None],
        "subject_id": "660104",
        "strain": "C57BL/6J",
        "acquired_at": "2023-07-24T18:18:13-07:00",
        "conflicts": set(),
    },
    "795133_2026-02-10_11-06-18": {
        "voxel": [None, None, None],
        "subject_id": "795133",
        "date_of_birth": "2025-03-04",
        "conflicts": set(),
    },
}


@pytest.mark.parametrize("name", AGGREGATES)
def test_aind_aggregates_of_mixed_schemas(payloads: Payloads, tmp_path: Path, name: str) -> None:
    data = (payloads / "aind/metadata_nd_json" / f"{name}.metadata.nd.json").read_bytes()
    root = described(tmp_path, {f"{name}/metadata.nd.json": data})
    expected = dict(AGGREGATES[name])
    asset = root.asset("d", name)
    assert vector(asset, VOXEL) == expected.pop("voxel")
    assert {item["field"] for item in asset["conflicts"]} == expected.pop("conflicts")
    assert {field: values(asset, field)[0] for field in expected} == expected
    assert values(asset, "organism", "license_spdx") == ["Mus musculus", "CC-BY-4.0"]
    assert values(asset, "institution") == ["Allen Institute for Neural Dynamics"]
    assert root.dataset("d")["notes"] == []


def test_aind_tiles_of_two_scales_are_told_each_of_its_own(payloads: Payloads, tmp_path: Path) -> None:
    name = "exaSPIM_747820_2024-12-09_12-59-02_alignment_2025-01-23_06-40-34"
    array = {"zarr_format": 2, "shape": [4] * 3, "chunks": [4] * 3, "dtype": "<u2", "order": "C", "fill_value": 0}
    array |= {"filters": None, "compressor": None}
    tiles = {"488": [8000.0, 5984.0, 5984.0], "561": [1000.0, 748.0, 748.0]}
    files: dict[str, Content] = {f"{name}/tile_x_0000_y_0000_z_0000_ch_{ch}.zarr/.zarray": array for ch in tiles}
    files[f"{name}/metadata.nd.json"] = (payloads / f"aind/metadata_nd_json/{name}.metadata.nd.json").read_bytes()
    root = described(tmp_path, files)
    for channel, sizes in tiles.items():
        (told,) = root.asset("d", f"{name}/tile_x_0000_y_0000_z_0000_ch_{channel}.zarr")["arrays"]
        assert vector(told, VOXEL) == sizes


@pytest.mark.parametrize(
    ("schema", "kind", "expected"),
    [
        ("v1.4.0", "exaspim", ["12345", "2022-11-22T08:43:00Z", "440_exaSPIM1-20231004"]),
        ("v1.4.0", "ephys", ["12345", "2023-04-25T02:35:00Z", "323_EPHYS1_20231003"]),
        ("v2.7.1", "exaspim", ["123456", "2022-11-22T08:43:00-08:00", "exaSPIM1"]),
        ("v2.7.1", "ephys", ["123456", "2023-04-25T02:35:00-07:00", "EPHYS1"]),
    ],
)
def test_aind_schemas_1_and_2(payloads: Payloads, tmp_path: Path, schema: str, kind: str, expected: list[str]) -> None:
    folder = payloads / f"aind/aind_data_schema_{schema}"
    plain = ("data_description.json", "subject.json", "procedures.json", "processing.json")
    files: dict[str, Content] = {f"a/{name}": (folder / name).read_bytes() for name in plain}
    files |= {f"a/{path.name.partition('_')[2]}": path.read_bytes() for path in folder.glob(f"{kind}_*.json")}
    root = described(tmp_path, files)
    asset = root.asset("d")
    assert values(asset, "subject_id", "acquired_at", "instrument") == expected
    assert values(asset, "organism", "ncbi_taxon", "strain", "sex") == ["Mus musculus", 10090, "C57BL/6J", "male"]
    assert values(asset, "license_spdx", "date_of_birth") == ["CC-BY-4.0", "2022-11-22"]
    assert values(asset, "sample")[0] != "###", "holds a place"
    assert root.dataset("d")["notes"] == []
    if schema == "v2.7.1" and kind == "exaspim":
        about = conflict(asset, "voxel_size_x_nm")
        assert about["chosen"] is None
        assert about["others"][0]["rejected"] == "no unit is given"
    elif kind == "exaspim":
        assert vector(asset, VOXEL) == [1000.0, 748.0, 748.0]


@pytest.mark.parametrize(("release", "key"), [("0.97.1", "num_chan"), ("0.105.3", "num_channels")])
def test_spikeinterface_of_two_releases(payloads: Payloads, tmp_path: Path, release: str, key: str) -> None:
    folder = payloads / f"aind/spikeinterface_{release}.synthetic"
    files: dict[str, Content] = {f"s/{path.name}": path.read_bytes() for path in folder.iterdir()}
    assert key in json.loads(bytes(files["s/binary.json"]))["kwargs"]  # type: ignore[arg-type]  # bytes of a file
    (array,) = described(tmp_path, {**files, "s/traces_cached_seg0.raw": bytes(2400)}).asset("d")["arrays"]
    assert values(array, "sampling_rate_hz", "n_channels", "n_samples", "dtype") == [30000.0, 4, 150, "float32"]
    assert values(array, "duration_s", "metadata_convention") == [0.005, f"SpikeInterface {release}"]


# --- DANDI, EMPIAR, IDR, the Registry of Open Data -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "asset_schema_0.3.2",
            {"organism": "Homo sapiens", "ncbi_taxon": 9606, "subject_id": "a1b2c3", "age": "P170DT12212S"},
        ),
        (
            "asset_schema_0.4.4_a",
            {"subject_id": "mouse_AAYYT", "age": "P147DT82800S", "sex": "female", "genotype": "wt/wt"},
        ),
        (
            "asset_schema_0.4.4_b",
            {"organism": "Mus musculus", "ncbi_taxon": 10090, "subject_id": "anm372907", "sex": "unknown"},
        ),
        ("asset_cli_nwb", {"organism": "Homo sapiens", "acquired_at": "2020-08-31T15:58:28-04:00", "tissue": "cell"}),
    ],
)
def test_dandi_records_of_all_schemas(
    payloads: Payloads, tmp_path: Path, name: str, expected: dict[str, object]
) -> None:
    record = json.loads((payloads / f"dandi/{name}.json").read_bytes())
    originals: dict[str, Content] = {
        "dandi/assets-00001.json": [{"path": "a.nwb", "metadata": record}],
        "dandi/dandiset.json": (payloads / "dandi/dandiset_meta_000004.json").read_bytes(),
    }
    asset = described(tmp_path, {"a.nwb": b"no HDF5"}, originals).asset("d", "a.nwb")
    assert {field: values(asset, field)[0] for field in expected} == expected
    assert values(asset, "accession", "license_spdx") == ["DANDI:000004", "CC-BY-4.0"]
    assert values(asset, "doi_data", "doi_paper") == [["10.17605/OSF.IO/HV7JA"], ["10.1038/s41597-020-0415-9"]]
    assert len(values(asset, "authors")[0]) > 5
    assert {item["field"] for item in asset["conflicts"]} == ({"organism"} if name.endswith("_b") else set())


def test_empiar_answers_and_xml(payloads: Payloads, tmp_path: Path) -> None:
    answer = (payloads / "empiar/empiar_11759_api_entry.json").read_bytes()
    root = described(tmp_path / "a", {"data/subject.json": {}}, {"empiar/EMPIAR-11759.json": answer})
    asset = root.asset("d", "data")
    assert values(asset, "title") == ["Developing retina in zebrafish 55 hpf larval eye."]
    assert values(asset, "shape_y", "shape_x", "dtype") == [5632, 5628, "uint8"]
    assert vector(asset, VOXEL) == [None, 8.0, 8.0], "no distance of slices in any field"
    assert values(asset, "license_spdx", "technique", "version") == ["CC0-1.0", "SBF-SEM", "2024-01-15"]
    assert values(asset, "doi_data", "accession") == [["10.6019/EMPIAR-11759"], "EMPIAR-11759"]
    entry = (payloads / "empiar/empiar_10934.xml").read_bytes()
    asset = described(tmp_path / "b", {"x.bin": b""}, {"empiar/10934.xml": entry}).asset("d")
    assert values(asset, "doi_data") == [["10.6019/EMPIAR-10934"]]
    assert values(asset, "title")[0].startswith("Cryo-EM multiframe micrographs of human Pol kappa")


def test_idr_answers_that_are_none_say_nothing(payloads: Payloads, tmp_path: Path) -> None:
    """idr.md trap 1: errors come with HTTP 200."""
    shapes = json.loads((payloads / "idr/omero_imgData_http200_errors.synthetic.json").read_bytes())
    for number, answer in enumerate(shapes.values()):
        asset = described(tmp_path / f"{number}", {"x.bin": b""}, {"idr/imgData-1.json": answer}).asset("d")
        assert (vector(asset, VOXEL), asset["conflicts"]) == ([None, None, None], [])
    sample: dict[str, Content] = {"idr/imgData-1.json": (payloads / "idr/omero_imgData_docs_sample.json").read_bytes()}
    asset = described(tmp_path / "sample", {"x.bin": b""}, sample).asset("d")
    assert vector(asset, VOXEL) == [200.0, 66.3, 66.3]
    assert values(asset, "shape_z", "shape_y", "shape_x", "shape_c") == [31, 480, 480, 4]


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("allen-nd-open-data", ["CC-BY-4.0", None, None]),
        ("allen-nd-ephys-compression", ["CC-BY-4.0", None, ["10.1101/2023.05.22.541700"]]),
        ("dandiarchive", [None, None, ["10.21105/joss.06590"]]),
        ("deafrica-sentinel5p", [None, "https://creativecommons.org/licenses/by/4.0/", None]),
        ("janelia-cosem", ["CC-BY-4.0", None, None]),
    ],
)
def test_entries_of_the_registry(payloads: Payloads, tmp_path: Path, slug: str, expected: list[Any]) -> None:
    entry = (payloads / f"open_data_registry/{slug}.yaml").read_bytes()
    asset = described(tmp_path, {"x.bin": b""}, {f"registry/{slug}.yaml": entry}).asset("d")
    assert values(asset, "license_spdx", "license_url", "doi_paper") == expected
    assert (values(asset, "license_text") == [None]) == (expected[0] is not None), "prose stays prose"
    assert values(asset, "title", "institution") != [None, None]


# --- hierarchies -----------------------------------------------------------------------------------------------------


def test_hierarchies_as_published(payloads: Payloads, tmp_path: Path) -> None:
    info: dict[str, Content] = {"info": (payloads / "hemibrain/flyem_dvid_sharded_jpeg.info.json").read_bytes()}
    fine, *coarse = described(tmp_path / "p", info).asset("d")["arrays"]
    assert [array["fields"]["lossy"]["value"] for array in (fine, *coarse)] == [True] * (1 + len(coarse))
    assert vector(fine, "shape_{}") == [9504, 9286, 11005]
    assert vector(coarse[0], VOXEL) == [8.0, 8.0, 8.0]
    folder = payloads / "formats/n5"
    for kind, levels in (("modern", 2), ("deprecated", 2)):
        files: dict[str, Content] = {}
        for path in folder.glob(f"neuroglancer_n5_viewer_multiscale_{kind}.*"):
            level = path.name.split(".")[1]
            files["attributes.json" if level == "root" else f"{level}/attributes.json"] = path.read_bytes()
        arrays = described(tmp_path / kind, files).asset("d")["arrays"]
        assert len(arrays) == levels
        assert [array["fields"]["voxel_size_x_nm"]["value"] for array in arrays] == [10.0, 20.0]
        about = conflict(arrays[0], "voxel_size_y_nm")
        assert "s is no unit of length" in about["others"][0]["rejected"], "an axis in seconds"
