"""What an HDF5 file says of itself: attributes, short texts, shapes. Runs the C library: in a process of its own.

No values of arrays are read and no filter is run, but for single texts and numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emasync.formats.hdf5.opening import DAMAGE, damaged, opened
from emasync.formats.hdf5.tree import TreeWalk
from emasync.formats.stored import ByteSource

if TYPE_CHECKING:
    import h5py

MAX_ARRAYS: Final = 1_000
"""Arrays that are told one by one; others are counted."""

MAX_TEXTS: Final = 100
MAX_TEXT: Final = 4_000
MAX_SCALAR_BYTES: Final = 1 << 20

TEXTS: Final = (
    *("session_start_time", "identifier", "session_description", "nwb_version"),
    *(f"general/{name}" for name in ("session_id", "experimenter", "lab", "institution", "keywords", "protocol")),
    *(f"general/{name}" for name in ("experiment_description", "related_publications", "surgery", "virus", "slices")),
    *(f"general/subject/{name}" for name in ("subject_id", "age", "date_of_birth", "sex", "species", "genotype")),
    *(f"general/subject/{name}" for name in ("strain", "description", "weight")),
)
"""Datasets of texts (NWB 1.0 to 2.9, "NWBFile", "Subject")."""

NUMBERS: Final = ("info/recordings/fs", "info/recordings/duration")
"""Datasets of one number: MEArec's."""

_LISTED: Final = ("general/devices", "general/optophysiology", "general/extracellular_ephys")
_SERIES: Final = ("unit", "conversion", "neurodata_type", "element_size_um", "grid_spacing", "unit_name")

Facts = dict[str, Any]
"""JSON (Any)."""


def facts_of(source: ByteSource) -> Facts:
    """Everything that is told of a file.

    Raises
    ------
    FormatError
        The file is damaged.
    InputError
        h5py is missing or too old.
    """
    with opened(source) as file:
        walk = TreeWalk(file, source.name)
        facts: Facts = {"attributes": _attributes(file), "texts": {}, "numbers": {}, "members": {}, "arrays": []}
        try:
            facts["texts"] = {path: found for path in TEXTS if (found := _texts(file, path))}
            facts["numbers"] = {path: value for path in NUMBERS if (value := _number(file, path)) is not None}
            facts["members"] = {path: _members(file, path) for path in _LISTED}
            _tell_arrays(file, walk, facts)
        except DAMAGE as error:
            raise damaged(source.name, repr(walk.where), error) from error
        return facts


def _attributes(node: h5py.HLObject) -> dict[str, object]:
    """Short texts and numbers."""
    found: dict[str, object] = {}
    for name in list(node.attrs)[:MAX_TEXTS]:
        identifier = node.attrs.get_id(name)
        if identifier.get_storage_size() > MAX_SCALAR_BYTES:
            continue
        try:
            found[name[:MAX_TEXTS]] = _plain(node.attrs[name])
        except (*DAMAGE, UnicodeError):
            continue  # a type that h5py does not read; the others stand
    return found


