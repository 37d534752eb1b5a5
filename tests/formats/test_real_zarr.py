"""Other people's stores: shapes, types and grids as independent readers found them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emasync.errors import FormatError
from emasync.formats.interface import ArrayDescription

Discover = Callable[..., Any]  # the fixture's class lives in conftest, which is no module to import

UNITS = [
    "ome_zarr_04/neuroglancer_simple_0.4",
    "ome_zarr_04/viv_bioformats-zarr",
    "ome_zarr_04/zarr-java_ome_v0.4",
    "ome_zarr_04/zarr-java_ome_v0.4_hcs",
    "ome_zarr_05/neuroglancer_simple_0.5",
    "ome_zarr_05/zarr-java_ome_v0.5_hcs",
    "ome_zarr_05/zarr-java_ome_v0.6_scene",
    "zarr_v2/n5-zarr_dimensionOrder.zarr",
    "zarr_v2/netcdf-c_ref_data.zarr",
    "zarr_v2/webknossos_simple_zarr_dataset",
    "zarr_v2/zarrs_v2",
    "zarr_v3/n5-zarr_shard_test.zarr",
    "zarr_v3/zarr-java_shard_index_end",
    "zarr_v3/zarr-java_shard_index_start",
    "zarr_v3/zarrita_js_v3_data.zarr",
    "zarr_v3/zarrs_array_write_read",
    "zarr_v3/zarrs_sharded_array_write_read",
]
HOSTILE = "hostile_zarr/dandi_zarr3_stores"


@pytest.fixture(scope="module")
def truth(fixtures_folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((fixtures_folder / "TRUTH.json").read_bytes())
    return loaded


def all_arrays(discovery: Any) -> dict[str, ArrayDescription]:
    levels = {level.array.path: level.array for image in discovery.images.values() for level in image.levels}
    return {**discovery.arrays, **levels}


def compare(array: ArrayDescription, facts: dict[str, Any], folder: Path) -> None:
    assert array.format == f"zarr{facts['zarr_format']}"
    assert list(array.shape) == facts["shape"]
    assert list(array.inner_chunks or array.chunks) == facts["chunks"]
    if "shard_index" in facts:
        assert list(array.chunks) == facts["shard_index"]["shard_shape"]
    if array.itemsize_bytes is not None and facts["dtype"] != "|O":
        assert array.itemsize_bytes == int(facts["dtype"][2:])
    if not array.sharded:
        assert sum((folder / key).is_file() for key in chunk_keys(array)) == facts["nchunks_initialized"]
        assert len(chunk_keys(array)) == facts["nchunks"]


def chunk_keys(array: ArrayDescription) -> list[str]:
    from emasync.formats.chunk_grids import grid_between

    grid = grid_between(array, (0,) * len(array.shape), array.grid_shape)
    return [grid.key(number) for number in range(len(grid))]


@pytest.mark.parametrize("unit", UNITS)
def test_arrays_are_found_as_other_readers_found_them(
    fixtures_folder: Path, truth: dict[str, Any], discover: Discover, unit: str
) -> None:
    arrays = all_arrays(discover(fixtures_folder / unit))
    expected = {"" if path == "." else path: facts for path, facts in truth[unit]["arrays"].items()}
    assert set(arrays) == set(expected)
    for path, facts in expected.items():
        if "error" in facts:  # a codec nobody here can decode; the metadata is sound
            continue
        compare(arrays[path], facts, fixtures_folder / unit)


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.startswith("ome") and "v0.6" not in unit])
def test_images_are_placed_as_they_say(
    fixtures_folder: Path, truth: dict[str, Any], discover: Discover, unit: str
) -> None:
    images = discover(fixtures_folder / unit).images
    for path, stated in truth[unit].get("ome_multiscales", {}).items():
        image = images["" if path == "." else path]
        assert image.version == stated[0]["version"] or stated[0]["version"] is None
        for level, (_, transforms) in zip(image.levels, stated[0]["datasets"], strict=True):
            values = {item["type"]: item[item["type"]] for item in transforms or ()}
            assert level.stated == (transforms is not None)
            if transforms:
                assert list(level.transform.scale) == values["scale"]
                assert list(level.transform.translation) == values.get("translation", [0.0] * len(image.axes))


@pytest.mark.parametrize(
    ("store", "rule"),
    [
        ("array_v3_corrupt_zarr_json.zarr", r"^zarr\.json: array metadata without shape, data_type"),
        ("arrays_in_groups_node_type_problem.zarr", r"^foo/zarr\.json: node_type is 1"),
        ("single_array_node_type_problem.zarr", r"^zarr\.json: node_type is 42"),
    ],
)
def test_hostile_stores_are_refused_by_key_and_rule(
    fixtures_folder: Path, discover: Discover, store: str, rule: str
) -> None:
    with pytest.raises(FormatError, match=rule):
        discover(fixtures_folder / HOSTILE / "invalid_stores" / store)


def test_a_lost_root_document_does_not_hide_what_is_below(
    fixtures_folder: Path, truth: dict[str, Any], discover: Discover
) -> None:
    lost = "invalid_stores/arrays_in_groups_missing_zarr_json.zarr"
    for store in (lost, "valid_stores/arrays_in_groups.zarr"):
        arrays = all_arrays(discover(fixtures_folder / HOSTILE / store))
        facts = {key: value for key, value in truth[HOSTILE]["arrays"].items() if key.startswith(store + "/")}
        assert {f"{store}/{path}" for path in arrays} == set(facts)


def test_an_array_that_lost_its_document_is_not_made_up(fixtures_folder: Path, discover: Discover) -> None:
    discovery = discover(fixtures_folder / HOSTILE / "invalid_stores/single_array_missing_zarr_json.zarr")
    assert not all_arrays(discovery)


def test_a_draft_of_zarr_v3_is_refused_by_name(fixtures_folder: Path, discover: Discover) -> None:
    with pytest.raises(FormatError, match=r"zarr_format is 'https://purl\.org.*format: raw"):
        discover(fixtures_folder / "zarr_v3/zarr_v3_ALPHA_zarrita.zr3")


def test_torture_json_ends_in_a_named_error_or_a_group(
    fixtures_folder: Path, tmp_path: Path, discover: Discover
) -> None:
    files = sorted((fixtures_folder / "hostile_text" / "JSONTestSuite").rglob("*.json"))
    assert files
    for file in files:
        (tmp_path / ".zattrs").write_bytes(file.read_bytes())
        try:
            assert list(discover(tmp_path).groups) == [""]
        except FormatError as error:
            assert error.location == ".zattrs"  # noqa: PT017  # either end is right, a third is not
