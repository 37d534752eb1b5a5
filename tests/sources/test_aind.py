"""Assets of a flat bucket through the whole program: sidecars, tiles, levels, recordings.

Trap numbers are those of aind.md; 1 and 12 are in test_aind_names.py, 10 is in test_open_data.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from tests.integration.folders import files_below, run_within

from emasync.errors import ErrorKind
from emasync.model.events import Event
from emasync.testing import Archive, MemoryStore
from emasync.testing.aind import BUCKET, write_asset
from emasync.testing.ephys import write_recording
from emasync.testing.stores import FolderStore

RAW = "exaSPIM_708373_2024-04-02_19-49-38"
DERIVED = f"{RAW}_alignment_2025-01-23_06-40-34"
NEW = "795133_2026-02-10_11-06-18"
TILE = "SPIM.ome.zarr/tile_x_0000_y_0000_z_0000_ch_488.zarr"


class Flat:
    """A flat bucket in a folder, served."""

    def __init__(self, folder: Path, start: Callable[..., Archive]) -> None:
        self.bucket = folder / BUCKET
        self.bucket.mkdir(parents=True)
        self.archive = start(FolderStore(folder))
        self.events: list[Event] = []

    def manifest(self, **entry: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {f"s3://{BUCKET}": f"{self.archive.url}/{BUCKET}"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": [{"id": "d", "source": "aind", **entry}],
        }

    def run(self, root: Path, **entry: Any) -> Any:
        return run_within(self.manifest(**entry), root, on_event=self.events.append)

    def files(self, asset: str) -> dict[str, bytes]:
        """All files of an asset, by path below the dataset."""
        return {f"{asset}/{path}": data for path, data in files_below(self.bucket / asset).items()}

    def asked(self) -> list[str]:
        """Paths of all answered requests since the last call."""
        seen = [f"{item.path}?{item.query}" for item in self.archive.requests]
        self.archive.reset()
        return seen

    def warnings(self) -> list[str]:
        return [str(event.fields["message"]) for event in self.events if event.event == "warning"]


@pytest.fixture
def flat(archive: Callable[..., Archive], tmp_path: Path) -> Flat:
    return Flat(tmp_path / "served", archive)


def test_whole_assets_byte_for_byte_and_again_without_a_request(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW)
    write_asset(flat.bucket, DERIVED, tiles=1)
    write_asset(flat.bucket, NEW, tiles=1)
    root = tmp_path / "data"
    receipt = flat.run(root, assets=[RAW, NEW])
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert files_below(root / "d") == flat.files(RAW) | flat.files(NEW)
    assert not [path for path in flat.asked() if DERIVED in path]
    assert flat.run(root, assets=[RAW, NEW]).exit_code == 0
    assert flat.asked() == []


@pytest.mark.parametrize("choice", [{}, {"scales": [0]}])
def test_sidecars_come_first(archive: Callable[..., Archive], tmp_path: Path, choice: dict[str, Any]) -> None:
    """Their names come behind those of the tiles, and the tiles take many pages to list."""
    write_asset(tmp_path / "served" / BUCKET, RAW, tiles=1)
    served = archive(FolderStore(tmp_path / "served"), page_limit=10)
    assert run_within(manifest_over(served, assets=[RAW], **choice), tmp_path / "data").exit_code == 0
    fetched = [seen.path for seen in served.requests if f"{RAW}/" in seen.path]
    sidecars = [number for number, path in enumerate(fetched) if path.endswith(".json") and path.count("/") == 2]
    chunks = [number for number, path in enumerate(fetched) if TILE in path and path[-1].isdigit()]
    assert len(sidecars) == 6
    assert max(sidecars) < min(chunks)


def test_sidecars_alone_are_not_paid_for_with_a_listing_of_the_tiles(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW)
    root = tmp_path / "data"
    assert flat.run(root, assets=[RAW], include=["*.json"]).exit_code == 0
    wanted = {path: data for path, data in flat.files(RAW).items() if path.count("/") == 1}
    assert files_below(root / "d") == wanted
    asked = flat.asked()
    assert not [path for path in asked if ".zarr" in path]
    assert len(asked) == 1 + 6, "the top level, and the sidecars"


@pytest.mark.parametrize("stored", ["zarr2", "zarr3"])
def test_trap_9_a_level_of_each_tile_in_either_version_of_zarr(flat: Flat, tmp_path: Path, stored: Any) -> None:
    """Both occur under ``.zarr``."""
    truth = write_asset(flat.bucket, RAW, stored=stored)
    root = tmp_path / "data"
    receipt = flat.run(root, assets=[RAW], include=["*.json", "SPIM.ome.zarr/**"], scales=[1])
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    for path, levels in truth.items():
        image = zarr.open_group(root / "d" / RAW / path, mode="r")
        assert list(image.array_keys()) == ["1"]
        array = image["1"]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(np.asarray(array[...]), levels[1])
    there = files_below(root / "d" / RAW)
    assert {path for path in there if "/" not in path} == {
        path.split("/")[1] for path in flat.files(RAW) if path.count("/") == 1
    }
    assert not [path for path in flat.asked() if "original_metadata" in path]


def test_globs_choose_tiles(flat: Flat, tmp_path: Path) -> None:
    truth = write_asset(flat.bucket, RAW)
    root = tmp_path / "data"
    include = ["SPIM.ome.zarr/tile_x_0001*/**"]
    assert flat.run(root, assets=[RAW], include=include, scales=[0, 2]).exit_code == 0
    tile = "SPIM.ome.zarr/tile_x_0001_y_0000_z_0000_ch_488.zarr"
    image = zarr.open_group(root / "d" / RAW / tile, mode="r")
    for level in (0, 2):
        array = image[str(level)]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(np.asarray(array[...]), truth[tile][level])
    chunks = [path for path in files_below(root / "d" / RAW) if TILE in path and path[-1].isdigit()]
    assert not chunks
    assert not (root / "d" / RAW / "subject.json").exists()


def test_arrays_are_named_below_the_asset(flat: Flat, tmp_path: Path) -> None:
    truth = write_asset(flat.bucket, RAW)
    root = tmp_path / "data"
    assert flat.run(root, assets=[RAW], arrays=[TILE], scales=[2]).exit_code == 0
    array = zarr.open_array(root / "d" / RAW / TILE / "2", mode="r")
    np.testing.assert_array_equal(np.asarray(array[...]), truth[TILE][2])


def test_trap_8_a_chunk_that_is_left_out_is_fill_value(flat: Flat, tmp_path: Path) -> None:
    truth = write_asset(flat.bucket, RAW, tiles=1)
    assert not (flat.bucket / RAW / TILE / "0/0/0/2/2/2").exists()
    root = tmp_path / "data"
    crop = {"start": [0, 0, 0], "shape": [40, 72, 80]}
    assert flat.run(root, assets=[RAW], arrays=[TILE], scales=[0], crop=crop).exit_code == 0
    array = zarr.open_array(root / "d" / RAW / TILE / "0", mode="r")
    np.testing.assert_array_equal(np.asarray(array[...]), truth[TILE][0])


def test_trap_7_chunk_keys_follow_the_separator_of_the_array(flat: Flat, tmp_path: Path) -> None:
    tile = flat.bucket / RAW / TILE
    group = zarr.open_group(tile, mode="w", zarr_format=2)
    group.attrs["multiscales"] = [{"version": "0.4", "datasets": [{"path": "0"}, {"path": "1"}]}]
    values = np.arange(60, dtype="<u2").reshape(3, 4, 5)
    for level in "01":
        array = group.create_array(level, shape=(3, 4, 5), chunks=(2, 2, 2), dtype="<u2")
        array[...] = values
    assert (tile / "0" / "1.1.2").exists(), "older stores have dots"
    root = tmp_path / "data"
    assert flat.run(root, assets=[RAW], scales=[0]).exit_code == 0
    np.testing.assert_array_equal(np.asarray(zarr.open_array(root / "d" / RAW / TILE / "0", mode="r")[...]), values)


# --- filters ----------------------------------------------------------------------------------------------------


def sidecar_bucket(names: list[str]) -> dict[str, bytes]:
    return {f"{BUCKET}/{name}/data_description.json": json.dumps({"name": name}).encode() for name in names}


MANY = [
    "exaSPIM_708373_2024-04-02_19-49-38",
    "exaSPIM_708373_2024-04-02_19-49-38_fusion_2024-06-12_11-58-05",
    "exaspim_708374_2024-04-03_00-00-00",
    "exaSPIM_708375_2023-12-31_23-59-59",
    "SmartSPIM_708373_2024-04-02_10-00-00",
    "795133_2026-02-10_11-06-18",
    "708373_2025-06-01_11-06-18",
    "612962_2022-04-13_19-18-04_ProbeB",
    "ephys-compression",
]
FITS = [
    ({"platform": "exaSPIM"}, {0, 1, 2, 3}),
    ({"platform": "exaSPIM", "level": "raw"}, {0, 2, 3}),
    ({"platform": "exaSPIM", "level": "derived"}, {1}),
    ({"subject": "708373"}, {0, 1, 4, 6}),
    ({"after": "2024-04-03"}, {2, 5, 6}),
    ({"before": "2024-01-01"}, {3}),
    ({"platform": "exaSPIM", "after": "2024-04-02", "before": "2024-04-03", "level": "raw"}, {0}),
]


@pytest.mark.parametrize(("wanted", "expected"), FITS)
def test_filters(archive: Callable[..., Archive], tmp_path: Path, wanted: dict[str, str], expected: set[int]) -> None:
    served = archive(sidecar_bucket(MANY), page_limit=2)
    manifest = manifest_over(served, filter=wanted)
    assert run_within(manifest, tmp_path).exit_code == 0
    assert {path.name for path in (tmp_path / "d").iterdir()} == {MANY[number] for number in expected}


def manifest_over(served: Archive, **entry: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "mirrors": {f"s3://{BUCKET}": f"{served.url}/{BUCKET}"},
        "datasets": [{"id": "d", "source": "aind", **entry}],
    }


def test_assets_whose_names_tell_no_platform_are_counted(archive: Callable[..., Archive], tmp_path: Path) -> None:
    events: list[Event] = []
    manifest = manifest_over(archive(sidecar_bucket(MANY)), filter={"platform": "exaSPIM", "subject": "708373"})
    assert run_within(manifest, tmp_path, on_event=events.append).exit_code == 0
    (warning,) = [event for event in events if event.event == "warning"]
    assert "1 assets fit but for the platform" in str(warning.fields["message"])


def test_a_filter_that_fits_nothing_says_how_many_it_looked_at(archive: Callable[..., Archive], tmp_path: Path) -> None:
    receipt = run_within(manifest_over(archive(sidecar_bucket(MANY)), filter={"subject": "1"}), tmp_path)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert "none of 7 assets (9 folders) fits the filter subject: 1" in failure.message


def test_a_filter_over_thousands_of_assets(archive: Callable[..., Archive], tmp_path: Path) -> None:
    names = [f"ecephys_{600000 + number}_2024-01-01_00-00-00" for number in range(9000)] + MANY
    served = archive(MemoryStore(sidecar_bucket(names)))
    assert run_within(manifest_over(served, filter={"platform": "SmartSPIM"}), tmp_path).exit_code == 0
    assert [path.name for path in (tmp_path / "d").iterdir()] == [MANY[4]]
    assert served.counts()["GET", "list"] <= 2 * 10 + 4


# --- what is not there, what is broken --------------------------------------------------------------------------


def test_an_unknown_asset_is_named_with_its_neighbours_and_the_others_come(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW, tiles=1)
    root = tmp_path / "data"
    receipt = flat.run(root, assets=["exaSPIM_708373_2024-04-02_19-49-39", RAW])
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.NOT_FOUND
    assert "has no asset 'exaSPIM_708373_2024-04-02_19-49-39'" in failure.message
    assert RAW in failure.message
    assert files_below(root / "d") == flat.files(RAW)


def test_a_copy_in_a_folder_stands_in_for_the_bucket(tmp_path: Path) -> None:
    write_asset(tmp_path / "copy", RAW, tiles=1)
    manifest = {
        "version": 1,
        "mirrors": {f"s3://{BUCKET}": f"file://{tmp_path}/copy"},
        "datasets": [{"id": "d", "source": "aind", "assets": [RAW, "exaSPIM_1_2024-04-02_19-49-38"]}],
    }
    receipt = run_within(manifest, tmp_path / "data")
    (failure,) = receipt.failures
    assert failure.message.endswith("has no asset 'exaSPIM_1_2024-04-02_19-49-38': check its name")
    assert files_below(tmp_path / "data" / "d" / RAW) == files_below(tmp_path / "copy" / RAW)


@pytest.mark.parametrize("wanted", [{"filter": {"level": "raw"}}, {"assets": [RAW]}])
def test_a_bucket_that_is_not_there_is_no_missing_asset(
    archive: Callable[..., Archive], tmp_path: Path, wanted: dict[str, Any]
) -> None:
    manifest = manifest_over(archive({"other/x": b"1"}), **wanted)
    (failure,) = run_within(manifest, tmp_path).failures
    assert failure.kind == ErrorKind.NOT_FOUND
    assert BUCKET in failure.message
    assert "has no asset" not in failure.message


def test_an_asset_without_the_level_is_named_and_the_others_come(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW, levels=1, tiles=1)
    truth = write_asset(flat.bucket, NEW, tiles=1)
    root = tmp_path / "data"
    receipt = flat.run(root, assets=[RAW, NEW], include=["SPIM.ome.zarr/**"], scales=[2])
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.message.startswith(f"{RAW}: ")
    array = zarr.open_array(root / "d" / NEW / TILE / "2", mode="r")
    np.testing.assert_array_equal(np.asarray(array[...]), truth[TILE][2])


def test_two_setbacks_are_named_together(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW, tiles=1)
    receipt = flat.run(tmp_path / "data", assets=["gone_1_2024-01-01_00-00-00", "gone_2_2024-01-01_00-00-00", RAW])
    (failure,) = receipt.failures
    assert failure.message.startswith("2 parts cannot be had, the others are fetched: ")
    assert "gone_1" in failure.message
    assert "gone_2" in failure.message


def test_a_fault_of_the_server_is_mended_by_the_next_run(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW, tiles=1)
    flat.archive.set_faults({f"{BUCKET}/{RAW}/{TILE}/0/0/0/0/*": [{"status": 500}]})
    root = tmp_path / "data"
    assert flat.run(root, assets=[RAW]).exit_code == 1
    flat.archive.set_faults({})
    assert flat.run(root, assets=[RAW]).exit_code == 0
    assert files_below(root / "d") == flat.files(RAW)


def told_of_tiles(said: Any) -> list[list[dict[str, Any]]]:
    return [tile["coordinate_transformations"] for tile in said["acquisition"]["tiles"]]


CORE = ("data_description", "acquisition", "subject", "instrument", "procedures")
ODD: dict[str, Callable[[Any], bool]] = {
    "trap 2: the record has another name than its place": lambda said: said["name"] != said["location"][-len(RAW) :],
    "trap 3: the record calls itself invalid": lambda said: said["metadata_status"] == "Invalid",
    "trap 4: tiles are called .ims": lambda said: said["acquisition"]["tiles"][0]["file_name"].endswith(".ims"),
    "trap 5: another spelling of the name": lambda said: said["data_description"]["name"] == RAW.lower(),
    "trap 6: versions are mixed": lambda said: len({said[key]["schema_version"] for key in CORE}) == len(CORE),
    "trap 6: numbers are texts": lambda said: isinstance(told_of_tiles(said)[0][0]["scale"][0], str),
    "trap 13: paths of the machine that recorded": lambda said: ":\\" in said["acquisition"]["local_storage_directory"],
    "trap 14: null in place of a document": lambda said: said["rig"] is None and said["processing"] is None,
    "trap 16: scale before translation": lambda said: told_of_tiles(said)[0][0]["type"] == "scale",
}


@pytest.mark.parametrize("odd", ODD)
def test_records_are_as_odd_as_the_real_ones(tmp_path: Path, odd: str) -> None:
    write_asset(tmp_path, RAW, tiles=1, levels=1, shape=(2, 2, 2))
    assert ODD[odd](json.loads((tmp_path / RAW / "metadata.nd.json").read_text()))


def test_traps_2_3_4_5_6_13_14_and_16_what_sidecars_say_moves_nothing(flat: Flat, tmp_path: Path) -> None:
    """Keys come from the listing and from nowhere else, documents arrive as they are."""
    write_asset(flat.bucket, RAW, tiles=1)
    root = tmp_path / "data"
    assert flat.run(root, assets=[RAW]).exit_code == 0
    assert files_below(root / "d") == flat.files(RAW)
    there = {f"{BUCKET}/{path}" for path in flat.files(RAW)}
    documents = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
    objects = [path.removesuffix("?") for path in flat.asked() if "list-type" not in path]
    assert not [path for path in objects if path not in there and path.rpartition("/")[2] not in documents]


def test_traps_2_and_15_names_of_folders_decide_what_an_asset_is(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    """Records of derived data that call themselves raw, or by another subject's name."""
    said = {"name": "exaSPIM_1_2020-01-01_00-00-00", "data_level": "raw", "subject_id": "1"}
    objects = {f"{BUCKET}/{name}/data_description.json": json.dumps(said).encode() for name in (RAW, DERIVED)}
    served = archive(objects)
    for number, (wanted, expected) in enumerate(
        [({"level": "raw"}, {RAW}), ({"level": "derived"}, {DERIVED}), ({"subject": "708373"}, {RAW, DERIVED})]
    ):
        root = tmp_path / str(number)
        assert run_within(manifest_over(served, filter=wanted), root).exit_code == 0
        assert {path.name for path in (root / "d").iterdir()} == expected
    assert run_within(manifest_over(served, filter={"subject": "1"}), tmp_path / "none").exit_code == 1


