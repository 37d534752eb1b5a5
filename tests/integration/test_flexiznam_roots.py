"""Data roots outside the root: what runs, checks, exports and removals make of them; and layouts that change."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.integration.flexiznam_rules import accept
from tests.integration.folders import files_below, run_within
from typer.testing import CliRunner

import emasync
from emasync import api
from emasync.cli.main import app, main
from emasync.errors import DestinationError, InputError, MachineError
from emasync.manifest.layout import LayoutChoice
from emasync.plan.layout import Keeper, mapped
from emasync.sources.interface import FilesFound, TreeFound
from emasync.testing import Archive
from emasync.testing.aind import BUCKET, write_asset
from emasync.testing.stores import FolderStore

OBJECTS = {f"data/{number}.bin": bytes([number]) * (100 + number) for number in range(4)}
OBJECTS["data/deep/large.bin"] = bytes(range(256)) * 6_000
BELOW = {path.removeprefix("data/"): data for path, data in OBJECTS.items()}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Data roots; the raw one on a filesystem of its own where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - a filesystem that is not the temporary folder's
    elsewhere = memory if memory.is_dir() and memory.stat().st_dev != tmp_path.stat().st_dev else tmp_path
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        roots = {"raw": Path(folder) / "raw", "processed": tmp_path / "lab/processed"}
        for root in roots.values():
            root.mkdir(parents=True)
        yield roots


@pytest.fixture
def server(archive: Callable[..., Archive]) -> Archive:
    return archive(OBJECTS)


def manifest(
    server: Archive, folder: Path, roots: dict[str, Path] | None = None, layout: Any = None, **entry: Any
) -> Path:
    """A manifest file (Any: what it says)."""
    flexiznam = {"kind": "flexiznam", "project": "p", "mouse": "m", "sample": "brain"}
    asked = layout if layout is not None else flexiznam
    if roots is not None:
        asked = {**asked, "data_root": {tree: str(root) for tree, root in roots.items()}}
    dataset = {"id": "d", "source": "bucket", "format": "raw", "url": f"{server.url}/data", **entry}
    path = folder / "m.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "layout": asked, "datasets": [dataset]}))
    return path


def test_data_go_to_their_own_roots(server: Archive, lab: dict[str, Path], tmp_path: Path) -> None:
    root, path = tmp_path / "root", manifest(server, tmp_path, lab)
    receipt = run_within(path, root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    placed = files_below(lab["raw"])
    assert placed == {f"p/m/brain/d/{name}": data for name, data in BELOW.items()}
    assert (root / "flexiznam/raw").readlink() == lab["raw"].resolve()
    document = yaml.safe_load((root / "flexiznam/acquisitions/p/m/brain.yml").read_text())
    accept(document, lab)
    assert document["root_folder"] == str(lab["raw"].resolve() / "p/m")
    written = {datetime.fromtimestamp((lab["raw"] / place).stat().st_mtime, UTC) for place in placed}
    created = document["children"]["brain"]["children"]["d"]["created"]
    assert created in {f"{moment:%Y-%m-%d %H:%M:%S}" for moment in written}, "nobody tells when it was recorded"
    assert len((root / "checksums/d.tsv").read_text().splitlines()) == 1 + len(OBJECTS)

    server.reset()
    assert run_within(path, root).exit_code == 0
    assert server.requests == []


def test_workers_lay_data_outside_too(server: Archive, lab: dict[str, Path], tmp_path: Path) -> None:
    receipt = run_within(manifest(server, tmp_path, lab), tmp_path / "root", options=api.RunOptions(workers=2))
    assert receipt.exit_code == 0
    assert files_below(lab["raw"]) == {f"p/m/brain/d/{name}": data for name, data in BELOW.items()}


def test_checks_find_and_mend_what_lies_outside(server: Archive, lab: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert run_within(manifest(server, tmp_path, lab), root).ok
    spoilt, gone = lab["raw"] / "p/m/brain/d/deep/large.bin", lab["raw"] / "p/m/brain/d/1.bin"
    with spoilt.open("r+b") as file:
        file.write(b"spoilt")
    gone.unlink()
    report = api.verify(root, full=True)
    assert not report.ok
    assert api.verify(root, full=True, repair=True).ok
    assert files_below(lab["raw"]) == {f"p/m/brain/d/{name}": data for name, data in BELOW.items()}


def test_what_is_wanted_no_more_goes_outside_too(server: Archive, lab: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert run_within(manifest(server, tmp_path, lab), root).ok
    narrow = manifest(server, tmp_path, lab, include=["*.bin"])
    assert run_within(narrow, root).ok
    report = api.prune(root, narrow)
    assert (report.datasets[0].objects, report.folders) == (1, 1)
    kept = {name: data for name, data in BELOW.items() if "/" not in name}
    assert files_below(lab["raw"]) == {f"p/m/brain/d/{name}": data for name, data in kept.items()}
    assert not (lab["raw"] / "p/m/brain/d/deep").exists()


@pytest.mark.parametrize("data", ["copy", "none"])
def test_bags_hold_what_lies_outside(server: Archive, lab: dict[str, Path], tmp_path: Path, data: str) -> None:
    root = tmp_path / "root"
    assert run_within(manifest(server, tmp_path, lab), root).ok
    report = api.export(root, "d", to="bagit", out=tmp_path / "bag", data=data)
    assert report.files == len(OBJECTS)
    if data == "copy":
        assert files_below(tmp_path / "bag/data") == {f"raw/p/m/brain/d/{name}": item for name, item in BELOW.items()}


def test_each_dataset_is_described_and_read_by_itself(
    archive: Callable[..., Archive], lab: dict[str, Path], tmp_path: Path
) -> None:
    """Two of them share a sample, on another filesystem than the root's."""
    bucket = tmp_path / "served" / BUCKET
    first, second = "exaSPIM_654308_2023-11-02_14-07-20", "exaSPIM_654308_2024-05-01_10-00-00"
    truth = {
        name: write_asset(bucket, name, tiles=1, levels=1, shape=shape)
        for name, shape in ((first, (20, 40, 40)), (second, (24, 48, 40)))
    }
    server = archive(FolderStore(tmp_path / "served"))
    layout = {"kind": "flexiznam", "project": "p", "data_root": {tree: str(place) for tree, place in lab.items()}}
    asked = {
        "version": 1,
        "mirrors": {f"s3://{BUCKET}": f"{server.url}/{BUCKET}"},
        "layout": layout,
        "datasets": [
            {"id": name, "source": "aind", "assets": [asset]} for name, asset in (("d", first), ("e", second))
        ],
    }
    root = tmp_path / "root"
    assert run_within(asked, root).failures == ()
    for name, asset in (("d", first), ("e", second)):
        (row,) = [row for row in emasync.volumes(root) if row.dataset == name]
        ((levels),) = truth[asset].values()
        volume = emasync.open_volume(root, name)
        np.testing.assert_array_equal(volume.read((0, 0, 0), volume.shape), levels[0][0, 0])
        assert row.asset.startswith("raw/p/654308/brain/")
    described = json.loads((root / "metadata.json").read_text())["datasets"]
    assert [len(dataset["assets"]) for dataset in described] == [2, 2]


