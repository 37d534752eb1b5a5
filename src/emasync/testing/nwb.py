"""NWB files in HDF5, with every way to store an array that readers of chunk maps must know; needs h5py."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emasync.testing.nwb_session import CHUNK_FRAMES, Node, Reference, Session
from emasync.testing.volumes import Volume

if TYPE_CHECKING:
    import h5py

SMALL_CHUNK = 64
"""Values in a chunk of the small series."""

RAW_CHUNK = 1
"""Which chunk of a series with mixed filters is stored as it is."""


def write_nwb(
    path: Path,
    session: Session | None = None,
    *,
    user_block_bytes: int = 0,
    external_link: bool = False,
    first_version: bool = False,
) -> dict[str, Volume]:
    """Write a session as NWB 2 in HDF5; the same session gives the same bytes.

    Parameters
    ----------
    path : Path
    session : Session, optional
        A small one by default.
    user_block_bytes : int
        Room before the HDF5 file proper: 0, or 512 and its doubles.
    external_link : bool
        With a link into a file that is not there.
    first_version : bool
        With the version in a dataset, as NWB 1 has it, and not in an attribute.

    Returns
    -------
    dict of str to ndarray
        What readers must find, by path in the file.
    """
    import h5py  # noqa: PLC0415 - an extra; whoever needs no HDF5 does without

    path.parent.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Volume] = {}
    with h5py.File(path, "w", userblock_size=user_block_bytes) as file:
        for node in (session or Session()).nodes():
            if isinstance(node.data, np.ndarray):
                truth[node.path] = _written(node)
            _write(file, node)
        if external_link:
            file["acquisition/elsewhere"] = h5py.ExternalLink("elsewhere.h5", "/data")
        if first_version:
            del file.attrs["nwb_version"]
            file["nwb_version"] = "NWB-1.0.6"
    return truth


def _written(node: Node) -> Volume:
    """Values as a reader finds them: what was never written is fill value."""
    values: Volume = node.data.copy()
    if node.layout == "unallocated":
        values[:] = 0
    elif node.layout == "sparse":
        values[SMALL_CHUNK:] = 0
    return values


def _write(file: h5py.File, node: Node) -> None:
    import h5py  # noqa: PLC0415 - as above

    if node.link is not None:
        file[node.path] = h5py.SoftLink(f"/{node.link}")
        return
    if not node.path:
        made: Any = file  # Any: h5py has no types
    elif node.data is None:
        made = file.create_group(node.path)
    elif isinstance(node.data, np.ndarray):
        made = _array(file, node)
    else:
        made = file.create_dataset(node.path, data=_encoded(file, node.data))
    for name, value in node.attributes.items():
        made.attrs[name] = file[value.path].ref if isinstance(value, Reference) else value


def _encoded(file: h5py.File, data: Any) -> Any:
    """Text, and references in the types that h5py has for them (Any: see :class:`Node`)."""
    import h5py  # noqa: PLC0415 - as above

    if isinstance(data, list) and isinstance(data[0], Reference):
        return np.array([file[item.path].ref for item in data], h5py.ref_dtype)
    if isinstance(data, list) and isinstance(data[0], tuple):
        kind = np.dtype([("idx_start", "<i4"), ("count", "<i4"), ("timeseries", h5py.ref_dtype)])
        return np.array([(start, count, file[item.path].ref) for start, count, item in data], kind)
    return data


def _array(file: h5py.File, node: Node) -> Any:
    """Array in its layout (Any: a dataset; h5py has no types)."""
    data: Volume = node.data
    if node.layout == "compact":
        return _compact(file, node)
    if node.layout == "unallocated":
        return file.create_dataset(node.path, data.shape, data.dtype)
    if node.layout == "plain":
        return file.create_dataset(node.path, data=data)
    if node.layout == "compressed":
        chunks = (min(CHUNK_FRAMES, len(data)), *data.shape[1:])
        return file.create_dataset(node.path, data=data, chunks=chunks, compression="gzip", shuffle=True)
    made = file.create_dataset(
        node.path,
        data.shape,
        data.dtype,
        chunks=(SMALL_CHUNK,),
        compression="gzip",
        fletcher32=node.layout == "checked",
    )
    if node.layout == "mixed":
        _write_mixed(made, data)
    else:
        written = SMALL_CHUNK if node.layout == "sparse" else len(data)
        made[:written] = data[:written]
    return made


def _write_mixed(made: Any, data: Volume) -> None:
    """Chunks as a writer of ready-made chunks leaves them: one raw, bit 0 of its mask says that gzip was skipped."""
    for number, start in enumerate(range(0, len(data), SMALL_CHUNK)):
        chunk = data[start : start + SMALL_CHUNK]
        whole = np.pad(chunk, (0, SMALL_CHUNK - len(chunk))).tobytes()
        raw = number == RAW_CHUNK
        made.id.write_direct_chunk((start,), whole if raw else zlib.compress(whole), filter_mask=int(raw))


def _compact(file: h5py.File, node: Node) -> Any:
    """An array inside its object header: it has no offset (Any: a dataset; h5py has no types)."""
    from h5py import h5d, h5p, h5s, h5t  # noqa: PLC0415 - as above

    data: Volume = node.data
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.COMPACT)
    properties.set_obj_track_times(False)  # as h5py's own datasets: the same bytes tomorrow
    kind, space = h5t.py_create(data.dtype), h5s.create_simple(data.shape)
    h5d.create(file.id, node.path.encode(), kind, space, dcpl=properties).write(h5s.ALL, h5s.ALL, data)
    return file[node.path]
