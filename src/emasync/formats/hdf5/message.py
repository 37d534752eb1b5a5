"""What goes between the process that runs the C library and the one that has the bytes.

The library's side asks (``read``: offset, length; the answer is the bytes) until it ends with one of ``done``,
``format`` or ``input``. A frame is a kind, the length of what follows (8 bytes, little-endian), and that. Values are
MessagePack with checked types; of a description, tables follow as plain numbers.
"""

from __future__ import annotations

import struct
from typing import IO, Any, Final, Literal

import msgspec
import numpy as np

from emasync.formats.stored import ChunkTable, Codec, FileDescription, StoredArray
from emasync.model.digest import Span

Kind = Literal["read", "done", "format", "input"]
_KINDS: Final[tuple[Kind, ...]] = ("read", "done", "format", "input")
_HEADER: Final = struct.Struct("<BQ")
PLACE: Final = struct.Struct("<QQ")
"""Offset and length of what is asked for."""


class _Array(msgspec.Struct):
    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    axes: tuple[str, ...]
    whole: tuple[int, int] | None
    codecs: list[tuple[str, dict[str, Any]]]  # Any: Json, which MessagePack cannot widen
    fill_value: int | float | bool | list[float]
    grid: tuple[int, ...] | None
    masked: bool


class _Description(msgspec.Struct):
    format: str
    arrays: list[_Array]
    notes: tuple[str, ...]


def send(stream: IO[bytes], kind: Kind, *parts: bytes) -> None:
    """Write one frame."""
    stream.write(_HEADER.pack(_KINDS.index(kind), sum(map(len, parts))))
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes], limit_bytes: int) -> tuple[Kind, bytes] | None:
    """Read one frame; None where the stream ends before it does, or where it is none."""
    head = stream.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    kind, size_bytes = _HEADER.unpack(head)
    if kind >= len(_KINDS) or size_bytes > limit_bytes:
        return None
    body = stream.read(size_bytes)
    return (_KINDS[kind], body) if len(body) == size_bytes else None


def packed(found: FileDescription) -> list[bytes]:
    """A description as the parts of a frame."""
    said = _Description(found.format, [_said(array) for array in found.arrays], found.notes)
    head = msgspec.msgpack.encode(said)
    tables = [array.table for array in found.arrays if array.table is not None]
    return [PLACE.pack(len(head), 0), head, *(part for table in tables for part in _numbers(table))]


def _numbers(table: ChunkTable) -> list[bytes]:
    parts = [table.starts, table.sizes, *(() if table.skipped is None else (table.skipped,))]
    return [part.tobytes() for part in parts]


def _said(array: StoredArray) -> _Array:
    table, whole = array.table, array.whole
    return _Array(
        path=array.path,
        shape=array.shape,
        chunks=array.chunks,
        dtype=array.dtype,
        axes=array.axes,
        whole=None if whole is None else (whole.start, whole.stop),
        codecs=[(codec.name, dict(codec.configuration)) for codec in array.codecs],
        fill_value=array.fill_value,  # type: ignore[arg-type]  # a number or two, see dataset.py
        grid=None if table is None else table.starts.shape,
        masked=table is not None and table.skipped is not None,
    )


def unpacked(body: bytes) -> FileDescription:
    """The description of a frame; :class:`msgspec.MsgspecError` or :class:`ValueError` where it is none."""
    if len(body) < PLACE.size:
        raise ValueError("no description")
    size_bytes, _ = PLACE.unpack_from(body)
    said = msgspec.msgpack.decode(body[PLACE.size :][:size_bytes], type=_Description)
    numbers = _Numbers(body, PLACE.size + size_bytes)
    arrays = tuple(_array(array, numbers) for array in said.arrays)
    return FileDescription(format=said.format, arrays=arrays, notes=said.notes)


class _Numbers:
    """Takes tables from behind the description, in its order."""

    def __init__(self, body: bytes, offset: int) -> None:
        self._body = body
        self._offset = offset

    def take(self, kind: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[Any]]:
        """The next table (Any: `kind` says its type)."""
        count = int(np.prod(shape, dtype=np.int64))
        found = np.frombuffer(self._body, kind, count, self._offset).reshape(shape)
        self._offset += found.nbytes
        return found


def _array(said: _Array, numbers: _Numbers) -> StoredArray:
    table = None
    if said.grid is not None:
        starts, sizes = numbers.take("<u8", said.grid), numbers.take("<u8", said.grid)
        table = ChunkTable(starts=starts, sizes=sizes, skipped=numbers.take("<u4", said.grid) if said.masked else None)
    return StoredArray(
        path=said.path,
        shape=said.shape,
        chunks=said.chunks,
        dtype=said.dtype,
        axes=said.axes,
        measures=(None,) * len(said.shape),
        whole=None if said.whole is None else Span(*said.whole),
        codecs=tuple(Codec(name, configuration) for name, configuration in said.codecs),
        table=table,
        fill_value=said.fill_value if not isinstance(said.fill_value, list) else [*said.fill_value],
    )
