"""``export --to croissant``, read by the reference implementation."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.hooks.metadata.tables import Root

import emasync
from emasync.errors import InputError

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
