"""The catalog: facts with their origin, unknown where unknown, and a manifest for each row that is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import emasync
from emasync.api.look import described
from emasync.errors import InputError
from emasync.manifest.load import parse_manifest
from emasync.sources.catalog import catalog_entries, catalog_entry, manifest_text, shipped_manifests
from emasync.sources.catalog_entry import CatalogEntry

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
ROWS = {entry.name: entry for entry in catalog_entries()}


@pytest.mark.parametrize("entry", ROWS.values(), ids=ROWS.keys())
def test_every_manifest_is_right(entry: CatalogEntry) -> None:
    manifest = parse_manifest(entry.text, file=entry.name, environ={})
    assert manifest.datasets
    together = parse_manifest(described(entry), file=entry.name, environ={})  # what `emasync catalog NAME` prints
    assert together.digest == manifest.digest


@pytest.mark.parametrize("entry", ROWS.values(), ids=ROWS.keys())
def test_a_row_says_where_its_numbers_come_from(entry: CatalogEntry) -> None:
    known = entry.voxel_size_zyx is not None
    assert known == (entry.voxel_unit is not None) == (entry.voxel_from is not None)
    assert entry.voxel_unit in (None, "nanometer", "micrometer")
    for values in (entry.shape_zyx, entry.voxel_size_zyx):
        assert values is None or len(values) == 3
    assert (entry.objects is None) == (entry.size_bytes is None)
    said = " ".join(entry.uncertain)
    assert entry.uncertain
    assert entry.licence or "licence" in said or entry.source == "several" or "nobody" in said


def test_every_shipped_manifest_has_its_row() -> None:
    names = {path.stem for path in MANIFESTS.glob("*.yaml")}
    assert {entry.name for entry in shipped_manifests()} == names
    for name in names:
        assert manifest_text(name) == (MANIFESTS / f"{name}.yaml").read_text()


GROUND_TRUTH = {
    "idr-9846137": ((184, 775, 1121), "uint8", (20, 20, 20), 159_884_524, 1),
    "empiar-11759": ((16, 5500, 5496), "uint8", (50, 7.99825, 7.99825), 488_985_701, 17),
    "epfl": ((1065, 1536, 2048), "uint8", (5, 5, 5), 3_353_674_357, 1),
    "openorganelle-nacc-2": ((564, 2520, 2596), "int16", (2.96, 4, 4), 4_651_506_383, 17_285),
    "hemibrain-crop": ((41394, 39725, 34427), "uint8", (8, 8, 8), None, None),
}


@pytest.mark.parametrize("name", GROUND_TRUTH)
def test_the_five_sets(name: str) -> None:
    row = ROWS[name]
    assert (row.shape_zyx, row.dtype, row.voxel_size_zyx, row.size_bytes, row.objects) == GROUND_TRUTH[name]
    assert row.voxel_unit == "nanometer"


def test_the_five_sets_together_are_the_five() -> None:
    together = parse_manifest(manifest_text("em-datasets"), file="em", environ={})
    apart = {
        entry.id: entry
        for name in GROUND_TRUTH
        for entry in parse_manifest(manifest_text(name), file=name, environ={}).datasets
    }
    ids = ["epfl-hippocampus", "empiar-11759", "idr-u2os", "nacc-2-box", "hemibrain"]
    assert [entry.id for entry in together.datasets] == ids
    for entry in together.datasets:
        assert entry.digest == apart[entry.id].digest, entry.id


def test_what_a_row_and_its_manifest_both_say_agrees() -> None:
    for entry in shipped_manifests():
        if entry.name == "em-datasets":
            continue
        manifest = parse_manifest(entry.text, file=entry.name, environ={})
        for dataset in manifest.datasets:
            assert dataset.metadata.license == entry.licence or entry.source == "dandi", entry.name
            if dataset.metadata.citation is not None:
                assert dataset.metadata.citation == entry.citation, entry.name


def test_conflicts_are_said() -> None:
    assert any("5628 x 5632" in text for text in ROWS["empiar-11759"].conflicts)
    assert any("four sizes" in text for text in ROWS["hemibrain-crop"].conflicts)
    assert ROWS["pasteur-exaspim"].citation is None
    assert "unknown" in described(ROWS["pasteur-exaspim"])


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no entry 'nothing'; it has em-datasets, epfl"):
        catalog_entry("nothing")


def test_from_python() -> None:
    rows = emasync.catalog()
    assert {row.name for row in rows} == ROWS.keys()
    told = json.loads(json.dumps(ROWS["epfl"].to_dict()))
    assert (told["size_bytes"], told["licence"], told["shape_zyx"]) == (3_353_674_357, None, [1065, 1536, 2048])
    assert "text" not in told
