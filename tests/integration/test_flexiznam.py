"""Runs into the tree that flexiznam keeps, and the acquisition files for it.

Trap numbers are those of flexiznam.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from tests.integration.flexiznam_rules import accept
from tests.integration.folders import files_below, run_within

import emasync
from emasync.api import RunOptions
from emasync.errors import InputError
from emasync.model.events import Event
from emasync.testing import Archive, MemoryStore
from emasync.testing.aind import BUCKET, write_asset
from emasync.testing.dandi import DandiTwin
from emasync.testing.stores import FolderStore

RAW = "exaSPIM_654308_2023-11-02_14-07-20"
FUSED = f"{RAW}_fusion_2024-06-12_11-58-05"
AGAIN = "exaSPIM_654308_2024-05-01_10-00-00"
NEW = "795133_2026-02-10_11-06-18"
EPHYS = "ecephys_655565_2023-03-31_14-47-36"
LATER = "ecephys_655565_2023-03-31_16-01-02"
SORTED = f"{EPHYS}_sorted_2023-06-01_10-11-12"


class Flat:
    """A flat bucket in a folder, served."""

    def __init__(self, folder: Path, start: Callable[..., Archive]) -> None:
        self.bucket = folder / BUCKET
        self.bucket.mkdir(parents=True)
        self.archive = start(FolderStore(folder))
        self.events: list[Event] = []

    def write(self, asset: str, *paths: str) -> None:
        """An asset of sidecars and small files."""
        for path in ("data_description.json", "session.json", *paths):
            place = self.bucket / asset / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps({"path": path, "asset": asset}))

    def manifest(self, assets: list[str], layout: dict[str, Any] | None = None, **entry: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {f"s3://{BUCKET}": f"{self.archive.url}/{BUCKET}"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "layout": {"kind": "flexiznam", "project": "aind_open", **(layout or {})},
            "datasets": [{"id": "d", "source": "aind", "assets": assets, **entry}],
        }

    def run(self, root: Path, assets: list[str], layout: dict[str, Any] | None = None, **entry: Any) -> Any:
        return run_within(self.manifest(assets, layout, **entry), root, on_event=self.events.append)

    def warnings(self) -> list[str]:
        return [str(event.fields["message"]) for event in self.events if event.event == "warning"]


@pytest.fixture
def flat(archive: Callable[..., Archive], tmp_path: Path) -> Flat:
    return Flat(tmp_path / "served", archive)


def acquisition(root: Path, name: str, data_root: dict[str, Path] | None = None) -> Any:
    """An acquisition file that v0.4 would accept (Any: YAML)."""
    document = yaml.safe_load((root / f"flexiznam/acquisitions/{name}.yml").read_text())
    accept(document, data_root or {tree: root / "flexiznam" / tree for tree in ("raw", "processed")})
    return document


# --- imaging ----------------------------------------------------------------------------------------------------


def test_an_imaged_brain(flat: Flat, tmp_path: Path) -> None:
    """The Zarr is a direct child of the sample: traps 1 to 4, 6 to 8, 12."""
    write_asset(flat.bucket, RAW, tiles=1, levels=2)
    root = tmp_path / "root"
    receipt = flat.run(root, [RAW], metadata={"license": "CC-BY-4.0"})
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    source = files_below(flat.bucket / RAW)
    sidecars = {path for path in source if "/" not in path}
    placed = files_below(root / "flexiznam/raw/aind_open/654308/brain")
    assert placed == {f"sidecars/{path}" if path in sidecars else path: data for path, data in source.items()}

    document = acquisition(root, "aind_open/654308/brain")
    assert document["origin_name"] == "654308"
    assert document["root_folder"] == str(root / "flexiznam/raw/aind_open/654308")
    brain = document["children"]["brain"]
    assert list(document) == ["project", "origin_name", "root_folder", "children"]
    assert list(brain) == ["type", "genealogy", "path", "notes", "children"]
    assert list(brain["children"]) == ["SPIM.ome.zarr", "original_metadata", "sidecars"]
    spim = brain["children"]["SPIM.ome.zarr"]
    inside = [data for path, data in source.items() if path.startswith("SPIM.ome.zarr/")]
    assert spim == {
        "type": "dataset",
        "dataset_type": "microscopy",
        "is_raw": "yes",
        "created": "2023-11-02 14:07:20",
        "path": "aind_open/654308/brain/SPIM.ome.zarr",
        "genealogy": ["654308", "brain", "SPIM.ome.zarr"],
        "project": None,
        "extra_attributes": {
            "source_url": f"s3://{BUCKET}/{RAW}/SPIM.ome.zarr",
            "source_dataset": "d",
            "source_asset": RAW,
            "licence": "CC-BY-4.0",
            "n_objects": len(inside),
            "n_bytes": sum(map(len, inside)),
        },
    }


def test_a_brain_imaged_twice_and_what_was_fused_of_it(flat: Flat, tmp_path: Path) -> None:
    for asset in (RAW, AGAIN):
        flat.write(asset, "SPIM.ome.zarr/.zgroup", "SPIM.ome.zarr/t/.zattrs")
    flat.write(FUSED, "fused.zarr/.zgroup", "fused.zarr/0/0")
    root = tmp_path / "root"
    assert flat.run(root, [RAW, AGAIN, FUSED]).failures == ()
    raw = files_below(root / "flexiznam/raw/aind_open/654308/brain")
    assert json.loads(raw["SPIM.ome.zarr/.zgroup"])["asset"] == RAW
    assert json.loads(raw[f"{AGAIN}_SPIM.ome.zarr/.zgroup"])["asset"] == AGAIN
    assert json.loads(raw[f"{AGAIN}_sidecars/session.json"])["asset"] == AGAIN
    fused = root / "flexiznam/processed/aind_open/654308/brain/fusion_2024-06-12_11-58-05"
    assert files_below(fused) == files_below(flat.bucket / FUSED)
    children = acquisition(root, "aind_open/654308/brain")["children"]["brain"]["children"]
    derived = children["fusion_2024-06-12_11-58-05"]
    assert (derived["is_raw"], derived["path"]) == ("no", "aind_open/654308/brain/fusion_2024-06-12_11-58-05")
    assert len(children) == 5


def test_trap_9_a_picture_that_did_not_arrive_lies_nowhere_in_the_tree(flat: Flat, tmp_path: Path) -> None:
    """The tool would take a part of a .tif for a dataset; nothing is registered before all of the sample is there."""
    flat.write(RAW, "overview.tif", "SPIM.ome.zarr/.zgroup")
    flat.archive.set_faults({f"{BUCKET}/{RAW}/overview.tif": [{"reset_after": 20, "times": 1}, {"status": 500}]})
    root = tmp_path / "root"
    assert [failure.kind for failure in flat.run(root, [RAW]).failures] == ["transient"]
    assert not [path for path in root.rglob("*") if ".tif" in path.name]
    assert not list((root / "flexiznam").rglob("*.yml"))

    flat.archive.set_faults({})
    assert flat.run(root, [RAW]).failures == ()
    assert (root / "flexiznam/raw/aind_open/654308/brain/sidecars/overview.tif").is_file()
    assert "brain" in acquisition(root, "aind_open/654308/brain")["children"]


def test_a_name_without_platform_is_told_by_its_sidecars(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, NEW, tiles=1, levels=1, stored="zarr3", schema="v2")
    root = tmp_path / "root"
    assert flat.run(root, [NEW]).failures == ()
    children = acquisition(root, "aind_open/795133/brain")["children"]["brain"]["children"]
    assert children["SPIM.ome.zarr"]["created"] == "2026-02-10 11:06:18"


def test_samples_of_samples_keep_stores_out_of_the_way_of_the_tool(flat: Flat, tmp_path: Path) -> None:
    """Trap 8: a Zarr two levels down becomes an entity for each of its folders."""
    write_asset(flat.bucket, RAW, tiles=1, levels=1)
    root = tmp_path / "root"
    assert flat.run(root, [RAW], {"sample": "brain/slice-3"}).failures == ()
    document = acquisition(root, "aind_open/654308/brain")
    inner = document["children"]["brain"]["children"]["slice-3"]
    spim = inner["children"]["SPIM.ome.zarr"]
    assert spim["genealogy"] == ["654308", "brain", "slice-3", "SPIM.ome.zarr"]
    assert spim["path"] == "aind_open/654308/brain/slice-3.SPIM.ome.zarr"


def test_names_that_the_tool_would_take_for_something_else(flat: Flat, tmp_path: Path) -> None:
    """A specimen called as a session, a folder in a recording called as one."""
    flat.write("HCR_732195-S1_2024-06-15_06-00-00", "SPIM.ome.zarr/.zgroup")
    flat.write(EPHYS, "S2/x", "R123456/x")
    assert flat.run(tmp_path / "root", ["HCR_732195-S1_2024-06-15_06-00-00", EPHYS]).failures == ()
    assert acquisition(tmp_path / "root", "aind_open/732195/sample-S1")
    assert acquisition(tmp_path / "root", "aind_open/655565/S20230331")


def test_specimens_are_samples_of_their_animal(flat: Flat, tmp_path: Path) -> None:
    flat.write("HCR_732195-ROI2-cell1_2024-06-15_06-00-00", "SPIM.ome.zarr/.zgroup")
    assert flat.run(tmp_path / "root", ["HCR_732195-ROI2-cell1_2024-06-15_06-00-00"]).failures == ()
    assert acquisition(tmp_path / "root", "aind_open/732195/ROI2-cell1")


# --- physiology ---------------------------------------------------------------------------------------------------


def test_sessions_and_recordings(flat: Flat, tmp_path: Path) -> None:
    """Two sessions a day, one of them with folders inside, and what was sorted of one."""
    flat.write(EPHYS, "ecephys/settings.xml", "ecephys/continuous.dat")
    flat.write(LATER, "ecephys/compressed/a.zarr/.zgroup", "behavior/events.csv")
    flat.write(SORTED, "postprocessed/a.zarr/.zgroup")
    root = tmp_path / "root"
    assert flat.run(root, [EPHYS, LATER, SORTED]).failures == ()
    assert sorted(files_below(root / "flexiznam/raw/aind_open/655565")) == [
        "S20230331/R144736_ecephys/ecephys/continuous.dat",
        "S20230331/R144736_ecephys/ecephys/settings.xml",
        "S20230331/R144736_ecephys/sidecars/data_description.json",
        "S20230331/R144736_ecephys/sidecars/session.json",
        "S20230331_0/R160102_ecephys.ecephys/compressed/a.zarr/.zgroup",
        "S20230331_0/R160102_ecephys/behavior/events.csv",
        "S20230331_0/R160102_ecephys/sidecars/data_description.json",
        "S20230331_0/R160102_ecephys/sidecars/session.json",
    ]
    assert list(files_below(root / "flexiznam/processed")) == [
        f"aind_open/655565/S20230331/R144736_ecephys/sorted_2023-06-01_10-11-12/{path}"
        for path in ("data_description.json", "postprocessed/a.zarr/.zgroup", "session.json")
    ], "the tool walks the raw folders only: nothing needs to lie beside its recording here"
    first = acquisition(root, "aind_open/655565/S20230331")["children"]["S20230331"]
    recording = first["children"]["R144736_ecephys"]
    assert list(first) == ["type", "genealogy", "path", "children"]
    assert list(recording) == ["type", "recording_type", "protocol", "timestamp", "genealogy", "path", "children"]
    assert {key: recording[key] for key in ("type", "recording_type", "protocol", "timestamp")} == {
        "type": "recording",
        "recording_type": "ephys",
        "protocol": "ecephys",
        "timestamp": "144736",
    }
    assert recording["children"]["ecephys"]["created"] == "2023-03-31 14:47:36"
    assert recording["children"]["sorted_2023-06-01_10-11-12"]["is_raw"] == "no"
    second = acquisition(root, "aind_open/655565/S20230331_0")["children"]["S20230331_0"]
    ecephys = second["children"]["R160102_ecephys"]["children"]["ecephys"]
    assert ecephys["path"] == "aind_open/655565/S20230331_0/R160102_ecephys.ecephys"


def test_derived_data_alone(flat: Flat, tmp_path: Path) -> None:
    """The tool wants the folders of session and recording among the raw ones, though nothing is in them."""
    flat.write(SORTED, "postprocessed/a")
    assert flat.run(tmp_path / "root", [SORTED]).failures == ()
    assert acquisition(tmp_path / "root", "aind_open/655565/S20230331")


def test_sessions_keep_their_names_when_others_come(flat: Flat, tmp_path: Path) -> None:
    """The later one first: it is named, and stays so."""
    for asset in (EPHYS, LATER):
        flat.write(asset, "ecephys/continuous.dat")
    root = tmp_path / "root"
    assert flat.run(root, [LATER]).exit_code == 0
    before = files_below(root / "flexiznam/raw")
    assert flat.run(root, [EPHYS, LATER]).exit_code == 0
    after = files_below(root / "flexiznam/raw")
    assert before.items() < after.items()
    assert {path.split("/")[2] for path in set(after) - set(before)} == {"S20230331_0"}


def test_a_plan_and_a_lock_tell_the_names_of_the_run(flat: Flat, tmp_path: Path) -> None:
    for asset in (EPHYS, LATER):
        flat.write(asset, "ecephys/continuous.dat")
    root = tmp_path / "root"
    assert flat.run(root, [LATER]).exit_code == 0
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(flat.manifest([EPHYS, LATER])))
    with emasync.plan(path, root=root, lock=True) as plan:
        planned = {item.destination for item in plan}
    assert run_within(path, root, options=RunOptions(locked=True)).failures == ()
    assert planned == {f"flexiznam/raw/{name}" for name in files_below(root / "flexiznam/raw")}
    other = flat.manifest([EPHYS], {"project": "q"})
    with pytest.raises(InputError, match="nothing is moved"):
        emasync.plan(other, root=root)


# --- DANDI --------------------------------------------------------------------------------------------------------


def dandi_run(twin: DandiTwin, root: Path, **layout: Any) -> Any:
    with Archive.start(twin.store, apps=(twin,)) as archive:
        manifest = {
            "version": 1,
            "mirrors": {
                "https://api.dandiarchive.org": archive.url,
                "s3://dandiarchive": f"{archive.url}/dandiarchive",
            },
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "layout": {"kind": "flexiznam", "project": "visual", **layout},
            "datasets": [{"id": "nwb", "source": "dandi", "dandiset": "000728", "version": "draft"}],
        }
        return run_within(manifest, root)


@pytest.fixture
def twin() -> DandiTwin:
    made = DandiTwin(MemoryStore(buckets=("dandiarchive",)))
    made.version("000728")
    for session, start, name in (
        ("501560436-StimC", "2016-02-18T11:03:05.123456-08:00", "behavior+ecephys"),
        ("501560436-StimC", "2016-02-18T11:03:05.123456-08:00", "image"),
        ("495607822-StimA", "2016-02-18T15:00:00+00:00", "ophys"),
    ):
        path = f"sub-491604983/sub-491604983_ses-{session}_{name}.nwb"
        made.add_blob("000728", path, path.encode()).started = start
    zarr = made.add_zarr(
        "000728", "sub-491604983/sub-491604983_ses-495607822-StimA_ecephys.nwb.zarr", {"acquisition/0": b"z"}
    )
    zarr.started = "2016-02-18T15:00:00+00:00"
    return made


def test_sessions_of_a_dandiset(twin: DandiTwin, tmp_path: Path) -> None:
    root = tmp_path / "root"
    receipt = dandi_run(twin, root)
    assert receipt.failures == ()
    assert sorted(files_below(root / "flexiznam/raw")) == [
        "visual/sub-491604983/S20160218/R110305/sub-491604983_ses-501560436-StimC_behavior+ecephys.nwb",
        "visual/sub-491604983/S20160218/R110305/sub-491604983_ses-501560436-StimC_image.nwb",
        "visual/sub-491604983/S20160218_0/R150000.sub-491604983_ses-495607822-StimA_ecephys.nwb.zarr/acquisition/0",
        "visual/sub-491604983/S20160218_0/R150000/sub-491604983_ses-495607822-StimA_ophys.nwb",
    ]
    recording = acquisition(root, "visual/sub-491604983/S20160218")["children"]["S20160218"]["children"]["R110305"]
    nwb = recording["children"]["sub-491604983_ses-501560436-StimC_image.nwb"]
    assert (nwb["dataset_type"], nwb["created"]) == ("ephys", "2016-02-18 11:03:05")
    assert nwb["extra_attributes"]["checksum_kind"] == "sha256"
    assert acquisition(root, "visual/sub-491604983/S20160218_0")


def test_what_nobody_tells_is_no_guess(twin: DandiTwin, tmp_path: Path) -> None:
    """The others come; the key that would name the place is told."""
    twin.add_blob("000728", "sub-1/sub-1_ses-x.nwb", b"no moment")
    receipt = dandi_run(twin, tmp_path / "root")
    (failure,) = receipt.failures
    assert "sub-1/sub-1_ses-x.nwb: neither its name nor its source tells when it was recorded: set layout.session" in (
        failure.message
    )
    assert receipt.exit_code == 1
    assert len(files_below(tmp_path / "root/flexiznam/raw")) == 4


def test_the_manifest_names_what_nobody_tells(twin: DandiTwin, tmp_path: Path) -> None:
    twin.version("000728").assets.clear()
    twin.add_blob("000728", "sub-1/sub-1_ses-x.nwb", b"no moment")
    assert dandi_run(twin, tmp_path / "root", session="S20200101").failures == ()
    document = acquisition(tmp_path / "root", "visual/sub-1/S20200101")
    assert list(document["children"]["S20200101"]["children"]) == ["sub-1_ses-x.nwb"]


def test_what_a_first_run_lacked_may_be_named_in_the_next(twin: DandiTwin, tmp_path: Path) -> None:
    """Nothing had a place: it is no other layout."""
    twin.version("000728").assets.clear()
    twin.add_blob("000728", "sub-1/sub-1_ses-x.nwb", b"no moment")
    assert dandi_run(twin, tmp_path / "root").exit_code == 1
    assert dandi_run(twin, tmp_path / "root", session="S20200101").failures == ()
    with pytest.raises(InputError, match="nothing is moved"):
        dandi_run(twin, tmp_path / "root", session="S20200102")


def test_two_animals_are_not_laid_into_one_mouse(twin: DandiTwin, tmp_path: Path) -> None:
    twin.add_blob("000728", "sub-1/sub-1_ses-x.nwb", b"another").started = "2016-02-18T15:00:00"
    receipt = dandi_run(twin, tmp_path / "root", mouse="PZAH4.1c")
    (failure,) = receipt.failures
    assert "mouse PZAH4.1c stands for subject" in failure.message
    assert receipt.exit_code == 1


# --- with everything else -------------------------------------------------------------------------------------------


def test_levels_are_chosen_and_their_metadata_written_where_the_data_lie(flat: Flat, tmp_path: Path) -> None:
    truth = write_asset(flat.bucket, RAW, tiles=1, levels=3)
    root = tmp_path / "root"
    assert flat.run(root, [RAW], scales=[1]).failures == ()
    ((path, levels),) = truth.items()
    tile = root / "flexiznam/raw/aind_open/654308/brain" / path
    image = zarr.open_group(tile, mode="r")
    assert list(image.array_keys()) == ["1"]
    np.testing.assert_array_equal(np.asarray(image["1"]), levels[1])
    assert (root / "d.source-metadata" / RAW / path / ".zattrs").exists()

    (tile / ".zattrs").unlink()
    flat.archive.reset()
    assert flat.run(root, [RAW], scales=[1]).exit_code == 0
    assert flat.archive.requests == [], "from what was written down"
    assert (tile / ".zattrs").exists()
    assert acquisition(root, "aind_open/654308/brain")

    assert flat.run(root, [RAW]).exit_code == 0
    brain = files_below(root / "flexiznam/raw/aind_open/654308/brain")
    source = {name: data for name, data in files_below(flat.bucket / RAW).items() if "/" in name}
    assert {name: data for name, data in brain.items() if not name.startswith("sidecars/")} == source


def test_an_asset_that_nobody_tells_enough_of_keeps_no_other_from_its_file(flat: Flat, tmp_path: Path) -> None:
    """Neither platform nor modality: of the other asset all is there."""
    flat.write(EPHYS, "ecephys/a.dat")
    flat.write(NEW, "data/x")
    receipt = flat.run(tmp_path / "root", [NEW, EPHYS])
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert "a session of an animal or a sample of tissue: set layout.session" in failure.message
    assert acquisition(tmp_path / "root", "aind_open/655565/S20230331")
    assert not (tmp_path / "root/flexiznam/acquisitions/aind_open/795133").exists()


def test_descriptions_alone(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW, tiles=1, levels=1)
    root = tmp_path / "root"
    asked = flat.manifest([RAW])
    assert run_within(asked, root, options=RunOptions(metadata_only=True)).exit_code == 0
    assert list((root / "flexiznam/raw/aind_open/654308/brain").iterdir()) == [
        root / "flexiznam/raw/aind_open/654308/brain/sidecars"
    ]
    assert (root / "d.source-metadata" / RAW).is_dir()
    assert not (root / "flexiznam/acquisitions").exists(), "nothing is whole"
    assert run_within(asked, root).exit_code == 0
    assert acquisition(root, "aind_open/654308/brain")


def test_a_session_gets_its_file_once_all_of_it_is_there(flat: Flat, tmp_path: Path) -> None:
    flat.write(EPHYS, "ecephys/a.dat", "behavior/b.csv")
    asked = flat.manifest([EPHYS])
    path = tmp_path / "root/flexiznam/raw/aind_open/655565/S20230331/R144736_ecephys/behavior/b.csv"
    path.parent.mkdir(parents=True)
    path.write_text("the user's own")
    receipt = run_within(asked, tmp_path / "root", on_event=flat.events.append)
    assert receipt.exit_code == 1
    assert path.read_text() == "the user's own"
    assert not (tmp_path / "root/flexiznam/acquisitions").exists()
    told = "behavior: 1 objects are missing; aind_open/655565/S20230331 gets its file once it is whole"
    assert any(told in str(event.fields) for event in flat.events)
    path.unlink()
    assert run_within(asked, tmp_path / "root").exit_code == 0
    recording = acquisition(tmp_path / "root", "aind_open/655565/S20230331")["children"]["S20230331"]
    assert sorted(recording["children"]["R144736_ecephys"]["children"]) == ["behavior", "ecephys", "sidecars"]