def test_the_command_line_tells_of_such_a_root(server: Archive, lab: dict[str, Path], tmp_path: Path) -> None:
    root, path = tmp_path / "root", manifest(server, tmp_path, lab)
    assert CliRunner().invoke(app, ["run", str(path), "--root", str(root), "--quiet"]).exit_code == 0
    assert json.loads(CliRunner().invoke(app, ["status", str(root), "--json"]).stdout)["datasets"]
    assert CliRunner().invoke(app, ["verify", str(root), "--json"]).exit_code == 0
    planned = CliRunner().invoke(app, ["plan", str(path), "--root", str(root), "--json"])
    assert json.loads(planned.stdout)["longest_path"] == "flexiznam/raw/p/m/brain/d/deep/large.bin"


def test_a_data_root_that_is_not_mounted_stops_the_next_run(
    server: Archive, lab: dict[str, Path], tmp_path: Path
) -> None:
    root, path = tmp_path / "root", manifest(server, tmp_path, lab)
    assert run_within(path, root).ok
    lab["processed"].rename(tmp_path / "lab/unmounted")
    lab["processed"].mkdir()
    server.reset()
    with pytest.raises(MachineError, match="mount its filesystem"):
        run_within(path, root)
    assert server.requests == []
    os.rmdir(lab["processed"])  # noqa: PTH106 - nothing may have been put into it


