"""One dataset: the array that it is, or why it is none."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from emasync.errors import FormatError
from emasync.formats.hdf5.chunk_map import chunk_grid, chunk_table, why_unlisted
from emasync.formats.hdf5.filters import codecs_of
from emasync.formats.json_document import Json
from emasync.formats.stored import ByteSource, ChunkTable, Codec, StoredArray
from emasync.model.digest import Span
from emasync.model.task import escape_for_log

if TYPE_CHECKING:
    from h5py import h5d, h5p, h5t

NUMBERS: Final = "biufc"
_MAX_FLOAT_BYTES: Final = 8
"""Longer floats are not the same on all machines."""


class NotAnArrayError(Exception):
    """A dataset that holds no array of numbers which lies in this file; says why."""


def array_of(path: str, dataset: h5d.DatasetID, source: ByteSource) -> tuple[StoredArray, str]:
    """The dataset as an array, and what is to be said of it; empty for nothing.

    Raises
    ------
    NotAnArrayError
        No numbers, or elsewhere.
    FormatError
        Its bytes would lie outside of the file.
    """
    from h5py import h5d, h5s  # noqa: PLC0415 - an extra; the caller has opened a file with it

    properties = dataset.get_create_plist()
    layout = properties.get_layout()
    _require_here(properties, virtual=layout == h5d.VIRTUAL)
    dtype = number_type(dataset.get_type())
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        raise NotAnArrayError("it is empty: it has no shape")
    shape = tuple(space.get_simple_extent_dims())
    chunked = layout == h5d.CHUNKED
    chunks = tuple(properties.get_chunk()) if chunked else tuple(max(1, length) for length in shape)
    places = _Places(f"{source.name}: {path}", shape, chunks, source.size_bytes)
    table, whole, note = None, None, ""
    if chunked:
        table = places.of_chunks(dataset)
    elif layout == h5d.COMPACT:
        note = "its values are in its header and have no place of their own (compact layout)"
    elif not dataset.get_storage_size():
        table = places.unwritten()  # beside a user block, the offset of nothing is a number
    else:
        whole = places.of_one_piece(dataset.get_offset(), prod(shape) * dtype.itemsize)
    found = StoredArray(
        path=path,
        shape=shape,
        chunks=chunks,
        dtype=dtype.str,
        axes=tuple(f"d{axis}" for axis in range(len(shape))),
        measures=(None,) * len(shape),
        whole=whole,
        codecs=_codecs(properties, chunked=chunked),
        table=table,
        fill_value=_fill_value(properties, dtype),
    )
    return found, note


def _require_here(properties: h5p.PropDCID, *, virtual: bool) -> None:
    """What lies in other files is not followed: their names are a stranger's."""
    if virtual:
        raise NotAnArrayError(f"it is put together from {properties.get_virtual_count()} others (virtual dataset)")
    if properties.get_external_count():
        other = properties.get_external(0)[0].decode("utf-8", "replace")
        raise NotAnArrayError(f"its bytes are in another file, {other!r} (external storage), which is not opened")


def number_type(kind: h5t.TypeID) -> np.dtype[np.generic]:
    """The numpy type of stored numbers; that of its values for an enumeration other than h5py's ``FALSE``, ``TRUE``.

    Raises
    ------
    NotAnArrayError
        No numbers, or none that numpy can hold bit for bit.
    """
    from h5py import h5t  # noqa: PLC0415 - see above

    if isinstance(kind, h5t.TypeReferenceID):
        raise NotAnArrayError("it holds references to objects")
    if isinstance(kind, h5t.TypeEnumID):
        if kind.dtype == np.bool_ and kind.get_size() == 1:
            return np.dtype(np.bool_)
        kind = kind.get_super()
    try:
        dtype: np.dtype[np.generic] = kind.dtype
    except TypeError:
        raise NotAnArrayError("it holds values of a type that numpy does not have") from None
    if dtype.subdtype is not None:
        raise NotAnArrayError("it holds an array in each element")
    if dtype.kind not in NUMBERS:
        raise NotAnArrayError(_not_numbers(kind))
    parts = 2 if dtype.kind == "c" else 1
    if dtype.itemsize > _MAX_FLOAT_BYTES * parts or not h5t.py_create(dtype).equal(kind):
        raise NotAnArrayError(f"it holds numbers of {kind.get_size()} bytes in a form that numpy does not have")
    return dtype


def _not_numbers(kind: h5t.TypeID) -> str:
    from h5py import h5t  # noqa: PLC0415 - see above

    if isinstance(kind, h5t.TypeCompoundID):
        names = [kind.get_member_name(number).decode("utf-8", "replace") for number in range(kind.get_nmembers())]
        return f"it holds records of {', '.join(names)} (compound type)"
    return "it holds text" if kind.detect_class(h5t.STRING) else "it holds no numbers"


class _Places:
    """Says where an array lies, and that this is inside of the file."""

    def __init__(self, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], size_bytes: int) -> None:
        self._name = name
        self._chunks = chunks
        self._grid = chunk_grid(shape, chunks)
        self._size_bytes = size_bytes

    def of_chunks(self, dataset: h5d.DatasetID) -> ChunkTable:
        if why := why_unlisted(dataset, self._grid):
            raise NotAnArrayError(why)
        return chunk_table(dataset, self._grid, self._chunks, name=self._name, size_bytes=self._size_bytes)

    def unwritten(self) -> ChunkTable:
        """One chunk that was never written, or none of an array without voxels."""
        return ChunkTable(starts=np.zeros(self._grid, np.uint64), sizes=np.zeros(self._grid, np.uint64))

    def of_one_piece(self, start: int, size_bytes: int) -> Span:
        if start + size_bytes > self._size_bytes:
            raise FormatError(
                f"{escape_for_log(self._name)}: {size_bytes} bytes should lie at byte {start}, the file ends at byte "
                f"{self._size_bytes}: it is damaged, or cut short",
                location=self._name,
            )
        return Span(start, start + size_bytes)


def _codecs(properties: h5p.PropDCID, *, chunked: bool) -> tuple[Codec, ...]:
    """Filters work on chunks only; on other layouts they say nothing."""
    return codecs_of(properties) if chunked else ()


def _fill_value(properties: h5p.PropDCID, dtype: np.dtype[np.generic]) -> Json:
    from h5py import h5d  # noqa: PLC0415 - see above

    value = np.zeros((), dtype)
    if properties.fill_value_defined() != h5d.FILL_VALUE_UNDEFINED:
        properties.get_fill_value(value)
    found = value.item()
    return [found.real, found.imag] if isinstance(found, complex) else found