def _plain(value: object) -> object:
    """As JSON has it; None for what it has not."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.ndarray) and value.size <= MAX_TEXTS:
        return [_plain(item) for item in value.reshape(-1).tolist()]
    return None


def _dataset(file: h5py.File, path: str) -> h5py.Dataset | None:
    """A dataset of this very file; links to others are not followed."""
    import h5py  # noqa: PLC0415 - an extra; the caller has opened a file with it

    node = file
    for name in path.split("/"):
        if not isinstance(node, h5py.Group) or name not in node:
            return None
        if isinstance(node.get(name, getlink=True), h5py.ExternalLink):
            return None
        node = node[name]
    return node if isinstance(node, h5py.Dataset) else None


def _texts(file: h5py.File, path: str) -> list[str]:
    dataset = _dataset(file, path)
    if dataset is None or dataset.dtype.kind not in "OSU" or dataset.size is None or dataset.size > MAX_TEXTS:
        return []
    if dataset.nbytes > MAX_SCALAR_BYTES or (dataset.dtype.hasobject and not _is_text(dataset)):
        return []
    values = np.atleast_1d(dataset[()]).reshape(-1)
    return [text for item in values.tolist() if isinstance(text := _plain(item), str) and text]


def _is_text(dataset: h5py.Dataset) -> bool:
    """References are objects too."""
    import h5py  # noqa: PLC0415 - as above

    return h5py.check_string_dtype(dataset.dtype) is not None


def _number(file: h5py.File, path: str) -> float | None:
    dataset = _dataset(file, path)
    if dataset is None or dataset.shape != () or dataset.dtype.kind not in "iuf":
        return None
    return float(dataset[()])


def _members(file: h5py.File, path: str) -> list[dict[str, object]]:
    """Names and attributes of what is in a group; of imaging planes also their short values."""
    import h5py  # noqa: PLC0415 - as above

    group: Any = file  # Any: h5py has no types
    for part in path.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            return []
        group = group[part]
        if not isinstance(group, h5py.Group):
            return []
    found = []
    for name in list(group)[:MAX_TEXTS]:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        node = group[name]
        row: dict[str, object] = {"name": name[:MAX_TEXT], **_attributes(node)}
        for member in ("location", "indicator", "imaging_rate", "grid_spacing", "excitation_lambda"):
            row |= _value(file, f"{path}/{name}/{member}", member)
        if isinstance(node, h5py.Group) and "id" in node and isinstance(node["id"], h5py.Dataset):
            row["rows"] = int(node["id"].shape[0]) if node["id"].shape else 0
        found.append(row)
    return found


def _value(file: h5py.File, path: str, name: str) -> dict[str, object]:
    """A short dataset: its values, and its unit."""
    dataset = _dataset(file, path)
    if dataset is None or dataset.size is None or dataset.size > MAX_TEXTS or dataset.nbytes > MAX_SCALAR_BYTES:
        return {}
    if dataset.dtype.hasobject and not _is_text(dataset):
        return {}
    values = [_plain(item) for item in np.atleast_1d(dataset[()]).reshape(-1).tolist()]
    return {name: values, f"{name}_unit": _plain(dataset.attrs.get("unit"))}


def _tell_arrays(file: h5py.File, walk: TreeWalk, facts: Facts) -> None:
    """Numeric datasets with an axis, the series that they belong to."""
    import h5py  # noqa: PLC0415 - as above

    more = 0
    for leaf in walk.leaves():
        if leaf.dataset is None:
            continue
        dataset = h5py.Dataset(leaf.dataset)
        if dataset.dtype.kind not in "biufc" or not dataset.shape:
            continue
        if len(facts["arrays"]) >= MAX_ARRAYS:
            more += 1
            continue
        facts["arrays"].append(_array(file, leaf.path, dataset))
    facts["more_arrays"] = more


def _array(file: h5py.File, path: str, dataset: h5py.Dataset) -> dict[str, object]:
    series = path.rpartition("/")[0]
    rate = _rate(file, series) if path.endswith("/data") else None
    told = {name: value for name, value in _attributes(dataset).items() if name in _SERIES}
    kind = _plain(file[series].attrs.get("neurodata_type")) if rate is not None or path.endswith("/data") else None
    return {
        "path": path,
        "shape": list(dataset.shape),
        "chunks": list(dataset.chunks) if dataset.chunks else None,
        "dtype": dataset.dtype.str,
        "compression": dataset.compression,
        "shuffle": bool(dataset.shuffle),
        "fletcher32": bool(dataset.fletcher32),
        "rate": rate,
        "series": kind,
        **told,
    }


def _rate(file: h5py.File, series: str) -> float | None:
    """Sampling rate of a time series, where its samples are evenly spaced."""
    start = _dataset(file, f"{series}/starting_time")
    rate = None if start is None else _plain(start.attrs.get("rate"))
    return float(rate) if isinstance(rate, int | float) else None