# --- layouts that change ------------------------------------------------------------------------------------------

MIRROR = {"kind": "mirror"}
FLEXIZNAM = {"kind": "flexiznam", "project": "p", "mouse": "m", "sample": "brain"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (MIRROR, FLEXIZNAM),
        (FLEXIZNAM, MIRROR),
        (FLEXIZNAM, FLEXIZNAM | {"mouse": "n"}),
        (FLEXIZNAM, FLEXIZNAM | {"project": "q"}),
        (FLEXIZNAM, {"kind": "flexiznam", "project": "p", "mouse": "m", "session": "S20200101"}),
        (FLEXIZNAM, FLEXIZNAM | {"data_root": {"raw": "lab/raw", "processed": "lab/processed"}}),
    ],
)
@pytest.mark.parametrize("without_state", [False, True])
def test_another_layout_is_refused_before_anything_is_asked(
    server: Archive, tmp_path: Path, before: dict[str, Any], after: dict[str, Any], *, without_state: bool
) -> None:
    root = tmp_path / "root"
    for tree in ("raw", "processed"):
        (tmp_path / "lab" / tree).mkdir(parents=True)
    assert run_within(manifest(server, tmp_path, layout=before), root).ok
    if without_state:
        (root / ".emasync").rename(tmp_path / "lost")
    there = {path: data for path, data in files_below(root).items() if not path.startswith(".emasync/")}
    server.reset()
    with pytest.raises(InputError, match="nothing is moved"):
        run_within(manifest(server, tmp_path, layout=after), root)
    assert server.requests == []
    assert {path: data for path, data in files_below(root).items() if path in there} == there


