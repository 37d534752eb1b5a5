"""NWB in Zarr, versions 2 and 3, as hdmf-zarr writes it: the same facts as of the HDF5 file. Pickles stay closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emasync.errors import EmasyncError
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import parse_object
from emasync.formats.paths import join
from emasync.formats.zarr.keys import ZARR_JSON, ZATTRS
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.hdf5_facts import TEXTS
from emasync.hooks.metadata.zarr_texts import zarr_texts

Arrays = Mapping[str, ArrayDescription]


def nwb_version(documents: Mapping[str, bytes]) -> object:
    """The version that the root group's attributes name; None where it is no NWB.

    Parameters
    ----------
    documents : mapping of str to bytes
        Of the root group, by key.
    """
    return _attributes("", documents).get("nwb_version")


def zarr_facts(tree: LocalTree, root: Mapping[str, bytes], arrays: Arrays) -> dict[str, Any]:
    """What such a tree tells, in the shape of :func:`~emasync.hooks.metadata.hdf5_facts.facts_of` (Any: JSON).

    Parameters
    ----------
    tree : LocalTree
    root : mapping of str to bytes
        Documents of the root group.
    arrays : mapping of str to ArrayDescription
        By path.
    """
    texts = {path: found for path in TEXTS if path in arrays and (found := zarr_texts(tree, arrays[path]))}
    numeric = [array for array in arrays.values() if array.itemsize_bytes and array.shape and "O" not in array.dtype]
    return {
        "attributes": _attributes("", root),
        "texts": texts,
        "members": {"general/devices": _devices(tree)},
        "arrays": [_array(array, arrays) for array in numeric],
    }


def _devices(tree: LocalTree) -> list[dict[str, Any]]:
    return [{"name": name} for name in tree.names("general/devices").folders]


_KEPT: Final = ("unit", "conversion")


def _array(array: ArrayDescription, arrays: Arrays) -> dict[str, Any]:
    told = _attributes(array.path, array.documents)
    series, _, name = array.path.rpartition("/")
    start = arrays.get(join(series, "starting_time")) if name == "data" else None
    rate = None if start is None else _attributes(start.path, start.documents).get("rate")
    return {
        "path": array.path,
        "shape": list(array.shape),
        "dtype": array.dtype,
        "rate": rate,
        "series": "TimeSeries" if name == "data" else None,
        **{key: told[key] for key in _KEPT if key in told},
    }


def _attributes(path: str, documents: Mapping[str, bytes]) -> dict[str, Any]:
    """Attributes of a node in either version (Any: JSON); none where they cannot be read."""
    try:
        if (data := documents.get(join(path, ZARR_JSON))) is not None:
            found = parse_object(path, data).get("attributes")
            return found if isinstance(found, dict) else {}
        data = documents.get(join(path, ZATTRS))
        return {} if data is None else parse_object(path, data)
    except EmasyncError:
        return {}
