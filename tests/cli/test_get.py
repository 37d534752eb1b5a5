"""``emasync get``: from a pasted link to whole files, again without a request, and the manifest that says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import zarr
from tests.cli.links_desk import Program, Projects, Said, asked
from tests.integration.folders import files_below

import emasync
from emasync.api import RunOptions, Wish
from emasync.errors import InputError, SourceError
from emasync.manifest.load import load_manifest
from emasync.model.digest import Digest
from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.aind import write_asset
from emasync.testing.dandi import DandiTwin
from emasync.testing.empiar import EmpiarTwin
from emasync.testing.idr import IdrTwin, OmeroApp
from emasync.testing.memory import MemoryStore
from emasync.testing.precomputed import ScaleOnDisk, read_precomputed, write_precomputed
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import write_ome_zarr_04

Start = Callable[..., Archive]
Capture = pytest.CaptureFixture[str]

RAW = "exaSPIM_708373_2024-04-02_19-49-38"
NWB = {"sub-1/a.nwb": b"\x89HDF" + bytes(5_000), "sub-1/b.nwb": b"\x89HDFb", "sub-2/a.nwb": b"\x89HDFc"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket with an image and labels of the same place, and files."""
    made = tmp_path_factory.mktemp("served")
    bucket = made / "bucket"
    write_ome_zarr_04(bucket / "v.zarr", shape=(64, 64, 64), chunks=(16, 16, 16), scale=(8.0, 8.0, 8.0))
    labels = np.arange(32**3, dtype=np.uint32).reshape(32, 32, 32)
    scale = ScaleOnDisk(voxels=labels, key="16", offset=(0, 0, 0), chunk=(16, 16, 16), resolution=(16.0,) * 3)
    write_precomputed(bucket / "labels", [scale], kind="segmentation")
    (bucket / "a b {c} $HOME.txt").write_bytes(b"odd name")
    (bucket / "x.tif").write_bytes(b"II*\0" + bytes(2_000))
    return made


@pytest.fixture
def server(archive: Start, folder: Path) -> Archive:
    return archive(FolderStore(folder))


