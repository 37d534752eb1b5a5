"""The rules that acquisition files are held to catch what v0.4 refuses (trap numbers of flexiznam.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.flexiznam_rules import accept

Document = dict[str, Any]
"""YAML."""


def accepted(folder: Path) -> Document:
    """A session as v0.4 accepts it, and its folders."""
    recording = {
        "type": "recording",
        "recording_type": "ephys",
        "protocol": "spontaneous",
        "timestamp": "144736",
        "genealogy": ["655565", "S20230331", "R144736_spontaneous"],
        "path": "p/655565/S20230331/R144736_spontaneous",
        "children": {
            "ecephys": {
                "type": "dataset",
                "dataset_type": "ephys",
                "is_raw": "yes",
                "created": "2023-03-31 14:47:36",
                "path": "p/655565/S20230331/R144736_spontaneous/ecephys",
                "genealogy": ["655565", "S20230331", "R144736_spontaneous", "ecephys"],
                "project": None,
                "extra_attributes": {"source_url": "s3://b/k"},
            }
        },
    }
    session = {
        "type": "session",
        "genealogy": ["655565", "S20230331"],
        "path": "p/655565/S20230331",
        "children": {"R144736_spontaneous": recording},
    }
    (folder / "raw" / recording["path"] / "ecephys").mkdir(parents=True)  # type: ignore[operator]  # text
    root = str(folder / "raw/p/655565")
    return {"project": "p", "origin_name": "655565", "root_folder": root, "children": {"S20230331": session}}


def session(document: Document) -> Document:
    found: Document = document["children"]["S20230331"]
    return found


def recording(document: Document) -> Document:
    found: Document = session(document)["children"]["R144736_spontaneous"]
    return found


def dataset(document: Document) -> Document:
    found: Document = recording(document)["children"]["ecephys"]
    return found


SPOILED: dict[str, Callable[[Document], object]] = {
    "1 a number for a mouse": lambda it: it.update(origin_name=655565),
    "2 a slash at the end": lambda it: it.update(root_folder=it["root_folder"] + "/"),
    "3 no project": lambda it: dataset(it).pop("project"),
    "4 no attributes": lambda it: dataset(it).pop("extra_attributes"),
    "5 a hyphen in an attribute": lambda it: dataset(it)["extra_attributes"].update({"source-url": 1}),
    "5 an attribute of theirs": lambda it: dataset(it)["extra_attributes"].update({"path": 1}),
    "6 a date": lambda it: session(it).update(date="2023-03-31"),
    "7 two top children": lambda it: it["children"].update(more={}),
    "8 folders in a dataset": lambda it: Path(it["root_folder"], "S20230331/R144736_spontaneous/ecephys/0").mkdir(),
    "8 a folder that nobody declared": lambda it: Path(it["root_folder"], "S20230331/R144736_spontaneous/x").mkdir(),
    "10 an error that stands in the text": lambda it: dataset(it).update(created="XXERRORXX no such dataset XXERRORXX"),
    "11 old keys": lambda it: it.update(mouse="655565"),
    "12 a moment of ISO 8601": lambda it: dataset(it).update(created="2023-03-31T14:47:36Z"),
    "a path that is not there": lambda it: dataset(it).update(path="p/655565/other"),
    "processed, and not there": lambda it: dataset(it).update(is_raw="no"),
    "another genealogy": lambda it: recording(it).update(genealogy=["655565", "R144736_spontaneous"]),
    "another type than the name's": lambda it: recording(it).update(type="sample"),
    "a recording of no type": lambda it: recording(it).update(recording_type=""),
}


def test_what_is_accepted_is_accepted(tmp_path: Path) -> None:
    accept(accepted(tmp_path), {"raw": tmp_path / "raw", "processed": tmp_path / "processed"})


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_is_refused_is_refused(tmp_path: Path, spoil: Callable[[Document], object]) -> None:
    document = accepted(tmp_path)
    spoil(document)
    with pytest.raises((AssertionError, KeyError)):
        accept(document, {"raw": tmp_path / "raw", "processed": tmp_path / "processed"})
