"""Filter 32026 of HDF5: a chunk as a contiguous frame of Blosc2, and in it maybe an array of blocks.

C-Blosc2, ``README_CFRAME_FORMAT.rst``, ``README_CHUNK_FORMAT.rst``, ``README_B2ND_METALAYER.rst``. The frame's own
header is read here; what is compressed is left to the library.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Final

import msgspec
import numpy as np

from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.native import Function, require_native
from emasync.formats.stored import Codec

_MAGIC: Final = b"\xa8b2frame\x00"
_LENGTHS: Final = struct.Struct(">11xi1xQ6xq1xq")
"""Of the header, the frame, the plain and the packed data: bytes; MessagePack's marks between them left out."""

_CHUNK: Final = struct.Struct("<4xI4xI")
"""Plain and packed length of a chunk."""

_CHUNK_HEADER_BYTES: Final = 32
_LAYERS_AT: Final = 92
_MAX_LAYERS: Final = 16
_FEW_TIMES: Final = 8
"""What blocks may hold beyond a chunk's voxels: the last block of each axis is filled up."""

_ALL_ZERO: Final = 0x81
"""Highest byte of a place that is none: its voxels are zero."""


class _Blocks(msgspec.Struct, array_like=True):
    """The metalayer ``b2nd``."""

    version: int
    axes: int
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    block: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Blosc2:
    """Undoes the filter.

    Attributes
    ----------
    unpack : callable
        Of imagecodecs: one chunk.
    """

    unpack: Function

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        frame = as_bytes(data)
        header_bytes, frame_bytes, plain_bytes, packed_bytes = _LENGTHS.unpack_from(frame.data)
        if frame[1:10].tobytes() != _MAGIC or frame_bytes != len(frame) or not 0 < header_bytes <= len(frame):
            raise ValueError("is no frame of Blosc2, or ends early")
        blocks = _blocks(frame[:header_bytes])
        if not 0 <= plain_bytes <= _FEW_TIMES * form.most_bytes:
            form.require(max(0, plain_bytes))
        plain = np.empty(plain_bytes, np.uint8)
        if packed_bytes:
            self._chunk(frame[header_bytes:], plain)
        else:
            self._require_zero(frame[header_bytes:])
            plain[:] = 0
        found = plain if blocks is None else _in_order(plain, blocks)
        form.require(len(found))
        return found

    def _chunk(self, packed: Bytes, plain: Bytes) -> None:
        """The only chunk of a frame, which its data begin with."""
        plain_bytes, packed_bytes = _CHUNK.unpack_from(packed.data)
        if plain_bytes != len(plain) or not _CHUNK_HEADER_BYTES <= packed_bytes <= len(packed):
            raise ValueError(f"has a Blosc2 chunk of {packed_bytes} bytes for {plain_bytes}, {len(plain)} expected")
        found = self.unpack(packed[:packed_bytes], out=plain)
        if len(found) != len(plain):
            raise ValueError(f"has a Blosc2 chunk of {len(found)} bytes, {len(plain)} expected")

    def _require_zero(self, index: Bytes) -> None:
        """A chunk of zeros is not stored: its place in the index says so."""
        place = np.empty(8, np.uint8)
        self._chunk(index, place)
        if place[7] != _ALL_ZERO:
            raise ValueError("is a frame of Blosc2 without a chunk")


def _blocks(header: Bytes) -> _Blocks | None:
    """How the chunk is cut into blocks; None where it is one row."""
    raw = header.tobytes()
    at = _LAYERS_AT
    (layers,) = struct.unpack_from(">H", raw, at)
    at += 2
    for _ in range(min(layers, _MAX_LAYERS)):
        name_bytes = raw[at] & 0x1F
        name = raw[at + 1 : at + 1 + name_bytes]
        (place,) = struct.unpack_from(">i", raw, at + 2 + name_bytes)
        if name == b"b2nd":
            (size_bytes,) = struct.unpack_from(">I", raw, place + 1)
            return msgspec.msgpack.decode(raw[place + 5 : place + 5 + size_bytes], type=_Blocks)
        at += name_bytes + 6
    return None


def _in_order(plain: Bytes, blocks: _Blocks) -> Bytes:
    """Blocks follow each other; the bytes of a chunk in C order."""
    grid = [-(-chunk // block) for chunk, block in zip(blocks.chunk, blocks.block, strict=True)]
    items = prod(grid) * prod(blocks.block)
    if not items or len(plain) % items:
        raise ValueError(f"has {len(plain)} bytes in {grid} blocks of {blocks.block}")
    axes = len(grid)
    parted = plain.reshape(*grid, *blocks.block, len(plain) // items)
    paired = parted.transpose(*(axis + part for axis in range(axes) for part in (0, axes)), 2 * axes)
    full = paired.reshape(*(count * size for count, size in zip(grid, blocks.block, strict=True)), -1)
    return as_bytes(full[tuple(map(slice, blocks.chunk))])


def blosc2(_: Codec) -> Step:
    """Filter 32026; what its parameters say is in each frame."""
    return Blosc2(require_native("blosc2"))
