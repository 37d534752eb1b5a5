"""Whether blocks hold data. Missing blocks read as zero, so zeros are no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from emasync.errors import FormatError
from emasync.formats.compression import decompress, require_decoder
from emasync.formats.content import ChunkBytes, ContentTest, NoDecoderError
from emasync.formats.interface import ArrayDescription
from emasync.formats.n5.attributes import read_attributes
from emasync.formats.n5.block import read_header
from emasync.model.task import escape_for_log

_RAW: Final = "raw"
_FRAMED: Final = "lz4"
"""N5 means the block stream of lz4-java, which nothing here undoes."""


@dataclass(frozen=True, slots=True)
class BlockContent:
    """Looks into blocks of one dataset (:data:`~emasync.formats.content.ContentTest`).

    Attributes
    ----------
    compression : str
    itemsize_bytes : int
        Of a voxel.
    """

    compression: str
    itemsize_bytes: int

    def __call__(self, chunk: ChunkBytes) -> bool:
        """Whether a block holds data."""
        header = read_header(chunk.name, chunk.data, chunk.shape)
        size_bytes = prod(header.shape) * self.itemsize_bytes
        data = chunk.data[header.size_bytes :]
        try:
            plain = data if self.compression == _RAW else decompress(self.compression, data, size_bytes)
        except ValueError as error:
            raise _damaged(chunk, str(error)) from error
        if len(plain) != size_bytes:
            raise _damaged(chunk, f"has {len(plain)} bytes of voxels, {size_bytes} were expected")
        return bool(np.frombuffer(plain, np.uint8).any())


def content_test(array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
    """How to tell whether blocks of `array` hold data.

    Raises
    ------
    NoDecoderError
        Nothing here undoes its compression, or its voxels have no fixed size.
    """
    attributes = read_attributes(array.path, documents)
    if array.itemsize_bytes is None or attributes is None:
        raise NoDecoderError(f"voxels of type {array.dtype}")
    compression = stated_compression(attributes).text()
    if compression == _FRAMED:
        raise NoDecoderError(f"codec {compression} of N5")
    if compression != _RAW:
        require_decoder(compression)
    return BlockContent(compression, array.itemsize_bytes)


def _damaged(chunk: ChunkBytes, what: str) -> FormatError:
    return FormatError(f"{escape_for_log(chunk.name)}: the block {what}; it is damaged", location=chunk.name)
