"""What flexiznam v0.4 does with an acquisition file, as far as it decides whether one is accepted.

Written from the rules of its ``camp/sync_data.py`` and ``schema/datasets.py``: the walk of ``parse_yaml`` over the
folders, the checks of ``check_yaml_validity``, and what ``upload_yaml`` refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RECORDING = re.compile(r"R\d{6}_?.*")
SESSION = re.compile(r"S\d*")
CREATED = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
ATTRIBUTE = re.compile(r"[a-z0-9_]+")
TAKEN = frozenset(
    (
        *("dataset_type", "created", "path", "is_raw", "genealogy", "id", "type", "name", "origin_id", "project"),
        *("createdBy", "dateCreated", "objects", "customEntities", "incrementalId"),
    )
)
NEEDED = ("type", "dataset_type", "is_raw", "created", "path", "genealogy", "project", "extra_attributes")


def accept(document: Mapping[str, Any], data_root: Mapping[str, Path]) -> None:
    """Fail, by assertion, for what v0.4 would refuse (Any: YAML)."""
    assert set(document) == {"project", "origin_name", "root_folder", "children"}
    assert isinstance(document["origin_name"], str), "unquoted: a number"
    assert document["root_folder"] == str(Path(document["root_folder"])), "compared as text"
    assert Path(document["root_folder"]).is_absolute()
    assert len(document["children"]) == 1, "one top child"
    ((top, node),) = document["children"].items()
    check(
        document["children"], [document["origin_name"]], Path(document["root_folder"]), data_root, document["project"]
    )
    known = {tuple(genealogy) for genealogy in entities(node)}
    found = set(walked(Path(document["root_folder"]) / top, [document["origin_name"], top], node, only_declared=True))
    assert found <= known, f"entities that are none: {sorted(found - known)}"


def check(
    children: Mapping[str, Any], above: list[str], root: Path, data_root: Mapping[str, Path], project: str
) -> None:
    """``_check_recursively`` (Any: YAML)."""
    for name, node in children.items():
        genealogy = [*above, name]
        assert node["genealogy"] == genealogy
        assert all(isinstance(part, str) for part in genealogy)
        if node["type"] == "dataset":
            check_dataset(node, data_root, project)
            continue
        assert node["type"] == type_of(name, node["type"]), "conflicting types"
        assert (root / Path(*genealogy[1:])).is_dir(), "PATH_ERROR"
        assert node["path"] == "/".join((project, *genealogy)), "what the walk makes of it"
        assert "date" not in node, "two values for date"
        if node["type"] == "recording":
            assert node["protocol"]
            assert node["recording_type"]
        check(node["children"], genealogy, root, data_root, project)


def type_of(name: str, told: str) -> str:
    if RECORDING.fullmatch(name):
        return "recording"
    return "session" if SESSION.fullmatch(name) else told


def check_dataset(node: Mapping[str, Any], data_root: Mapping[str, Path], project: str) -> None:
    """``Dataset.from_dataseries`` and ``is_valid``, and what the upload refuses (Any: YAML)."""
    assert tuple(node) == NEEDED
    assert node["is_raw"] in ("yes", "no")
    assert isinstance(node["created"], str)
    assert CREATED.fullmatch(node["created"])
    assert node["path"].startswith(f"{project}/")
    place = data_root["raw" if node["is_raw"] == "yes" else "processed"] / node["path"]
    assert place.exists(), f"VALIDATION_ERROR {place}"
    for name in node["extra_attributes"]:
        assert ATTRIBUTE.fullmatch(name)
        assert name not in TAKEN


def entities(node: Mapping[str, Any]) -> Iterator[list[str]]:
    """Genealogies of all that is declared (Any: YAML)."""
    yield node["genealogy"]
    for child in node.get("children", {}).values():
        yield from entities(child)


def walked(
    folder: Path, genealogy: list[str], node: Mapping[str, Any], *, only_declared: bool
) -> Iterator[tuple[str, ...]]:
    """``_create_yaml_dict``: folders that become entities, or are taken for declared ones (Any: YAML)."""
    yield tuple(genealogy)
    declared = node.get("children", {})
    inside = [path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if only_declared:
        inside = [name for name in inside if name in declared and declared[name]["type"] != "dataset"]
    for name in inside:
        below = declared.get(name, {})
        assert type_of(name, below.get("type", "sample")) == below.get("type", type_of(name, "sample")), "conflict"
        yield from walked(folder / name, [*genealogy, name], below, only_declared=False)
