"""``emasync init``: a manifest that validates and plans, and that overwrites nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.links_desk import Program

from emasync.manifest.load import load_manifest
from emasync.sources.catalog import catalog_entries
from emasync.testing import Archive
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import write_ome_zarr_04

Start = Callable[..., Archive]


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(tmp_path)
    return Program(capsys, {})


def test_a_manifest_that_plans_and_runs(
    archive: Start, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_ome_zarr_04(tmp_path / "served" / "bucket" / "v.zarr", shape=(32, 32, 32), chunks=(16, 16, 16))
    server = archive(FolderStore(tmp_path / "served"))
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    said = program("init", "s3://bucket/v.zarr", "-o", "mine.yaml")

    assert said.code == 0
    assert "emasync plan mine.yaml" in said.out
    assert server.counts() == {}, "the link says it all"
    planned = program("plan", "mine.yaml", "--json")
    assert planned.code == 0
    assert planned.document["objects"] > 0
    assert program("run", "mine.yaml").code == 0
    assert (tmp_path / "data" / "v" / "s0" / ".zarray").is_file()


def test_the_name_is_that_of_the_dataset_and_nothing_is_overwritten(program: Program, tmp_path: Path) -> None:
    assert program("init", "EMPIAR-11759").code == 0
    path = tmp_path / "empiar-11759.yaml"
    before = path.read_text()
    assert load_manifest(path, environ={}).datasets[0].id == "empiar-11759"

    again = program("init", "EMPIAR-11759", "--id", "other")
    assert again.code == 0
    refused = program("init", "DANDI:000027", "-o", str(path))
    assert refused.code == 2
    assert "left alone" in refused.err
    assert path.read_text() == before
    (tmp_path / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert program("init", "DANDI:000027", "-o", "link.yaml").code == 2
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_stdout_takes_the_text_alone(program: Program, tmp_path: Path) -> None:
    said = program("init", "DANDI:000027/draft", "-o", "-")

    (tmp_path / "made.yaml").write_text(said.out)
    entry = load_manifest(tmp_path / "made.yaml", environ={}).datasets[0]
    assert (entry.id, entry.source_name) == ("dandi-000027", "dandi")
    assert said.err == ""
    assert "# from DANDI:000027/draft" in said.out


def test_a_folder_that_cannot_be_written(program: Program) -> None:
    said = program("init", "DANDI:000027", "-o", "no/such/folder/x.yaml")

    assert said.code == 4
    assert "no/such/folder/x.yaml" in said.err


@pytest.mark.parametrize("name", [entry.name for entry in catalog_entries()])
def test_names_of_the_catalog_are_written_as_they_are(name: str, program: Program) -> None:
    said = program("init", name, "-o", "-")

    assert said.code == 0
    assert said.out == next(entry.text for entry in catalog_entries() if entry.name == name)


def test_layers_of_a_viewer_with_what_is_left_out(program: Program, tmp_path: Path) -> None:
    layers = [
        {"type": "image", "name": "em", "source": "precomputed://gs://bucket/em"},
        {"type": "segmentation", "name": "em", "source": "precomputed://gs://bucket/seg"},
        {"type": "image", "name": "live", "source": "dvid://https://host.org/x"},
    ]
    state = {
        "layers": layers,
        "dimensions": {axis: [8e-9, "m"] for axis in "xyz"},
        "position": [1000, 2000, 3000],
    }

    said = program("init", f"https://x.org/#!{json.dumps(state)}", "-o", "made.yaml")

    text = (tmp_path / "made.yaml").read_text()
    assert [entry.id for entry in load_manifest(tmp_path / "made.yaml", environ={}).datasets] == ["em", "em-2"]
    assert "# crop: {start: [2872, 1872, 872]" in text
    assert "'live' left out" in said.err
    assert max(map(len, text.splitlines())) < 250


@pytest.mark.parametrize("link", ["what is this", "", "https://me:secret@host.org/x"])
def test_wrong_links_write_nothing(link: str, program: Program, tmp_path: Path) -> None:
    said = program("init", link)

    assert said.code == 2
    assert "secret" not in said.err
    assert list(tmp_path.iterdir()) == []
