"""Acquisition files of flexiznam, of both generations. Pure: facts in, plain values out.

Rules: ``znamlab/flexiznam`` v0.4, ``camp/sync_data.py`` (``parse_yaml``, ``check_yaml_validity``, ``upload_yaml``) and
``schema/datasets.py``; the older generation as v0.3.9 has it, same file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from emasync.layouts.flexiznam.names import TreeName
from emasync.layouts.flexiznam.register import Entity
from emasync.layouts.flexiznam.types import UNSPECIFIED

NOTES: Final = "fetched by emasync"

_TIME: Final = re.compile(r"R([0-9]{6})")
_ATTRIBUTE: Final = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One dataset of flexiznam, whole on disk.

    Attributes
    ----------
    entity : str
        Path of what it hangs on.
    name : str
    tree : {"raw", "processed"}
    path : str
        Below the data root, project first.
    dataset_type : str
    created : str
        ``YYYY-MM-DD HH:MM:SS``.
    attributes : mapping of str to str or int
        Names of small letters, digits and underscores: others fail at the upload.
    files : sequence of str
        Paths below the data root that the older generation can take.
    """

    entity: str
    name: str
    tree: TreeName
    path: str
    dataset_type: str
    created: str
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    files: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in self.attributes:
            if not _ATTRIBUTE.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an attribute that the upload takes")


def acquisition(raw: str, top: str, entities: Mapping[str, Entity], datasets: Iterable[Registered]) -> dict[str, Any]:
    """The file for one session or sample, as v0.4 takes it (Any: YAML).

    Parameters
    ----------
    raw : str
        Absolute path of ``data_root.raw``, without a slash at its end.
    top : str
        Path of the session or sample.
    entities : mapping of str to Entity
        By path: all that datasets hang on, and what is above them.
    datasets : iterable of Registered
        Of this session or sample.
    """
    project, mouse, name = top.split("/")
    nodes: dict[str, dict[str, Any]] = {}
    for path in sorted({above for dataset in datasets for above in _chain(dataset.entity)}):
        nodes[path] = _node(entities[path])
        if path != top:
            nodes[path.rpartition("/")[0]]["children"][path.rpartition("/")[2]] = nodes[path]
    for dataset in datasets:
        children = nodes[dataset.entity]["children"]
        free = dataset.name if dataset.name not in children else f"{dataset.name}_{dataset.tree}"
        children[free] = _dataset(dataset, free)
    return {
        "project": project,
        "origin_name": mouse,
        "root_folder": f"{raw}/{project}/{mouse}",
        "children": {name: nodes[top]},
    }


def _chain(path: str) -> Iterator[str]:
    """An entity and those above it, the top one first."""
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(3, len(parts) + 1))


def _node(entity: Entity) -> dict[str, Any]:
    """A session has no ``date``: the upload makes one of its name, and takes no second (Any: YAML)."""
    node: dict[str, Any] = {"type": entity.kind}
    if entity.kind == "recording":
        node |= {"recording_type": entity.recording_type or UNSPECIFIED, "protocol": entity.protocol or UNSPECIFIED}
        node |= _timestamp(entity)
    notes = {"notes": NOTES} if entity.kind == "sample" else {}
    return {**node, "genealogy": _genealogy(entity.path), "path": entity.path, **notes, "children": {}}


def _timestamp(entity: Entity) -> dict[str, str]:
    match = _TIME.match(entity.path.rpartition("/")[2])
    return {} if match is None else {"timestamp": match[1]}


def _genealogy(path: str) -> list[str]:
    return path.split("/")[1:]


def _dataset(dataset: Registered, name: str) -> dict[str, Any]:
    """``project`` and ``extra_attributes`` have to be there, whatever is in them (Any: YAML)."""
    return {
        "type": "dataset",
        "dataset_type": dataset.dataset_type,
        "is_raw": "yes" if dataset.tree == "raw" else "no",
        "created": dataset.created,
        "path": dataset.path,
        "genealogy": [*_genealogy(dataset.entity), name],
        "project": None,
        "extra_attributes": dict(dataset.attributes),
    }


# --- the older generation -------------------------------------------------------------------------------------------

SEQUENCING_SUFFIXES: Final = (".fastq", ".fq", ".fastq.gz", ".fq.gz")

LEGACY_SUFFIXES: Final = (".tif", ".tiff", ".czi", ".png", *SEQUENCING_SUFFIXES)
"""Files that detectors of v0.3.9 find; a Zarr or an ``ephys`` dataset cannot pass there."""


def legacy_acquisition(
    top: str, entities: Mapping[str, Entity], datasets: Iterable[Registered]
) -> dict[str, Any] | None:
    """The file for one session or sample, as versions up to 0.3.9 take it (Any: YAML).

    Returns
    -------
    dict or None
        None: nothing that they could find is there.
    """
    project, mouse, name = top.split("/")
    taken = [dataset for dataset in datasets if dataset.files and dataset.tree == "raw"]
    if not taken:
        return None
    is_session = entities[top].kind == "session"
    document: dict[str, Any] = {"project": project, "mouse": mouse, "session": name if is_session else None}
    document |= {"path": _below_project(top if is_session else f"{project}/{mouse}"), "notes": NOTES}
    levels: dict[str, dict[str, Any]] = {top: document}
    if not is_session:
        levels[top] = _legacy_level(document, "samples", entities[top])
    for path in sorted({above for dataset in taken for above in _chain(dataset.entity)} - {top}):
        kind = "recordings" if entities[path].kind == "recording" else "samples"
        levels[path] = _legacy_level(levels[path.rpartition("/")[0]], kind, entities[path])
    for dataset in taken:
        held = levels[dataset.entity].setdefault("datasets", {})
        held.update(_legacy_datasets(dataset))
    return document


def _legacy_level(above: dict[str, Any], kind: str, entity: Entity) -> dict[str, Any]:
    """Any: YAML."""
    level: dict[str, Any] = {"path": _below_project(entity.path)}
    if entity.kind == "recording":
        level = {"protocol": entity.protocol or UNSPECIFIED, **_timestamp(entity), **level}
        level |= {"recording_type": entity.recording_type or UNSPECIFIED}
    above.setdefault(kind, {})[entity.path.rpartition("/")[2]] = level
    return level


def _legacy_datasets(dataset: Registered) -> dict[str, Any]:
    """One for each file: a path has to be unambiguous (Any: YAML)."""
    single = len(dataset.files) == 1
    return {
        dataset.name if single else path.removeprefix(f"{dataset.path}/").replace("/", "_"): {
            "dataset_type": "sequencing" if path.lower().endswith(SEQUENCING_SUFFIXES) else dataset.dataset_type,
            "path": _below_project(path),
            "created": dataset.created,
            "is_raw": "yes",
            "attributes": dict(dataset.attributes),
        }
        for path in dataset.files
    }


def _below_project(path: str) -> str:
    return f"./{path.partition('/')[2]}"
