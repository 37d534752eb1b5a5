"""NWB files in Zarr, as hdmf-zarr lays them out: text in variable-length arrays, references in pickled objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numcodecs import Blosc, Pickle
from zarr.dtype import VariableLengthBytes

from emasync.testing.nwb_session import CHUNK_FRAMES, MOMENTS, Node, Reference, Session
from emasync.testing.volumes import Volume

ZarrFormat = Literal[2, 3]


def write_nwb_zarr(folder: Path, session: Session | None = None, *, zarr_format: ZarrFormat = 2) -> dict[str, Volume]:
    """Write a session as NWB in Zarr.

    Format 2 is that of hdmf-zarr 0.13: ``.`` between chunk coordinates, consolidated metadata, and **pickles** where
    elements are references; these may be copied and are never to be decoded. Format 3 keeps references as JSON text.

    Parameters
    ----------
    folder : Path
        Made.
    session : Session, optional
        A small one by default.
    zarr_format : {2, 3}

    Returns
    -------
    dict of str to ndarray
        What readers must find, by path in the folder.
    """
    root = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    truth: dict[str, Volume] = {}
    for node in (session or Session(layouts=False)).nodes():
        if node.link is not None:
            parent, _, name = node.path.rpartition("/")
            _group(root, parent).attrs["zarr_link"] = [{"name": name, **_pointer(node.link)}]
        elif isinstance(node.data, list) and isinstance(node.data[0], Reference | tuple):
            _write_references(folder, root, node, zarr_format)
        elif node.data is None:
            _group(root, node.path).attrs.update(_attributes(node))
        else:
            values = _write_array(root, node, zarr_format)
            if isinstance(node.data, np.ndarray):
                truth[node.path] = values
    if zarr_format == 2:  # noqa: PLR2004 - of the format
        _consolidate(folder)
    return truth


def _group(root: zarr.Group, path: str) -> zarr.Group:
    return root.require_group(path) if path else root


def _write_array(root: zarr.Group, node: Node, zarr_format: ZarrFormat) -> Volume:
    """Arrays as they are, scalars as arrays of one element; gives the values."""
    text = not isinstance(node.data, np.ndarray)
    moment = text and node.path in MOMENTS and zarr_format == 2  # noqa: PLR2004 - format 3 has no such type yet
    data = [item.encode() for item in np.atleast_1d(node.data)] if moment else node.data
    values: Volume = np.atleast_1d(np.array(data, object) if text else data)
    options: dict[str, Any] = {"compressors": Blosc(cname="lz4", clevel=5)} if zarr_format == 2 else {}  # noqa: PLR2004
    array = root.create_array(
        node.path,
        shape=values.shape,
        chunks=(min(CHUNK_FRAMES, len(values)), *values.shape[1:]),
        dtype=VariableLengthBytes() if moment else "string" if text else values.dtype,
        **options,
    )
    array[...] = values
    scalar = isinstance(node.data, str) or (isinstance(node.data, np.ndarray) and node.data.ndim == 0)
    kind = "scalar" if scalar else "bytes" if moment else "str" if text else values.dtype.name
    array.attrs.update({**_attributes(node), "zarr_dtype": kind})
    return values


def _write_references(folder: Path, root: zarr.Group, node: Node, zarr_format: ZarrFormat) -> None:
    """An array of references, or of rows that end in one."""
    if zarr_format == 3:  # noqa: PLR2004 - of the format
        texts = [json.dumps(_plain(item)) for item in node.data]
        _write_array(root, Node(path=node.path, attributes=node.attributes, data=texts), zarr_format)
        return
    elements = np.empty(len(node.data), object)
    elements[:] = [_plain(item) for item in node.data]
    place = folder / node.path
    place.mkdir(parents=True)
    array = {
        "zarr_format": 2,
        "shape": [len(elements)],
        "chunks": [len(elements)],
        "dtype": "|O",
        "compressor": None,
        "fill_value": 0,
        "filters": [Pickle().get_config()],
        "order": "C",
    }
    compound = isinstance(node.data[0], tuple)
    kind: object = [{"name": name, "dtype": dtype} for name, dtype in _ROW.items()] if compound else "object"
    (place / ".zarray").write_text(json.dumps(array))
    (place / ".zattrs").write_text(json.dumps({**_attributes(node), "zarr_dtype": kind}))
    (place / "0").write_bytes(Pickle().encode(elements))


_ROW = {"idx_start": "int32", "count": "int32", "timeseries": "object"}


def _plain(item: Reference | tuple[int, int, Reference]) -> Any:
    """A reference, or a row with one, as JSON has it (Any: JSON)."""
    return _pointer(item.path) if isinstance(item, Reference) else [*item[:2], _pointer(item[2].path)]


def _pointer(path: str) -> dict[str, str]:
    """Where a reference or link leads, within the same file."""
    return {"source": ".", "path": f"/{path}"}


def _attributes(node: Node) -> dict[str, Any]:
    """Attributes as JSON (Any: JSON)."""
    return {
        name: {"value": _pointer(value.path), "zarr_dtype": "object"} if isinstance(value, Reference) else value
        for name, value in node.attributes.items()
    }


def _consolidate(folder: Path) -> None:
    """All metadata in one document (Zarr v2, ``.zmetadata``)."""
    names = (".zgroup", ".zarray", ".zattrs")
    found = sorted(path for path in folder.rglob(".z*") if path.name in names)
    metadata = {path.relative_to(folder).as_posix(): json.loads(path.read_text()) for path in found}
    text = json.dumps({"zarr_consolidated_format": 1, "metadata": metadata}, indent=4)
    (folder / ".zmetadata").write_text(text)
