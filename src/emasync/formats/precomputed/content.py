"""Whether chunks of precomputed volumes hold data. What is missing reads as zero there, so zeros are no data.

Neuroglancer, "Precomputed volume format", section "Chunk encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.errors import FormatError
from emasync.formats.content import ChunkBytes, ContentTest, NoDecoderError
from emasync.formats.interface import ArrayDescription
from emasync.formats.precomputed.info import INFO, ITEM_BYTES, parse_info
from emasync.model.task import escape_for_log

LOSSY_ZERO: Final = 1
"""Largest value that a lossy encoding makes of zeros: a constant block is rounded to a multiple of its first quantum.

JPEG (ITU T.81, annex A.3.4): black is -1024 before it is divided by up to 255, which gives 0 or 1 back.
"""

_IMAGES: Final[Mapping[str, tuple[str, int]]] = {
    "jpeg": ("jpeg8", LOSSY_ZERO),
    "png": ("png", 0),
    "jxl": ("jpegxl", LOSSY_ZERO),
}
"""Decoder of imagecodecs, and what still counts as zero."""

_WORD_BYTES: Final = 4

Decode = Callable[..., Any]  # foreign functions


@dataclass(frozen=True, slots=True)
class RawContent:
    """Voxels as they are."""

    itemsize_bytes: int

    def __call__(self, chunk: ChunkBytes) -> bool:
        """Whether a chunk holds data."""
        size_bytes = prod(chunk.shape) * self.itemsize_bytes
        if len(chunk.data) != size_bytes:
            raise _damaged(chunk, f"has {len(chunk.data)} bytes, {size_bytes} were expected")
        return bool(np.frombuffer(chunk.data, np.uint8).any())


@dataclass(frozen=True, slots=True)
class ImageContent:
    """Voxels as one image, x fastest.

    Attributes
    ----------
    decode : callable
        Of imagecodecs. It writes into memory of ours, and refuses an image of another shape before it does: a header
        is not trusted.
    dtype : str
    zero : int
        Largest value that is no data.
    """

    decode: Decode
    dtype: str
    zero: int

    def __call__(self, chunk: ChunkBytes) -> bool:
        """Whether a chunk holds data."""
        *channels, depth, height, width = chunk.shape
        problem: Exception = ValueError("no shape")
        for rows, columns in ((depth * height, width), (depth, height * width)):  # as TensorStore writes, and others
            into = np.empty((rows, columns, *(count for count in channels if count > 1)), dtype=self.dtype)
            try:
                self.decode(chunk.data, out=into)
            except (ValueError, RuntimeError, TypeError) as error:
                problem = error
            else:
                return bool((into > self.zero).any())
        raise _damaged(chunk, f"cannot be decoded as an image of its voxels ({problem})")


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """Compressed segmentation: blocks, each with a table of the labels in it.

    A block of one label needs no bits to tell voxels apart; one that has bits has more labels than one, of which only
    one can be zero (Neuroglancer, "Compressed segmentation format").

    Attributes
    ----------
    block : tuple of int
        Voxels of a block, z, y, x.
    label_bytes : int
        4 or 8.
    """

    block: tuple[int, ...]
    label_bytes: int

    def __call__(self, chunk: ChunkBytes) -> bool:
        """Whether a chunk holds data."""
        if len(chunk.data) % _WORD_BYTES:
            raise _damaged(chunk, f"has {len(chunk.data)} bytes, a multiple of 4 was expected")
        words = np.frombuffer(chunk.data, "<u4")
        *channels, depth, height, width = chunk.shape
        blocks = prod(-(-size // part) for size, part in zip((depth, height, width), self.block, strict=True))
        return any(self._channel(chunk, words, number, blocks) for number in range(prod(channels)))

    def _channel(self, chunk: ChunkBytes, words: npt.NDArray[np.uint32], number: int, blocks: int) -> bool:
        first = int(words[number]) if number < len(words) else len(words)
        headers = words[first : first + 2 * blocks : 2]
        if len(headers) != blocks:
            raise _damaged(chunk, "ends before its block headers")
        tables = first + (headers & np.uint32(0xFFFFFF)).astype(np.int64)
        if (tables + self.label_bytes // _WORD_BYTES > len(words)).any():
            raise _damaged(chunk, "has a table of labels beyond its end")
        low, high = words[tables], words[tables + self.label_bytes // _WORD_BYTES - 1]
        return bool((headers >> np.uint32(24)).any() or low.any() or high.any())


def content_test(array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
    """How to tell whether chunks of a scale hold data.

    Raises
    ------
    NoDecoderError
        Nothing here undoes its encoding, or what does is not installed.
    """
    key = next(key for key in documents if key.rpartition("/")[2] == INFO)
    volume = parse_info(key, documents[key], key.rpartition("/")[0])
    scale = next(scale for scale in volume.scales if scale.path == array.path)
    if scale.encoding == "raw":
        return RawContent(ITEM_BYTES[volume.dtype])
    if scale.encoding in _IMAGES:
        name, zero = _IMAGES[scale.encoding]
        return ImageContent(_decoder(name, scale.encoding), volume.dtype, zero)
    if scale.encoding == "compressed_segmentation" and scale.segment_block is not None:
        return SegmentContent(scale.segment_block, ITEM_BYTES[volume.dtype])
    raise NoDecoderError(f"encoding {escape_for_log(scale.encoding)}")


def _decoder(name: str, encoding: str) -> Decode:
    try:
        import imagecodecs  # noqa: PLC0415 - an extra
    except ImportError:
        raise NoDecoderError(f"encoding {encoding} without imagecodecs: pip install 'emasync[images]'") from None
    decode: Decode = getattr(imagecodecs, f"{name}_decode")
    return decode


def _damaged(chunk: ChunkBytes, what: str) -> FormatError:
    return FormatError(f"{escape_for_log(chunk.name)}: the chunk {what}; it is damaged", location=chunk.name)