RECORDS = Path(__file__).resolve().parents[2].parent / "shared/reference/payloads/aind/metadata_nd_json"


def test_real_records_come_as_they_are(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """Seven of them, of both generations: what is odd about them is in the list above."""
    if not RECORDS.is_dir():
        pytest.skip(f"no real records at {RECORDS}")
    found = {path.name.removesuffix(".metadata.nd.json"): path.read_bytes() for path in RECORDS.iterdir()}
    assert len(found) == 7
    served = archive({f"{BUCKET}/{name}/metadata.nd.json": data for name, data in found.items()})
    assert run_within(manifest_over(served, filter={"after": "2020-01-01"}), tmp_path).exit_code == 0
    assert files_below(tmp_path / "d") == {f"{name}/metadata.nd.json": data for name, data in found.items()}


# --- recordings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["0.97.1", "0.105.3"])
def test_recordings_come_whole_and_trap_11_pickles_are_copied(flat: Flat, tmp_path: Path, generation: Any) -> None:
    name = "595262_2022-02-21_15-18-07_ProbeA"
    traces = write_recording(flat.bucket / name, generation=generation)
    root = tmp_path / "data"
    receipt = flat.run(root, assets=[name], format="binary")
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert files_below(root / "d") == flat.files(name)
    data = (root / "d" / name / "traces_cached_seg0.raw").read_bytes()
    np.testing.assert_array_equal(np.frombuffer(data, "<i2").reshape(-1, 4), traces)


def test_a_recording_that_is_not_whole_at_the_source_is_named(flat: Flat, tmp_path: Path) -> None:
    broken, whole = "595262_2022-02-21_15-18-07_ProbeA", "612962_2022-04-13_19-18-04_ProbeB"
    for name in (broken, whole):
        write_recording(flat.bucket / name)
    traces = flat.bucket / broken / "traces_cached_seg0.raw"
    traces.write_bytes(traces.read_bytes()[:-3])
    root = tmp_path / "data"
    receipt = flat.run(root, assets=[broken, whole], format="binary")
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.FORMAT
    assert "traces_cached_seg0.raw: 23,997 bytes are no whole number of frames of 8 bytes" in failure.message
    assert files_below(root / "d") == flat.files(broken) | flat.files(whole)