def test_the_command_line_leaves_with_2(server: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    assert run_within(manifest(server, tmp_path, layout=MIRROR), root).ok
    path = manifest(server, tmp_path, layout=FLEXIZNAM)
    with pytest.raises(SystemExit) as left:
        main(["run", str(path), "--root", str(root), "--quiet"])
    assert left.value.code == 2
    assert "is laid out with kind: mirror, and the manifest asks for kind: flexiznam" in capsys.readouterr().err


def test_the_flavour_may_change_and_moves_nothing(server: Archive, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert run_within(manifest(server, tmp_path, layout=FLEXIZNAM), root).ok
    before = files_below(root / "flexiznam/raw")
    assert run_within(manifest(server, tmp_path, layout=FLEXIZNAM | {"flavour": "legacy"}), root).ok
    assert files_below(root / "flexiznam/raw") == before


def test_what_prune_took_away_may_be_laid_out_otherwise(server: Archive, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert run_within(manifest(server, tmp_path, layout=FLEXIZNAM), root).ok
    other = manifest(server, tmp_path, layout=FLEXIZNAM, id="e")
    assert run_within(other, root).ok
    api.prune(root, other, drop=["d"])
    assert run_within(manifest(server, tmp_path, layout=FLEXIZNAM | {"sample": "liver"}), root).ok
    assert sorted(path.name for path in (root / "flexiznam/raw/p/m").iterdir()) == ["brain", "liver"]
    acquisitions = root / "flexiznam/acquisitions/p/m"
    assert sorted(path.name for path in acquisitions.iterdir()) == ["brain.yml", "liver.yml"]
    api.prune(root, manifest(server, tmp_path, layout=FLEXIZNAM | {"sample": "liver"}), drop=["e"])
    api.hook(root, "flexiznam")
    assert [path.name for path in acquisitions.iterdir()] == ["liver.yml"], "of the other nothing is there any more"


# --- the older generation -----------------------------------------------------------------------------------------


def test_the_older_generation(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """Only what its detectors find; keys of v0.4 would be refused there (trap 11)."""
    server = archive(
        {"data/a/1.tif": b"1", "data/2.czi": b"2", "data/reads.fastq.gz": b"3", "data/x.zarr/.zgroup": b""}
    )
    layout = {"kind": "flexiznam", "project": "p", "mouse": "m", "session": "S20210513", "flavour": "legacy"}
    assert run_within(manifest(server, tmp_path, layout=layout), tmp_path / "root").ok
    document = yaml.safe_load((tmp_path / "root/flexiznam/acquisitions/p/m/S20210513.yml").read_text())
    known = {
        "project",
        "mouse",
        "session",
        "path",
        "notes",
        "attributes",
        "genealogy",
        "recordings",
        "datasets",
        "samples",
    }
    assert set(document) <= known
    assert {key: document[key] for key in ("project", "mouse", "session", "path")} == {
        "project": "p",
        "mouse": "m",
        "session": "S20210513",
        "path": "./m/S20210513",
    }
    found = {name: (item["dataset_type"], item["path"]) for name, item in document["datasets"].items()}
    assert found == {
        "2.czi": ("microscopy", "./m/S20210513/d/2.czi"),
        "a_1.tif": ("microscopy", "./m/S20210513/d/a/1.tif"),
        "reads.fastq.gz": ("sequencing", "./m/S20210513/d/reads.fastq.gz"),
    }


def test_what_the_older_generation_cannot_find_is_told(server: Archive, tmp_path: Path) -> None:
    events: list[Any] = []
    asked = manifest(server, tmp_path, layout=FLEXIZNAM | {"flavour": "legacy"})
    assert run_within(asked, tmp_path / "root", on_event=events.append).ok
    assert not (tmp_path / "root/flexiznam/acquisitions").exists()
    told = [str(event.fields) for event in events]
    assert any("p/m/brain: nothing here that versions up to 0.3.9 can find; use flavour: v0.4" in text for text in told)


# --- layouts of other packages ------------------------------------------------------------------------------------


class Dated:
    """A plug-in's layout: everything below one folder that the manifest names."""

    def __init__(self, asked: LayoutChoice) -> None:
        self._shelf = asked.naming["options"]

    def folder(self, dataset: str) -> str:
        assert isinstance(self._shelf, dict)
        return f"{self._shelf['shelf']}/{dataset}"

    async def settle(self, _dataset: str, _found: FilesFound | TreeFound, _keeper: Keeper) -> Dated:
        return self

    async def places(self, _dataset: str, _keeper: Keeper) -> None:
        """All of its folder."""

    def tree(self, path: str) -> str:
        return mapped(path) if path else ""

    def place(self, path: str) -> str:
        if path == "3.bin":
            raise DestinationError("no place for 3.bin on this shelf", location=path)
        return f"sorted/{mapped(path)}"


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from emasync.manifest.layout import plug_ins

    points = EntryPoints([EntryPoint("dated", f"{__name__}:Dated", "emasync.layouts")])

    def entry_points(*, group: str) -> EntryPoints:
        return points.select(group=group)

    plug_ins.cache_clear()
    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    yield
    plug_ins.cache_clear()


@pytest.mark.usefixtures("plug_in")
def test_a_plug_in_lays_out_as_it_likes(server: Archive, tmp_path: Path) -> None:
    root, layout = tmp_path / "root", {"kind": "dated", "options": {"shelf": "a"}}
    receipt = run_within(manifest(server, tmp_path, layout=layout), root)
    (failure,) = receipt.failures
    assert failure.message == "no place for 3.bin on this shelf"
    placed = {f"sorted/{name}": data for name, data in BELOW.items() if name != "3.bin"}
    assert files_below(root / "a/d") == placed
    with pytest.raises(InputError, match="nothing is moved"):
        run_within(manifest(server, tmp_path, layout={"kind": "dated", "options": {"shelf": "b"}}), root)


def test_a_layout_that_nobody_installed(server: Archive, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected mirror, or a mapping with kind"):
        run_within(manifest(server, tmp_path, layout={"kind": "dated"}), tmp_path / "root")
