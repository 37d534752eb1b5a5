"""What the hook writes, when, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pandas as pd
import pytest
from tests.hooks.metadata.desk import put, run_hook
from tests.hooks.metadata.tables import Root, values, vector
from tests.hooks.metadata.test_bad_values import ngff
from typer.testing import CliRunner

from emasync import api
from emasync.cli.main import app
from emasync.errors import InputError
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.metadata.fields import FIELDS
from emasync.hooks.metadata.tables import COLUMNS

ONE_LEVEL = ngff([8.0, 4.0, 4.0])
ONE = DatasetFacts(id="one", folder="one", metadata={"license": "CC0-1.0"})


@pytest.fixture
def copied(shipped: Callable[[str], Root], tmp_path: Path) -> Root:
    """A root of which tests may break something; without its chunks, which nobody reads here."""

    def chunks(_folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name.isdigit()]

    return Root(Path(shutil.copytree(shipped("openorganelle-nacc-2").path, tmp_path / "root", ignore=chunks)))


def test_the_table_opens_in_pandas_with_the_types_that_metadata_json_tells(shipped: Callable[[str], Root]) -> None:
    root = shipped("dandi-000728")
    table = pd.read_csv(root.path / "metadata.csv", dtype=root.document["dtypes"])
    assert list(table.columns) == list(COLUMNS)
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == root.document["dtypes"]
    traces = table[table["array_path"] == "acquisition/ElectricalSeries/data"]
    assert set(traces["subject_id"]) == {"491604983"}, "a name and no number"
    assert set(traces["n_channels"]) == {8}
    assert traces["voxel_size_z_nm"].isna().all()
    assert set(traces["lossy"].dropna()) <= {False}


@pytest.mark.parametrize("name", ["dandi-000728", "em-datasets", "aind-ephys-benchmark"])
def test_numbers_are_numbers_for_whoever_opens_the_table_without_being_told(
    shipped: Callable[[str], Root], name: str
) -> None:
    table = pd.read_csv(shipped(name).path / "metadata.csv")
    numbers = [column for column, dtype in COLUMNS.items() if dtype in ("Int64", "float64")]
    assert {table[column].dtype.kind for column in numbers} <= {"i", "f"}
    told = table.convert_dtypes()
    known = [column for column in numbers if COLUMNS[column] == "Int64" and told[column].notna().any()]
    assert "shape_x" in known or "n_samples" in known
    assert {str(told[column].dtype) for column in known} == {"Int64"}


def test_the_parquet_table_says_the_same(shipped: Callable[[str], Root]) -> None:
    root = shipped("em-datasets")
    table = pd.read_parquet(root.path / "metadata.parquet")
    from_csv = pd.read_csv(root.path / "metadata.csv", dtype=root.document["dtypes"])
    assert list(table.columns) == list(from_csv.columns)
    for name in ("dataset_id", "shape_z", "voxel_size_x_nm", "lossy", "conflicts", "n_conflicts", "doi_data"):
        one, other = ([None if pd.isna(cell) else cell for cell in frame[name]] for frame in (table, from_csv))
        assert one == other, name


def test_every_column_is_documented_and_nothing_else() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "metadata.md").read_text().partition("\n## Fields\n")[2]
    told = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert told == {field.name for field in FIELDS}


def test_a_second_run_writes_nothing_and_a_changed_file_is_described_anew(copied: Root) -> None:
    api.hook(copied.path, "metadata")
    before = {path: path.stat().st_mtime_ns for path in ours(copied.path)}
    assert len(before) >= 7
    api.hook(copied.path, "metadata")
    assert {path: path.stat().st_mtime_ns for path in ours(copied.path)} == before
    (copied.path / "nacc-2-box.source-metadata/dataset.json").write_bytes(
        orjson.dumps(
            orjson.loads((copied.path / "nacc-2-box.source-metadata/dataset.json").read_bytes())
            | {"metadata": {"organism": "Mus musculus"}}
        )
    )
    api.hook(copied.path, "metadata")
    assert values(copied.asset("nacc-2-box"), "organism", "license_spdx") == ["Mus musculus", None]


def ours(root: Path) -> Iterator[Path]:
    yield from (root / "metadata").rglob("*.json")
    yield from root.glob("metadata.*")
    yield root / "METADATA_SUMMARY.md"


def test_coverage_survives_a_deleted_ledger(copied: Root) -> None:
    """Law 9: absent is a statement, and who made it is gone with the ledger."""
    before = copied.asset("nacc-2-box")["arrays"][0]["coverage"]
    assert before["state"] == "complete"
    assert before["box"] == {"start": [128, 1024, 1024], "shape": [256, 256, 256]}
    shutil.rmtree(copied.path / ".emasync")
    api.hook(copied.path, "metadata")
    assert copied.asset("nacc-2-box")["arrays"][0]["coverage"] == before
    assert vector(copied.asset("nacc-2-box")["arrays"][0], "hull_shape_{}") == [256, 256, 256]


def test_chunks_that_did_not_come_are_told_as_partial(tmp_path: Path) -> None:
    """Without a ledger nobody knows, and that is said."""
    put(tmp_path / "one", ngff([8.0, 4.0, 4.0]))
    run_hook(tmp_path, ONE)
    (array,) = Root(tmp_path).asset("one")["arrays"]
    assert array["coverage"]["state"] == "unknown"
    assert array["coverage"]["chunks"] == {"expected": 1, "present": None, "absent": None}
    assert values(array, "completeness", "bytes_uncompressed") == [None, None]


def test_documents_of_what_is_gone_go_and_a_strangers_file_stays(tmp_path: Path) -> None:
    put(tmp_path / "one/a", ngff([8.0, 4.0, 4.0]))
    put(tmp_path / "one/b", ngff([8.0, 4.0, 4.0]))
    run_hook(tmp_path, ONE)
    put(tmp_path / "metadata/one", {"mine.json": {"version": 1}})
    shutil.rmtree(tmp_path / "one/b")
    run_hook(tmp_path, ONE)
    left = {path.relative_to(tmp_path / "metadata").as_posix() for path in (tmp_path / "metadata").rglob("*.json")}
    assert left == {"one.json", "one/a.json", "one/mine.json"}


def test_a_run_in_a_hurry_leaves_older_documents_as_they_are(tmp_path: Path) -> None:
    put(tmp_path / "one/a", ngff([8.0, 4.0, 4.0]))
    run_hook(tmp_path, ONE)
    before = {path: path.read_bytes() for path in ours(tmp_path)}
    put(tmp_path / "one/b", ngff([8.0, 4.0, 4.0]))
    report = run_hook(tmp_path, ONE, hurry=lambda: True)
    assert report.notes == ("stopped; older documents stay",)
    assert {path: path.read_bytes() for path in ours(tmp_path)} == before


def test_names_of_assets_are_unique_and_legal(tmp_path: Path) -> None:
    put(tmp_path / "one", {"one": b"", "a b:c.zarr/.zgroup": {"zarr_format": 2}})
    put(tmp_path / "one/a b:c.zarr/0", {".zarray": ngff([8, 4, 4])["0/.zarray"]})
    run_hook(tmp_path, ONE)
    asset = Root(tmp_path).asset("one")
    assert asset["asset"] == "a b:c.zarr/0"
    assert (tmp_path / asset["document"]).is_file()


def test_a_link_in_the_dataset_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "secret", {"subject.json": {"subject_id": "hidden"}})
    put(tmp_path / "root/one", {"a/data_description.json": {"name": "seen"}})
    (tmp_path / "root/one/b").symlink_to(tmp_path / "secret")
    (tmp_path / "root/one/a/subject.json").symlink_to(tmp_path / "secret/subject.json")
    run_hook(tmp_path / "root", ONE)
    assert b"hidden" not in (tmp_path / "root/metadata.json").read_bytes()
    assert b"seen" in (tmp_path / "root/metadata.json").read_bytes()


def test_a_dataset_without_assets_is_a_row_all_the_same(tmp_path: Path) -> None:
    put(tmp_path / "one", {"thing.bin": b"1"})
    run_hook(tmp_path, ONE)
    (row,) = Root(tmp_path).rows()
    assert (row["dataset_id"], row["asset_id"], row["license_spdx"]) == ("one", "one", "CC0-1.0")


def test_metadata_that_came_without_data_is_described_and_nothing_of_it_is_here(tmp_path: Path) -> None:
    """``--metadata-only`` keeps documents beside the dataset, of many trees in one file each."""
    documents = {
        path: data.decode() if isinstance(data, bytes) else json.dumps(data) for path, data in ONE_LEVEL.items()
    }
    put(tmp_path / "one.source-metadata", {"a/tile.zarr/survey.json": {"version": 1, "documents": documents}})
    put(tmp_path / "one", {"a/subject.json": {"subject_id": "7"}})
    run_hook(tmp_path, ONE)
    asset = Root(tmp_path).asset("one")
    (array,) = asset["arrays"]
    assert asset["asset"] == "a/tile.zarr"
    assert vector(array, "voxel_size_{}_nm") == [8.0, 4.0, 4.0]
    assert values(asset, "subject_id") == ["7"]
    assert array["coverage"]["state"] == "unknown"
    put(tmp_path / "one/a/tile.zarr", ONE_LEVEL)
    run_hook(tmp_path, ONE)
    assert [item["asset"] for item in Root(tmp_path).dataset("one")["assets"]] == ["a/tile.zarr"], "once"


def test_the_command_makes_it_again_and_tells_counts(copied: Root) -> None:
    (copied.path / "metadata.csv").unlink()
    done = CliRunner().invoke(app, ["metadata", str(copied.path), "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["counts"] == {"datasets": 2, "assets": 2, "rows": 2, "conflicts": 0}
    assert len(copied.rows()) == 2


def test_the_summary_tells_method_coverage_conflicts_and_what_is_unknown(shipped: Callable[[str], Root]) -> None:
    text = (shipped("em-datasets").path / "METADATA_SUMMARY.md").read_text()
    for part in ("How values were chosen", "Field coverage", "Common and unique fields", "Conflicts", "Unknown"):
        assert f"\n## {part}\n" in text
    assert "| empiar-11759 | 1 | 1 | dm3 | 16 x 344 x 343 | 50 x 7.99825 x 7.99825 | uint8 | CC0-1.0 | yes |" in text
    assert "| empiar-11759 | data | shape\\_y | 344 (header) | 5632 (api) |" in text
    assert "- only in hemibrain: `is_label`\n" in text
    assert "- epfl-hippocampus: `license_spdx`" in text.split("## Unknown")[1]


def test_hooks_are_run_again_by_name_each_after_what_it_needs(copied: Root) -> None:
    """The report shows the metadata: it comes after them, in whatever order they are named."""
    (copied.path / "metadata.json").unlink()
    (copied.path / "report.html").unlink()
    done = CliRunner().invoke(app, ["hooks", str(copied.path), "report", "metadata", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert list(told) == ["metadata", "report"]
    assert told["metadata"]["counts"]["rows"] == 2
    assert "fibsem-int16" in (copied.path / "report.html").read_text()
    said = CliRunner().invoke(app, ["hooks", str(copied.path), "metadata", "--only", "nacc-2-box"])
    assert said.stderr == "metadata: 2 datasets, 2 assets, 2 rows, 0 conflicts\n", "one table over all of a root"


def test_a_hook_or_dataset_that_there_is_not_is_named(copied: Root) -> None:
    with pytest.raises(InputError, match="no hook metadat; there are index, metadata, flexiznam, report"):
        api.hooks(copied.path, ["metadat"])
    with pytest.raises(InputError, match="no dataset x; there are nacc-2-box, nacc-2-s3"):
        api.hooks(copied.path, only=["x"])


def test_a_strangers_name_that_is_no_text_harms_nobody(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    put(tmp_path / "one/a", ONE_LEVEL)
    put(tmp_path / "one" / odd, {"subject.json": {"subject_id": "7"}, f"{odd}.tif": b"II*\0"})
    put(tmp_path / "one" / odd / "b", ONE_LEVEL)
    run_hook(tmp_path, ONE)
    assert [asset["asset"] for asset in Root(tmp_path).dataset("one")["assets"]] == ["a"]
