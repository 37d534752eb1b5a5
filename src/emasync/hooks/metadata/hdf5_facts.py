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
_SERIES: Final = frozenset(("unit", "conversion", "element_size_um"))
_KIND: Final = frozenset(("neurodata_type",))
_RATE: Final = frozenset(("rate",))
_PLANE: Final = frozenset(("location", "indicator", "imaging_rate", "grid_spacing", "excitation_lambda"))

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
        nodes = Nodes(file)
        facts: Facts = {"attributes": _attributes(file)}
        try:
            facts["texts"] = {path: found for path in TEXTS if (found := _texts(nodes.dataset(path)))}
            facts["numbers"] = {path: value for path in NUMBERS if (value := _number(nodes.dataset(path))) is not None}
            facts["members"] = {path: _members(nodes, path) for path in _LISTED}
            facts["arrays"], facts["more_arrays"] = _arrays(nodes, walk)
        except DAMAGE as error:
            raise damaged(source.name, repr(walk.where), error) from error
        return facts


class Nodes:
    """Groups and datasets of this very file by path: reached by hard links only, which cannot lead out of it.

    Parameters
    ----------
    file : h5py.File
    """

    def __init__(self, file: h5py.File) -> None:
        self._groups: dict[str, tuple[h5py.Group, frozenset[str]] | None] = {"": (file, frozenset(file))}

    def names(self, path: str) -> frozenset[str]:
        """What is in a group; nothing where there is none."""
        found = self._group(path)
        return frozenset() if found is None else found[1]

    def group(self, path: str) -> h5py.Group | None:
        """A group."""
        found = self._group(path)
        return None if found is None else found[0]

    def _group(self, path: str) -> tuple[h5py.Group, frozenset[str]] | None:
        import h5py  # noqa: PLC0415 - an extra; the caller has opened a file with it

        if path not in self._groups:
            node = self._node(path)
            self._groups[path] = (node, frozenset(node)) if isinstance(node, h5py.Group) else None
        return self._groups[path]

    def _node(self, path: str) -> h5py.HLObject | None:
        import h5py  # noqa: PLC0415 - as above

        folder, _, name = path.rpartition("/")
        found = self._group(folder)
        if found is None or name not in found[1] or not isinstance(found[0].get(name, getlink=True), h5py.HardLink):
            return None
        return found[0][name]

    def dataset(self, path: str) -> h5py.Dataset | None:
        """A dataset whose values lie in this file, and not in others that it names."""
        import h5py  # noqa: PLC0415 - as above

        node = self._node(path)
        if not isinstance(node, h5py.Dataset):
            return None
        properties = node.id.get_create_plist()
        here = properties.get_layout() != h5py.h5d.VIRTUAL and not properties.get_external_count()
        return node if here else None


def _attributes(node: h5py.HLObject, wanted: frozenset[str] | None = None) -> dict[str, object]:
    """Short texts and numbers; all, or those that are wanted."""
    found: dict[str, object] = {}
    attributes = node.attrs
    for name in list(attributes)[:MAX_TEXTS]:
        if wanted is not None and name not in wanted:
            continue
        if attributes.get_id(name).get_storage_size() > MAX_SCALAR_BYTES:
            continue
        try:
            found[name[:MAX_TEXTS]] = _plain(attributes[name])
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


def _is_short(dataset: h5py.Dataset) -> bool:
    """Whether a dataset can be read whole: some numbers or texts, and no references, which are objects too."""
    import h5py  # noqa: PLC0415 - as above

    if dataset.size is None or dataset.size > MAX_TEXTS or dataset.nbytes > MAX_SCALAR_BYTES:
        return False
    return not dataset.dtype.hasobject or h5py.check_string_dtype(dataset.dtype) is not None


def _values(dataset: h5py.Dataset) -> list[object]:
    return [_plain(item) for item in np.atleast_1d(dataset[()]).reshape(-1).tolist()]


def _texts(dataset: h5py.Dataset | None) -> list[str]:
    if dataset is None or dataset.dtype.kind not in "OSU" or not _is_short(dataset):
        return []
    return [text for text in _values(dataset) if isinstance(text, str) and text]


def _number(dataset: h5py.Dataset | None) -> float | None:
    if dataset is None or dataset.shape != () or dataset.dtype.kind not in "iuf":
        return None
    return float(dataset[()])


def _members(nodes: Nodes, path: str) -> list[dict[str, object]]:
    """Names and attributes of what is in a group; of imaging planes also their short values, of tables their length."""
    found = []
    for name in sorted(nodes.names(path))[:MAX_TEXTS]:
        group = nodes.group(f"{path}/{name}")
        if group is None:
            continue
        row: dict[str, object] = {"name": name[:MAX_TEXT], **_attributes(group)}
        for member in _PLANE & nodes.names(f"{path}/{name}"):
            row |= _value(nodes.dataset(f"{path}/{name}/{member}"), member)
        rows = nodes.dataset(f"{path}/{name}/id")
        if rows is not None and rows.shape:
            row["rows"] = int(rows.shape[0])
        found.append(row)
    return found


def _value(dataset: h5py.Dataset | None, name: str) -> dict[str, object]:
    """A short dataset: its values, and its unit."""
    if dataset is None or not _is_short(dataset):
        return {}
    return {name: _values(dataset), f"{name}_unit": _plain(dataset.attrs.get("unit"))}


def _arrays(nodes: Nodes, walk: TreeWalk) -> tuple[list[dict[str, object]], int]:
    """Numeric datasets with an axis, the series that they belong to; how many more there are."""
    import h5py  # noqa: PLC0415 - as above

    found: list[dict[str, object]] = []
    more = 0
    for leaf in walk.leaves():
        if leaf.dataset is None:
            continue
        dataset = h5py.Dataset(leaf.dataset)
        if dataset.dtype.kind not in "biufc" or not dataset.shape:
            continue
        if len(found) < MAX_ARRAYS:
            found.append(_array(nodes, leaf.path, dataset))
        else:
            more += 1
    return found, more


def _array(nodes: Nodes, path: str, dataset: h5py.Dataset) -> dict[str, object]:
    folder, _, name = path.rpartition("/")
    series = nodes.group(folder) if name == "data" else None
    kind = None if series is None else _attributes(series, _KIND).get("neurodata_type")
    properties = {"compression": dataset.compression, "shuffle": dataset.shuffle, "fletcher32": dataset.fletcher32}
    return {
        "path": path,
        "shape": list(dataset.shape),
        "dtype": dataset.dtype.str,
        "rate": None if series is None else _rate(nodes.dataset(f"{folder}/starting_time")),
        "series": kind,
        **{step: _plain(value) for step, value in properties.items()},
        **_attributes(dataset, _SERIES),
    }


def _rate(start: h5py.Dataset | None) -> float | None:
    """Sampling rate of a time series, where its samples are evenly spaced."""
    rate = None if start is None else _attributes(start, _RATE).get("rate")
    return float(rate) if isinstance(rate, int | float) else None
