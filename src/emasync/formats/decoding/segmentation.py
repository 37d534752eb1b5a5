"""Label volumes of precomputed: compressed segmentation and Compresso.

Neuroglancer, "Compressed segmentation format". The decoder is ours: that of the format's own library trusts the
offsets in a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding.arrays import whole_number
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.stored import Codec

Words = npt.NDArray[np.uint32]
Indices = npt.NDArray[np.int64]
Labels = npt.NDArray[Any]
"""Any: of 32 or 64 bits."""

_WORD_BYTES: Final = 4
_WORD_BITS: Final = 32
_OFFSET: Final = np.uint32(0xFFFFFF)
_BITS_AT: Final = np.uint32(24)
_WIDTHS: Final = (0, 1, 2, 4, 8, 16, 32)
_SPACE_AXES: Final = 3
_MAX_BLOCK_VOXELS: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class CompressedSegmentation:
    """Undoes the encoding, all blocks of one width together.

    Attributes
    ----------
    block : tuple of int
        Voxels of a block, z, y, x.
    """

    block: tuple[int, int, int]

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        if form.dtype is None or form.dtype.kind != "u" or form.dtype.itemsize not in (4, 8):
            raise NoDecoderError("is for labels of 32 and 64 bits")
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        shape, dtype = form.of()
        if len(stored) % _WORD_BYTES:
            raise ValueError(f"has {len(stored)} bytes, a multiple of {_WORD_BYTES} was expected")
        words: Words = stored.view("<u4")
        space = shape[-_SPACE_AXES:]
        labels = form.room(into).view(dtype).reshape(-1, *space)
        for channel in range(len(labels)):
            self._channel(int(words[channel]), words, labels[channel])
        return labels.reshape(shape) if into is None else into

    def _channel(self, first: int, words: Words, labels: Labels) -> None:
        """Blocks with their headers first: where the table is and how wide indices are, where indices are."""
        grid = [-(-size // part) for size, part in zip(labels.shape, self.block, strict=True)]
        headers = words[first:][: 2 * prod(grid)].reshape(-1, 2)
        if len(headers) != prod(grid):
            raise ValueError("ends before the headers of its blocks")
        channel = _Channel(words[first:], labels.dtype)
        blocks = np.empty((prod(grid), prod(self.block)), labels.dtype)
        widths = headers[:, 0] >> _BITS_AT
        for width in np.unique(widths):
            if width not in _WIDTHS:
                raise ValueError(f"has a block with indices of {width} bits")
            chosen = np.flatnonzero(widths == width)
            tables, values = headers[chosen].astype(np.int64).T
            blocks[chosen] = channel.blocks(int(width), tables & int(_OFFSET), values, prod(self.block))
        full = blocks.reshape(*grid, *self.block).transpose(0, 3, 1, 4, 2, 5)
        full = full.reshape([count * part for count, part in zip(grid, self.block, strict=True)])
        labels[:] = full[tuple(map(slice, labels.shape))]


class _Channel:
    """Words of one channel, and the label that a table would have at each of them.

    Offsets are a stranger's: numpy checks each, and they have no sign.
    """

    def __init__(self, words: Words, dtype: np.dtype[Any]) -> None:
        self._words = words
        self._label_words = dtype.itemsize // _WORD_BYTES
        self._labels: Labels = words
        if self._label_words > 1:
            self._labels = words[:-1] | words[1:].astype(np.uint64) << np.uint64(_WORD_BITS)

    def blocks(self, width: int, tables: Indices, values: Indices, voxels: int) -> Labels:
        """Labels of blocks whose indices have the same width; a block of one label has none."""
        if not width:
            return self._labels[tables, None]
        each = _WORD_BITS // width
        packed = self._words[values[:, None] + np.arange(-(-voxels // each))]
        shifts = np.arange(0, _WORD_BITS, width, dtype=np.uint32)
        indices = (packed[:, :, None] >> shifts) & np.uint32((1 << width) - 1)
        chosen = indices.reshape(len(tables), -1)[:, :voxels].astype(np.int64)
        if self._label_words > 1:
            chosen *= self._label_words
        chosen += tables[:, None]
        found: Labels = self._labels[chosen]
        return found


def _compressed_segmentation(codec: Codec) -> Step:
    block = codec.configuration.get("block")
    if not isinstance(block, list) or len(block) != _SPACE_AXES:
        raise NoDecoderError("has no compressed_segmentation_block_size")
    z, y, x = (whole_number(size) for size in block)
    if not 0 < z * y * x <= _MAX_BLOCK_VOXELS:
        raise NoDecoderError(f"has blocks of {z * y * x} voxels; 1 to {_MAX_BLOCK_VOXELS} are read")
    return CompressedSegmentation((z, y, x))


STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    "precomputed.compressed_segmentation": _compressed_segmentation,
}
