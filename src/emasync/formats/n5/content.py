"""Whether blocks hold data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from emasync.errors import FormatError
from emasync.formats.compression import decompress, require_decoder
from emasync.formats.content import ChunkBytes, ContentTest, NoDecoderError
from emasync.formats.interface import ArrayDescription
from emasync.formats.n5.attributes import compression_of, read_attributes
from emasync.formats.n5.block import read_header
from emasync.model.task import escape_for_log


@dataclass(frozen=True, slots=True)
class BlockContent:
    """Looks into blocks of one dataset (:data:`~emasync.formats.content.ContentTest`).

    Attributes
    ----------
    dtype : numpy.dtype
        Big-endian.
    compression : str
        ``raw`` among them.
    """

    dtype: np.dtype[np.generic]
    compression: str

    def __call__(self, chunk: ChunkBytes) -> bool:
        """Whether a block holds data; its header says how many voxels it has.

        Raises
        ------
        FormatError
            A header that breaks a rule, or other than the voxels that it promises.
        """
        header = read_header(chunk.name, chunk.data, chunk.shape)
        size_bytes = prod(header.shape) * self.dtype.itemsize
        data = chunk.data[header.size_bytes :]
        try:
            if self.compression != "raw":
                data = decompress(self.compression, data, size_bytes)
            if len(data) != size_bytes:
                raise ValueError(f"has {len(data)} bytes of voxels, {size_bytes} were expected")  # noqa: TRY301 - one place says what is damaged
        except ValueError as error:
            name = escape_for_log(chunk.name)
            raise FormatError(f"{name}: the block {error}; it is damaged", location=chunk.name) from error
        return bool(np.frombuffer(data, self.dtype).any())


def content_test(array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
    """How to tell whether blocks of a dataset hold data.

    Raises
    ------
    NoDecoderError
        Nothing here undoes its compression, or its voxels are objects.
    """
    attributes = read_attributes(array.path, documents)
    if attributes is None or array.itemsize_bytes is None:
        raise NoDecoderError(f"voxels of type {array.dtype}")
    compression = compression_of(attributes).text()
    if compression == "lz4":  # a stream of lz4-java, which no library here reads
        raise NoDecoderError("compression lz4 of N5")
    if compression != "raw":
        require_decoder(compression)
    return BlockContent(np.dtype(array.dtype).newbyteorder(">"), compression)