@pytest.fixture
def program(server: Archive, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(tmp_path)
    return Program(capsys, {"s3://bucket": f"{server.url}/bucket", "gs://bucket": f"{server.url}/bucket"})


def recorded(root: Path, dataset: str) -> Path:
    return root / f"{dataset}.source-metadata" / "emasync-get.yaml"


def check_same_again(said: Said, program: Program, server: Archive, *arguments: str | Path) -> None:
    """Repeating the command, and running the manifest that was kept, asks for nothing."""
    assert said.code == 0, said.err
    server.reset()
    assert program(*arguments).code == 0
    manifest = said.err.rpartition("emasync run ")[2].strip()
    assert program.bare("run", manifest).code == 0
    assert asked(server) == []


# --- whole runs -------------------------------------------------------------------------------------------------------


def test_levels_and_a_box_of_a_volume_below_data(program: Program, server: Archive, tmp_path: Path) -> None:
    arguments = ("get", "s3://bucket/v.zarr", "--scales", "0", "--crop", "0:16,16:48,0:64")

    said = program(*arguments)

    check_same_again(said, program, server, *arguments)
    got: Any = zarr.open_array(tmp_path / "data" / "v" / "s0", mode="r")
    assert got.shape == (16, 32, 64)
    entry = load_manifest(recorded(tmp_path / "data", "v"), environ={}).datasets[0]
    assert (entry.id, entry.scales) == ("v", (0,))


def test_one_file_by_its_url_and_a_place_for_it(program: Program, server: Archive, tmp_path: Path) -> None:
    url = f"{server.url}/bucket/x.tif"

    check_same_again(program("get", url), program, server, "get", url)
    assert files_below(tmp_path / "data" / "x") == {"x.tif": b"II*\0" + bytes(2_000)}

    said = program("get", url, "--root", "there", "--id", "mine", "--path", "in/y.tif", "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert files_below(tmp_path / "there" / "mine").keys() == {"in/y.tif"}


def test_a_name_with_all_that_is_odd(program: Program, server: Archive, tmp_path: Path) -> None:
    link = f"{server.url}/bucket/a%20b%20%7Bc%7D%20$HOME.txt"

    check_same_again(program("get", link), program, server, "get", link)
    assert files_below(tmp_path / "data" / "a-b-c-HOME") == {"a b {c} $HOME.txt": b"odd name"}


def test_events_and_the_receipt_on_stdout(program: Program) -> None:
    said = program("get", "s3://bucket/x.tif", "--json")

    events = [json.loads(line) for line in said.out.splitlines()]
    assert (said.code, said.err) == (0, "")
    assert events[-1]["event"] == "receipt"
    assert events[-1]["datasets"][0]["status"] == "complete"


def test_a_viewers_link_is_several_datasets_in_one_box(program: Program, server: Archive, tmp_path: Path) -> None:
    layers = [
        {"type": "image", "name": "em", "source": "zarr://s3://bucket/v.zarr"},
        {"type": "segmentation", "name": "labels", "source": "precomputed://gs://bucket/labels"},
    ]
    link = f"https://x.appspot.com/#!{json.dumps({'layers': layers})}"
    arguments = ("get", link, "--scales", "0", "--crop", "0:24,0:24,40:56")

    said = program(*arguments)

    check_same_again(said, program, server, *arguments)
    em: Any = zarr.open_array(tmp_path / "data" / "em" / "s0", mode="r")
    voxels, start = read_precomputed(tmp_path / "data" / "labels")
    assert em.shape == (32, 32, 32)
    assert voxels.shape[:3] == (16, 16, 16)
    assert start == (0, 0, 16), "the same place, in voxels twice as large"
    first, second = load_manifest(recorded(tmp_path / "data", "labels"), environ={}).datasets
    assert (first.role, second.role) == ("image", "labels")


def test_a_dandiset_by_its_folder_and_an_asset_by_its_address(
    archive: Start, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    twin = DandiTwin(MemoryStore(buckets=("dandiarchive",)))
    assets = {path: twin.add_blob("000027", path, data) for path, data in NWB.items()}
    store = twin.add_zarr("000027", "sub-3/x.zarr", {".zattrs": b"{}", "0/0": b"chunk"})
    server = archive(twin.store, apps=[twin])
    program = Program(
        capsys, {"https://api.dandiarchive.org": server.url, "s3://dandiarchive": f"{server.url}/dandiarchive"}
    )

    assert program("get", "https://dandiarchive.org/dandiset/000027/draft/files?location=sub-1").code == 0
    below = files_below(tmp_path / "data" / "dandi-000027")
    assert below == {path: data for path, data in NWB.items() if path.startswith("sub-1/")}

    api = "https://api.dandiarchive.org/api"
    asset = assets["sub-2/a.nwb"].asset_id
    assert program("get", f"{api}/assets/{asset}/download/", "--root", "one").code == 0
    assert files_below(tmp_path / "one" / "a.nwb") == {"a.nwb": NWB["sub-2/a.nwb"]}
    (file,) = load_manifest(recorded(tmp_path / "one", "a.nwb"), environ={}).datasets[0].expanded()  # type: ignore[attr-defined]
    assert Digest("sha256", hashlib.sha256(NWB["sub-2/a.nwb"]).hexdigest()) in file.digests

    link = f"{api}/dandisets/000027/versions/draft/assets/{asset}/"
    assert program("get", link, "--root", "two").code == 0
    assert files_below(tmp_path / "two" / "dandi-000027") == {"sub-2/a.nwb": NWB["sub-2/a.nwb"]}

    assert program("get", f"{api}/assets/{store.asset_id}/", "--root", "three").code == 0
    assert files_below(tmp_path / "three" / "x.zarr") == {".zattrs": b"{}", "0/0": b"chunk"}

    unknown = program("get", f"{api}/assets/00000000-0000-0000-0000-000000000000/")
    assert unknown.code == 1
    assert "no asset" in unknown.err


def test_a_folder_of_an_entry_of_empiar(
    archive: Start, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    twin = EmpiarTwin()
    store = twin.store()
    server = archive(store, apps=twin.apps(store))
    program = Program(capsys, twin.mirrors(server.url))

    link = "https://ftp.ebi.ac.uk/empiar/world_availability/11759/data/trakem2/"
    said = program("get", link)

    assert said.code == 0, said.err
    wanted = {path: data for path, data in twin.files.items() if path.startswith("data/trakem2/")}
    assert files_below(tmp_path / "data" / "empiar-11759") == wanted


def test_an_asset_of_a_flat_bucket(
    archive: Start, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_asset(tmp_path / "served" / "aind-open-data", RAW, tiles=1)
    server = archive(FolderStore(tmp_path / "served"))
    program = Program(capsys, {"s3://aind-open-data": f"{server.url}/aind-open-data"})

    assert program("get", f"s3://aind-open-data/{RAW}/", "--include", "*.json").code == 0
    names = files_below(tmp_path / "data" / RAW)
    assert names
    assert all(name.startswith(f"{RAW}/") and name.endswith(".json") for name in names)


# --- the IDR: studies and projects ------------------------------------------------------------------------------------


STUDIES = {
    **{number: f"idr{number:04d}-other/experimentA" for number in range(1, 40)},
    101: "idr0086-miron-micrographs/experimentA",
    102: "idr0086-miron-micrographs/experimentD",
    103: "idr00861-longer/experimentA",
}


@pytest.fixture
def idr(
    archive: Start, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Program, Archive]]:
    monkeypatch.chdir(tmp_path)

    def start(**projects: Any) -> tuple[Program, Archive]:
        twin = IdrTwin()
        made = Projects(STUDIES, {101: {}, 102: {10740: "U2OS_chromatin"}}, **projects)
        server = archive(twin.store(), apps=(made, OmeroApp(twin)))
        return Program(capsys, twin.mirrors(server.url)), server

    return start


def test_a_study_is_its_projects_datasets(idr: Callable[..., tuple[Program, Archive]], tmp_path: Path) -> None:
    program, server = idr(page_limit=20)

    said = program("get", "idr0086")

    assert said.code == 0, said.err
    assert len(files_below(tmp_path / "data" / "idr-U2OS_chromatin")) == 2
    projects = [path for path in asked(server) if "/m/projects/" in path]
    assert len(projects) == 5, "three pages of all, two of the study"
    text = recorded(tmp_path / "data", "idr-U2OS_chromatin").read_text()
    assert "dataset U2OS_chromatin of idr0086-miron-micrographs/experimentD" in text


def test_a_project_and_one_experiment_of_a_study(idr: Callable[..., tuple[Program, Archive]]) -> None:
    program, server = idr()

    shown = program("init", "https://idr.openmicroscopy.org/webclient/?show=project-102", "-o", "-")
    assert "dataset: 10740" in shown.out
    server.reset()
    part = program("init", "idr0086-miron-micrographs/experimentD", "-o", "-")
    assert "dataset: 10740" in part.out
    assert len(asked(server)) == 2, "one page of all projects, one project"


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("idr0999", "no project of idr0999"),
        ("https://idr.openmicroscopy.org/webclient/?show=project-7", "unknown, or not public"),
        ("https://idr.openmicroscopy.org/webclient/?show=project-101", "no dataset"),
    ],
)
def test_what_the_idr_does_not_have(link: str, says: str, idr: Callable[..., tuple[Program, Archive]]) -> None:
    program, _ = idr()

    said = program("get", link)

    assert said.code == 1
    assert says in said.err


def test_a_study_of_very_many_projects_is_bounded(archive: Start, capsys: Capture) -> None:
    names = dict.fromkeys(range(1, 101), "idr0001-x/experimentA")
    server = archive({}, apps=(Projects(names, {number: {number: f"d{number}"} for number in names}),))
    program = Program(capsys, IdrTwin.mirrors(server.url))

    said = program("init", "idr0001", "-o", "-")

    assert said.out.count("source: idr") == 24
    assert "76 more projects left out" in said.err
    assert len(asked(server)) == 25


# --- links to documents -----------------------------------------------------------------------------------------------


def test_a_short_link_is_resolved_and_checked(archive: Start, capsys: Capture) -> None:
    state = {"layers": [{"type": "image", "name": "em", "source": "zarr://s3://bucket/v.zarr"}]}
    objects = {
        "states/good.json": orjson.dumps(state),
        "states/broken.json": b"{",
        "states/none.json": b"{}",
        "states/local.json": orjson.dumps({"layers": [{"type": "image", "source": "zarr://file:///etc"}]}),
        "states/long.json": b" " * ((16 << 20) + 1),
    }
    server = archive(objects)
    program = Program(capsys, {"gs://states": f"{server.url}/states"})

    good = program("init", "https://x.appspot.com/#!gs://states/good.json", "-o", "-")
    assert (good.code, "url: s3://bucket/v.zarr" in good.out) == (0, True)
    assert len(asked(server)) == 1
    assert program("init", f"https://x.appspot.com/#!{server.url}/states/good.json", "-o", "-").out.count("id: em") == 1
    for name, code in (("broken", 1), ("none", 2), ("local", 2), ("long", 1), ("gone", 1)):
        said = program("init", f"https://x.appspot.com/#!gs://states/{name}.json", "-o", "-")
        assert (said.code, said.out) == (code, ""), name
        assert f"gs://states/{name}.json" in said.err


# --- the root ---------------------------------------------------------------------------------------------------------


def test_two_links_of_one_name_do_not_share_a_folder(program: Program, server: Archive, tmp_path: Path) -> None:
    first, second = f"{server.url}/bucket/x.tif", f"{server.url}/bucket/x.tif?other=1"

    assert program("get", first).code == 0
    assert program("get", second).code == 0
    assert program("get", first).code == 0
    assert program("get", second).code == 0
    kept = sorted(path.name for path in (tmp_path / "data").glob("x*"))
    assert kept == ["x", "x-2", "x-2.source-metadata", "x.source-metadata"]


def test_all_spellings_of_a_link_are_one_dataset(program: Program, server: Archive, tmp_path: Path) -> None:
    assert program("get", "s3://bucket/v.zarr", "--scales", "2").code == 0
    server.reset()

    for link in (
        "https://bucket.s3.us-east-1.amazonaws.com/v.zarr",
        "zarr://s3://bucket/v.zarr",
        "s3a://bucket/v.zarr",
    ):
        assert program("get", link, "--scales", "2").code == 0
    assert [path.name for path in sorted((tmp_path / "data").glob("v*"))] == ["v", "v.source-metadata"]
    assert not [path for path in asked(server) if path.endswith("/s2/0/0/0")], "no chunk again"


def test_what_somebody_else_put_there_is_left_alone(program: Program, server: Archive, tmp_path: Path) -> None:
    (tmp_path / "data" / "x").mkdir(parents=True)
    (tmp_path / "data" / "x" / "x.tif").write_bytes(b"mine")

    assert program("get", f"{server.url}/bucket/x.tif").code == 0
    assert (tmp_path / "data" / "x" / "x.tif").read_bytes() == b"mine"
    assert files_below(tmp_path / "data" / "x-2").keys() == {"x.tif"}

    clash = program("get", f"{server.url}/bucket/x.tif", "--id", "x")
    assert clash.code == 1
    assert (tmp_path / "data" / "x" / "x.tif").read_bytes() == b"mine"


def test_a_root_that_was_moved_goes_on(program: Program, server: Archive, tmp_path: Path) -> None:
    assert program("get", "s3://bucket/x.tif", "--root", "first").code == 0
    (tmp_path / "first").rename(tmp_path / "second")
    server.reset()

    assert program.bare("run", recorded(tmp_path / "second", "bucket-x.tif")).code == 0
    assert asked(server) == []


def test_a_root_that_cannot_be_written(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    said = program("get", "s3://bucket/x.tif", "--root", "file/below")

    assert said.code == 4
    assert "file/below" in said.err


def test_a_missing_object_fails_and_can_be_tried_again(program: Program, server: Archive) -> None:
    said = program("get", f"{server.url}/bucket/gone.tif")

    assert said.code == 1
    assert "gone.tif" in said.err
    assert "the same again: emasync run data/gone.source-metadata" in said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("what is this",), "such are:"),
        (("s3://bucket/x", "--crop", "1,2,3"), "expected Z0:Z1"),
        (("s3://bucket/x", "--scales", "all"), "expected levels"),
        (("s3://bucket/x", "--path", "y"), "more than one"),
        (("s3://bucket/x", "--include", "["), "include[0]"),
        (("s3://bucket/x", "--id", "a/b"), "datasets[0].id"),
        (("s3://bucket/x", "--arrays", "../up"), "arrays[0]"),
        (("https://host.org/x.tif", "--crop", "0:1,0:1,0:1"), "crop"),
        (("EMPIAR-11759", "--scales", "1"), "scales"),
        (("quickstart", "--scales", "1"), "emasync init quickstart"),
        (("quickstart", "--id", "x"), "emasync init quickstart"),
        (("https://idr.openmicroscopy.org/webclient/?show=dataset-1|dataset-2", "--id", "x"), "cannot name 2"),
        (("s3://bucket/x", "--mirror", "nonsense"), "nonsense"),
        ((), "Missing argument"),
    ],
)
def test_wrong_command_lines_leave_nothing_behind(
    arguments: tuple[str, ...], says: str, program: Program, server: Archive, tmp_path: Path
) -> None:
    said = program("get", *arguments)

    assert said.code == 2
    assert says in said.err + said.out
    assert not (tmp_path / "data").exists()
    assert asked(server) == []


