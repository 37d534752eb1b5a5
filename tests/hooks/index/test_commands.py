"""``emasync volumes`` and ``emasync index`` after a real run, by program and by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.integration.folders import run_within
from typer.testing import CliRunner

import emasync
from emasync.cli.main import app
from emasync.testing.tiff import write_pages
from emasync.testing.volumes import smooth_blobs, write_ome_zarr_04


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with an image of two levels and a stack of pages."""
    folder = tmp_path_factory.mktemp("made")
    write_ome_zarr_04(folder / "source/image.zarr", shape=(20, 40, 30), chunks=(16, 16, 16), levels=2)
    (folder / "pages").mkdir()
    write_pages(folder / "pages/stack.tif", smooth_blobs((4, 30, 20), "uint16", 1), pixel_nm=5)
    manifest = folder / "manifest.yaml"
    manifest.write_text(
        f"""
version: 1
datasets:
  - {{id: em, source: bucket, url: "file://{folder}/source"}}
  - {{id: stack, source: bucket, url: "file://{folder}/pages", metadata: {{voxel_size: [50, 5, 5], unit: nm}}}}
"""
    )
    assert run_within(manifest, folder / "root").ok
    return folder / "root"


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(made, tmp_path / "root")
    return tmp_path / "root"


def test_a_run_leaves_an_index(made: Path) -> None:
    rows = emasync.volumes(made)
    assert [(row.dataset, row.asset, row.array, row.dtype, row.axes) for row in rows] == [
        ("em", "image.zarr", "", "<i2", ("z", "y", "x")),
        ("stack", "stack.tif", "0", "<u2", ("z", "y", "x")),
    ]
    assert [(scale.scale, scale.shape, scale.kind) for scale in rows[0].scales] == [
        (0, (20, 40, 30), "formula"),
        (1, (10, 20, 15), "formula"),
    ]
    assert rows[0].scales[0].voxel_size == (8.0, 4.0, 4.0)
    assert rows[0].shape == (20, 40, 30)
    assert all(scale.coverage.complete for row in rows for scale in row.scales)


def test_volumes_as_json_and_as_text(made: Path) -> None:
    told = CliRunner().invoke(app, ["volumes", str(made), "--json"])
    assert told.exit_code == 0
    document = json.loads(told.stdout)
    assert [row["dataset"] for row in document["volumes"]] == ["em", "stack"]
    assert document["volumes"] == json.loads(json.dumps([row.to_dict() for row in emasync.volumes(made)]))
    text = CliRunner().invoke(app, ["volumes", str(made), "em"]).stdout
    assert "em  image.zarr  (zarr2 <i2 image, z,y,x)" in text
    assert "  1: 10 x 20 x 15  z 16 nanometer, y 8 nanometer, x 8 nanometer  complete" in text
    assert "stack" not in text


def test_where_there_is_no_index_the_command_is_named(tmp_path: Path, made: Path) -> None:
    for path, words in [(tmp_path / "none", "no such folder"), (tmp_path, "emasync index")]:
        with pytest.raises(emasync.InputError, match=words):
            emasync.volumes(path)
    with pytest.raises(emasync.InputError, match="no index of dataset 'x'"):
        emasync.volumes(made, "x")


def test_an_index_is_made_again_without_ledger_or_server(root: Path) -> None:
    before = [row.to_dict() for row in emasync.volumes(root)]
    shutil.rmtree(root / ".emasync")
    with pytest.raises(emasync.InputError):
        emasync.volumes(root)
    done = CliRunner().invoke(app, ["index", str(root)])
    assert done.exit_code == 0, done.output
    assert "3 arrays of 2 datasets" in done.stderr
    after = [row.to_dict() for row in emasync.volumes(root)]
    assert [row["scales"][0]["shape"] for row in after] == [row["scales"][0]["shape"] for row in before]
    told = CliRunner().invoke(app, ["volumes", str(root)]).stdout
    assert "what is here is not known: the ledger is gone" in told


def test_one_dataset_is_indexed_by_name(root: Path) -> None:
    write_pages(root / "stack/new.tif", smooth_blobs((2, 10, 10), "uint8", 2), pixel_nm=5)
    write_ome_zarr_04(root / "em/new.zarr", shape=(8, 8, 8), chunks=(8, 8, 8), levels=1)
    assert CliRunner().invoke(app, ["index", str(root), "stack"]).exit_code == 0
    assert [(row.dataset, row.asset) for row in emasync.volumes(root)] == [
        ("em", "image.zarr"),
        ("stack", "new.tif"),
        ("stack", "stack.tif"),
    ]
    wrong = CliRunner().invoke(app, ["index", str(root), "nobody"])
    assert isinstance(wrong.exception, emasync.InputError)


def generations(root: Path) -> dict[str, str]:
    """Which index of each dataset counts."""
    return {
        path.parent.name: json.loads(path.read_text())["generation"] for path in root.rglob(".emasync/index/*/*.json")
    }


def test_a_run_that_changes_nothing_leaves_the_index_as_it_is(made: Path) -> None:
    before = generations(made)
    assert run_within(made.parent / "manifest.yaml", made).ok
    assert generations(made) == before


def test_a_run_makes_an_index_again_when_a_file_or_the_manifest_changed(root: Path, made: Path) -> None:
    before = generations(root)
    manifest = root.parent / "manifest.yaml"
    text = (made.parent / "manifest.yaml").read_text()
    manifest.write_text(text.replace("[50, 5, 5]", "[40, 5, 5]"))
    assert run_within(manifest, root).ok
    after = generations(root)
    assert (after["em"] == before["em"], after["stack"] == before["stack"]) == (True, False)
    data = bytearray((root / "stack/stack.tif").read_bytes())
    data[-1] ^= 1
    (root / "stack/stack.tif").write_bytes(data)
    assert run_within(manifest, root).ok
    assert generations(root)["stack"] != after["stack"]


def test_an_index_that_is_asked_for_is_made_in_any_case(root: Path) -> None:
    before = generations(root)
    assert CliRunner().invoke(app, ["index", str(root)]).exit_code == 0
    assert all(generations(root)[dataset] != before[dataset] for dataset in ("em", "stack"))


def test_stats_are_made_when_they_are_asked_for(root: Path) -> None:
    assert list(root.rglob("stats.npy")) == []
    done = CliRunner().invoke(app, ["index", str(root), "stack", "--stats"])
    assert done.exit_code == 0, done.output
    assert [path.parent.parent.name for path in root.rglob("stats.npy")] == ["stack"]
