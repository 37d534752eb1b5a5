"""``export --to croissant``, read by the reference implementation."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.hooks.metadata.desk import described
from tests.hooks.metadata.tables import Root

import emasync
from emasync.disk.sink import LocalSink
from emasync.errors import InputError
from emasync.hooks.croissant import Croissant
from emasync.hooks.export_files import ExportFile
from emasync.hooks.metadata.claims import Claims
from emasync.hooks.metadata.description import describe
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.writers import TableWriter

pytestmark = pytest.mark.filterwarnings("ignore")  # of the reference implementation's own libraries

mlcroissant: Any = pytest.importorskip("mlcroissant")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """It logs its warnings (recommended members that nobody published) through absl."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def exported(root: Root, dataset: str, out: Path) -> dict[str, Any]:
    emasync.export(root.path, dataset, to="croissant", out=out)
    document: dict[str, Any] = orjson.loads((out / "croissant.json").read_bytes())
    return document


def test_files_are_named_with_digests_and_the_table_is_a_record_set(
    shipped: Callable[[str], Root], tmp_path: Path
) -> None:
    root = shipped("em-datasets")
    document = exported(root, "empiar-11759", tmp_path / "retina")
    found = mlcroissant.Dataset(jsonld=str(tmp_path / "retina/croissant.json"))
    assert found.metadata.issues.errors == set()
    slices = [item for item in document["distribution"] if item["@id"].endswith(".dm3")]
    assert len(slices) == 16
    one = slices[0]
    data = (root.path / "empiar-11759" / one["@id"].removeprefix("files/")).read_bytes()
    assert one["sha256"] == hashlib.sha256(data).hexdigest()
    assert one["contentUrl"].startswith("https://ftp.ebi.ac.uk/empiar/world_availability/11759/data/")
    (row,) = found.records("assets")
    assert (row["assets/shape_z"], row["assets/voxel_size_z_nm"]) == (16, 50.0)
    assert row["assets/license_spdx"] == b"CC0-1.0"
    assert document["license"] == "https://spdx.org/licenses/CC0-1.0"


def test_many_chunks_are_one_set_of_files(shipped: Callable[[str], Root], tmp_path: Path) -> None:
    document = exported(shipped("em-datasets"), "hemibrain", tmp_path / "brain")
    found = mlcroissant.Dataset(jsonld=str(tmp_path / "brain/croissant.json"))
    assert found.metadata.issues.errors == set()
    assert [item["@type"] for item in document["distribution"]] == ["cr:FileObject", "cr:FileSet"]
    assert document["distribution"][1]["includes"] == "hemibrain/**"


def test_without_metadata_it_says_what_to_do(shipped: Callable[[str], Root], tmp_path: Path) -> None:
    root = shipped("em-datasets")
    table = root.path / "metadata.csv"
    table.rename(tmp_path / "aside.csv")
    try:
        with pytest.raises(InputError, match="run `emasync metadata"):
            emasync.export(root.path, "idr-u2os", to="croissant", out=tmp_path / "cell")
    finally:
        (tmp_path / "aside.csv").rename(table)
    assert not (tmp_path / "cell").exists()


def written(folder: Path, root: Root, files: list[ExportFile], *, one_by_one: bool) -> tuple[Any, dict[str, Any]]:
    """The description of dataset ``d`` as the reference implementation reads it, and as it is written."""
    document = orjson.loads((root.path / "metadata/d.json").read_bytes())
    description = Croissant(folder, document, root.path / "metadata.csv", one_by_one=one_by_one)
    description.add(files)
    description.finish()
    found = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert found.metadata.issues.errors == set()
    return found, orjson.loads((folder / "croissant.json").read_bytes())


def test_no_licence_no_asset_and_nothing_but_a_name(tmp_path: Path) -> None:
    root = described(tmp_path / "root", {"x.bin": b""})
    found, document = written(tmp_path / "out", root, [], one_by_one=True)
    assert "license" not in document
    assert document["description"] == "The dataset d."
    (row,) = found.records("assets")
    assert row["assets/asset_id"] == b"d"


NAMES = (
    "Schnitt \u00e4 \u20ac/\u7a81\u89e6 1.tif",
    "a b#c?d%20e.tif",
    'quote".tif',
    "semi;colon, and <angle>.tif",
    "\U0001f9e0.tif",
)


def test_names_and_texts_in_any_script(tmp_path: Path) -> None:
    title = "\u6d77\u9a6c\u4f53 \u2014 \u201eHippocampus\u201c \U0001f9e0"
    root = described(
        tmp_path / "root", dict.fromkeys(NAMES, b"no tiff"), metadata={"title": title, "citation": "\u0416"}
    )
    digest = hashlib.sha256(b"no tiff").hexdigest()
    files = [ExportFile(name, f"d/{name}", 7, {"sha256": digest}) for name in NAMES]
    found, document = written(tmp_path / "out", root, files, one_by_one=True)
    assert (document["alternateName"], document["citeAs"]) == (title, "\u0416")
    assert [item["contentUrl"] for item in document["distribution"][1:]] == [f"d/{name}" for name in NAMES]
    assert len({item["@id"] for item in document["distribution"]}) == 1 + len(NAMES)
    assert {row["assets/asset_id"].decode() for row in found.records("assets")} == set(NAMES)


def test_ten_thousand_assets_are_a_short_description_and_a_long_table(tmp_path: Path) -> None:
    assets, table = 10_000, TableWriter(tmp_path)
    table.begin({"id": "d", "complete": True, "notes": []})
    claims = Claims("header", "h")
    claims.claim("shape_z", 5, "")
    record = AssetRecord(path="a", kind="file", arrays=(ArrayRecord(path="", claims=tuple(claims.found)),))
    for number in range(assets):
        more: dict[str, Any] = {"around": [], "own": [], "override": frozenset(), "coverages": [None]}
        table.add(describe(record, dataset="d", name=f"{number}.tif", **more), "")
    table.end()
    with closing(LocalSink(tmp_path)) as sink:
        table.finish(sink)
    table.close()
    (tmp_path / "metadata").mkdir()
    told = {"dataset": "d", "folder": "d", "objects": assets, "bytes": 7, "fields": {}}
    (tmp_path / "metadata/d.json").write_bytes(orjson.dumps(told))
    found, document = written(tmp_path / "out", Root(tmp_path), [], one_by_one=False)
    assert (tmp_path / "out/croissant.json").stat().st_size < 20_000
    assert [item["@type"] for item in document["distribution"]] == ["cr:FileObject", "cr:FileSet"]
    assert sum(1 for _ in found.records("assets")) == assets