def test_a_name_of_the_catalog(
    archive: Start, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bucket = tmp_path / "served" / "janelia-cosem-datasets"
    volume = bucket / "jrc_mus-nacc-2/jrc_mus-nacc-2.zarr/recon-2/em/fibsem-int16"
    write_ome_zarr_04(volume, shape=(128, 128, 128), chunks=(32, 32, 32), levels=9)
    server = archive(FolderStore(tmp_path / "served"))
    program = Program(capsys, {"s3://janelia-cosem-datasets": f"{server.url}/janelia-cosem-datasets"})

    said = program("get", "quickstart")

    assert said.code == 0, said.err
    (path,) = (tmp_path / "data").glob("*.source-metadata/emasync-get.yaml")
    dataset = path.parent.name.removesuffix(".source-metadata")
    assert files_below(tmp_path / "data" / dataset), "beside its manifest"
    server.reset()
    assert program("run", path).code == 0
    assert asked(server) == [], "the same root"


# --- from Python ------------------------------------------------------------------------------------------------------


def test_from_python(server: Archive, tmp_path: Path) -> None:
    options = RunOptions(mirrors={"s3://bucket": f"{server.url}/bucket"})
    events: list[Event] = []

    receipt = emasync.get(
        "s3://bucket/v.zarr", root=tmp_path, wish=Wish(scales=(1,)), options=options, on_event=events.append
    )

    assert receipt.ok
    assert receipt.datasets[0].id == "v"
    assert {event.event for event in events} >= {"dataset_done"}
    rows = emasync.ls("s3://bucket/v.zarr", options=options)
    assert [row.level for row in rows] == [0, 1, 2]
    assert rows[0].shape == (64, 64, 64)
    assert "url: s3://bucket/v.zarr" in emasync.init("s3://bucket/v.zarr")
    with pytest.raises(InputError, match="such are:"):
        emasync.get("what is this", root=tmp_path)
    with pytest.raises(SourceError, match="is not there, or not public"):
        emasync.init(f"https://x.org/#!{server.url}/gone.json", allow_private=True)


async def test_from_python_in_a_loop(server: Archive, tmp_path: Path) -> None:
    options = RunOptions(mirrors={"s3://bucket": f"{server.url}/bucket"})

    receipt = await emasync.aget("s3://bucket/x.tif", root=tmp_path, options=options)
    rows = [row async for row in emasync.als("s3://bucket/", options=options)]

    assert receipt.ok
    assert [row.kind for row in rows] == ["folder", "folder", "file", "file"]
