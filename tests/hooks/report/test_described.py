"""What a page takes of ``metadata.json``, as its writer writes it, and as damage leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from emasync.disk.sink import LocalSink
from emasync.hooks.metadata.claims import Claim
from emasync.hooks.metadata.description import DescribedArray as WrittenArray
from emasync.hooks.metadata.description import DescribedAsset as WrittenAsset
from emasync.hooks.metadata.merging import Chosen
from emasync.hooks.metadata.records import AssetRecord
from emasync.hooks.metadata.writers import TableWriter
from emasync.hooks.report.described import (
    MOST_ASSETS,
    MOST_FIELDS,
    Conflict,
    DescribedAsset,
    Statement,
    described_assets,
)
from emasync.hooks.report.markup import LONGEST_TEXT
from emasync.hooks.report.metadata_tables import words

HEADER = Claim(field="voxel_size_z_nm", value=8.0, source="header", where="a.tif: z", original="0.008 um")
MANIFEST = Claim(
    field="voxel_size_z_nm", value=None, source="manifest", where="m", original="-5 nm", rejected="not positive"
)
VOXEL = Chosen(claim=HEADER, others=(MANIFEST,), rule="header over manifest")


def written(tmp_path: Path, *counts: int, note: str = "x") -> bytes:
    """A document of its true writer: datasets of so many assets each; one of one if nothing else is said."""
    table = TableWriter(tmp_path)
    for dataset, count in zip("defgh", counts or (1,), strict=False):
        table.begin({"id": dataset, "folder": dataset, "fields": {}, "complete": True, "notes": []})
        for number in range(count):
            asset = _asset(dataset, f"{number}.tif", note)
            table.add(asset, f"metadata/{dataset}/{number}.tif.json")
        table.end()
    sink = LocalSink(tmp_path)
    table.finish(sink)
    table.close()
    sink.close()
    return (tmp_path / "metadata.json").read_bytes()


def _asset(dataset: str, name: str, note: str) -> WrittenAsset:
    fields = {
        "organism": Chosen(claim=Claim(field="organism", value="mouse", source="api", where=note)),
        "authors": Chosen(claim=Claim(field="authors", value=("A", "B"), source="api", where="x")),
    }
    array = WrittenArray(path="s0", scale=0, fields={"voxel_size_z_nm": VOXEL}, coverage=None)
    record = AssetRecord(path=name, kind="file", format="tiff")
    return WrittenAsset(dataset=dataset, id=name, record=record, fields=fields, arrays=(array,), notes=())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    document = written(tmp_path)
    taken = Statement("8", "header", "a.tif: z", "0.008 um")
    assert described_assets([document]) == (
        DescribedAsset(
            dataset="d",
            asset="0.tif",
            kind="file",
            format="tiff",
            arrays=1,
            fields={
                "voxel_size_z_nm": taken,
                "organism": Statement("mouse", "api", "x"),
                "authors": Statement("A; B", "api", "x"),
            },
            conflicts=(
                Conflict(
                    "voxel_size_z_nm",
                    taken,
                    (Statement("", "manifest", "m", "-5 nm", "not positive"),),
                    "header over manifest",
                ),
            ),
        ),
    )


def test_of_a_long_document_the_beginning_is_enough(tmp_path: Path) -> None:
    document = written(tmp_path, MOST_ASSETS + 5)
    assert [asset.asset for asset in described_assets([document])] == [f"{number}.tif" for number in range(MOST_ASSETS)]
    half = document[: len(document) // 2]
    found = described_assets([half])
    assert 100 < len(found) < MOST_ASSETS
    assert found == described_assets([document])[: len(found)]


def test_of_each_dataset_the_first_asset_is_read_wherever_it_stands(tmp_path: Path) -> None:
    document = written(tmp_path, MOST_ASSETS + 5, 3, 2)
    found = described_assets([document])
    assert [(one.dataset, one.asset) for one in found[MOST_ASSETS:]] == [("e", "0.tif"), ("f", "0.tif")]


def test_no_more_is_asked_for_than_it_takes(tmp_path: Path) -> None:
    document = written(tmp_path, MOST_ASSETS + 5, 3, 400)
    pieces = [document[at : at + 1_000] for at in range(0, len(document), 1_000)]
    left = iter(pieces)
    assert len(described_assets(left, 2)) == MOST_ASSETS + 1
    assert len(list(left)) > len(pieces) // 3


def test_of_long_texts_no_more_is_kept_than_a_page_may_cost(tmp_path: Path) -> None:
    document = orjson.loads(written(tmp_path, 1))
    asset = document["datasets"][0]["assets"][0]
    said = asset["fields"]["organism"]
    asset["fields"] = {f"{number}": {**said, "where": "x" * 3_000, "value": "y" * 3_000} for number in range(400)}
    line = orjson.dumps(asset)
    (first, *_) = found = described_assets(
        [b'{"datasets":[\n{"id":"d","assets":[\n', *(line + b",\n" for _ in range(20))]
    )
    assert (len(first.fields), len(first.fields["7"].where)) == (MOST_FIELDS, LONGEST_TEXT)
    assert 5 < len(found) < 20


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": None},
        {"arrays": [{}]},
        {"fields": 3},
        {"fields": {"a": 1}},
        {"conflicts": [{"field": "x"}]},
        {"kind": None},
    ],
)
def test_an_asset_that_cannot_be_read_takes_no_other_with_it(change: dict[str, Any], tmp_path: Path) -> None:
    head, dataset, asset, *rest = written(tmp_path).split(b"\n")
    broken = orjson.dumps({**orjson.loads(asset), **change})
    assert [one.asset for one in described_assets([b"\n".join([head, dataset, broken + b",", asset, *rest])])][
        -1
    ] == "0.tif"


@pytest.mark.parametrize("document", [b"", b"{}", b"\n\n", b"[]\n[]\n3\nnull", b"\xff\n\xff", b"{\n" * 100_000])
def test_a_document_that_is_none_describes_nothing(document: bytes) -> None:
    assert described_assets([document]) == ()


def test_fields_have_names_for_people() -> None:
    assert [words(name) for name in ("voxel_size_z_nm", "organism", "duration_s", "scale_level")] == [
        "voxel size z, nm",
        "organism",
        "duration, s",
        "scale level",
    ]
