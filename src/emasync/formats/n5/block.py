"""Blocks: the header before the compressed voxels.

All numbers are big-endian, voxels too. The header says how large this block is: writers in Java cut blocks at the far
edge to the dataset, others (TensorStore) pad them, and both are right.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emasync.errors import FormatError
from emasync.model.task import escape_for_log

DEFAULT_MODE: Final = 0
MODES: Final = {0: "default", 1: "varlength", 2: "object"}

_START: Final = struct.Struct(">HH")


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The header of a block of mode 0.

    Attributes
    ----------
    shape : tuple of int
        Voxels of this very block, z, y, x.
    """

    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes before the compressed voxels: 16 where there are three axes."""
        return header_bytes(len(self.shape))

    def to_bytes(self) -> bytes:
        """As stored."""
        count = len(self.shape)
        return _START.pack(DEFAULT_MODE, count) + struct.pack(f">{count}I", *reversed(self.shape))


def header_bytes(axes: int) -> int:
    """Size of the header of a block of mode 0."""
    return _START.size + 4 * axes


def read_header(key: str, data: bytes, block: Sequence[int]) -> BlockHeader:
    """Read the header of a block.

    Parameters
    ----------
    key : str
        Of the block, for messages.
    data : bytes
        At least its first :func:`header_bytes` bytes.
    block : sequence of int
        Shape of whole blocks of the dataset, z, y, x.

    Raises
    ------
    FormatError
        Cut off, another mode than 0 (``varlength`` and ``object`` hold no plain voxels), another number of axes, or
        larger than blocks of the dataset are.
    """
    place = escape_for_log(key)
    if len(data) < header_bytes(len(block)):
        raise FormatError(f"{place}: a block of {len(data)} bytes, which is less than its header", location=key)
    mode, axes = _START.unpack_from(data)
    if mode != DEFAULT_MODE:
        kind = MODES.get(mode, "unknown")
        raise FormatError(f"{place}: a block of mode {mode} ({kind}); only mode 0 holds plain voxels", location=key)
    if axes != len(block):
        raise FormatError(f"{place}: a block of {axes} axes in a dataset of {len(block)}", location=key)
    shape = struct.unpack_from(f">{axes}I", data, _START.size)[::-1]
    if any(not 0 < size <= most for size, most in zip(shape, block, strict=True)):
        raise FormatError(
            f"{place}: a block of {list(shape)} voxels in a dataset with blocks of {list(block)} (z, y, x)",
            location=key,
        )
    return BlockHeader(shape)
