"""Whether chunks of Zarr arrays hold data.

Codecs are undone as far as it takes to compare voxels with zero and fill value. Filters that make zeros of zeros, and
of nothing else, need not be undone; no others are known, and shards inside of shards are not opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.errors import FormatError
from emasync.formats.compression import codec_id, decompress, require_decoder
from emasync.formats.content import ChunkBytes, ContentTest, NoDecoderError
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Field, Json, parse_object
from emasync.formats.paths import join
from emasync.formats.zarr.keys import ZARR_JSON, ZARRAY
from emasync.formats.zarr.sharding import CRC_BYTES, without_shards
from emasync.model.task import escape_for_log

_KEEP_ZEROS: Final = frozenset(("delta", "bitround", "quantize", "astype", "shuffle"))
_KEEP_VOXELS: Final = frozenset(("transpose", "bytes", "endian"))
_CHECKSUM: Final = "crc32c"

_WIDEST_BYTES: Final = 16
"""What filters may make of one number."""

_LIKE: Final[Mapping[str, str]] = {"bool": "u1", "bfloat16": "u2"}
"""Types of Zarr v3 that numpy calls otherwise, or has none for; their zero is that of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrContent:
    """Looks into chunks of one array (:data:`~emasync.formats.content.ContentTest`).

    Attributes
    ----------
    dtype : str
        Of numpy, with its byte order; bytes where numbers are those of a filter, or none.
    itemsize_bytes : int
        Of a voxel.
    fill_value : Json
        None where only zeros say anything.
    compressors : tuple of str
        As they were applied, checksums among them.
    filtered : bool
        Whether filters may have made something longer or shorter.
    """

    dtype: str
    itemsize_bytes: int
    fill_value: Json
    compressors: tuple[str, ...]
    filtered: bool

    def __call__(self, chunk: ChunkBytes) -> bool:
        """Whether a chunk holds data."""
        try:
            return _anything(np.frombuffer(self._plain(chunk), self.dtype), self.fill_value)
        except ValueError as error:
            name = escape_for_log(chunk.name)
            raise FormatError(f"{name}: the chunk {error}; it is damaged", location=chunk.name) from error

    def _plain(self, chunk: ChunkBytes) -> bytes:
        size_bytes = prod(chunk.shape) * (_WIDEST_BYTES if self.filtered else self.itemsize_bytes)
        data = chunk.data
        for codec in reversed(self.compressors):
            data = data[:-CRC_BYTES] if codec == _CHECKSUM else decompress(codec, data, size_bytes)
        if len(data) != size_bytes and not self.filtered:
            raise ValueError(f"has {len(data)} bytes, {size_bytes} were expected")
        return data


def _anything(numbers: npt.NDArray[Any], fill_value: Json) -> bool:
    """Whether a number is neither zero nor fill value (Any: whatever the publisher has)."""
    if not numbers.any():
        return False
    try:
        fill = np.asarray(fill_value).astype(numbers.dtype)
    except (TypeError, ValueError, OverflowError):
        return True
    if fill.ndim:
        return True
    same = np.isnan(numbers) if fill.dtype.kind == "f" and np.isnan(fill).all() else numbers == fill
    return not bool((same | (numbers == 0)).all())


def content_test(array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
    """How to tell whether chunks of `array` hold data; of one with shards its inner chunks.

    Raises
    ------
    NoDecoderError
        Nothing here undoes one of its codecs, or its voxels have no fixed size.
    """
    if array.itemsize_bytes is None:
        raise NoDecoderError(f"voxels of type {array.dtype}")
    chain, dtype = _chain_2(array, documents) if array.format == "zarr2" else _chain_3(array, documents)
    _require_known(dtype)
    names = [codec_id(codec) for codec in chain]
    compressors = tuple(name for name in names if name not in _KEEP_ZEROS | _KEEP_VOXELS)
    for name in compressors:
        if name != _CHECKSUM:
            require_decoder(name)
    filtered = not _KEEP_ZEROS.isdisjoint(names)
    return ZarrContent(
        dtype="u1" if filtered else dtype,
        itemsize_bytes=array.itemsize_bytes,
        fill_value=None if filtered or dtype == "u1" else array.fill_value,
        compressors=compressors,
        filtered=filtered,
    )


def _require_known(dtype: str) -> None:
    try:
        np.dtype(dtype)
    except TypeError:
        raise NoDecoderError(f"voxels of type {dtype}") from None


def _chain_2(array: ArrayDescription, documents: Mapping[str, bytes]) -> tuple[list[Json], str]:
    """Filters, then the compressor; type of the numbers."""
    key = join(array.path, ZARRAY)
    metadata = parse_object(key, documents[key])
    filters, compressor = metadata.get("filters"), metadata.get("compressor")
    chain = [*(filters if isinstance(filters, list) else ()), *(() if compressor is None else (compressor,))]
    return chain, array.dtype if array.dtype[1:2] in "biufc" else "u1"


def _chain_3(array: ArrayDescription, documents: Mapping[str, bytes]) -> tuple[list[Json], str]:
    """Codecs of one chunk, or inner chunk; type of the numbers, in the byte order of the codec that wrote them."""
    key = join(array.path, ZARR_JSON)
    metadata = parse_object(key, documents[key])
    if array.inner_chunks is not None:
        metadata = without_shards(metadata, key, array.inner_chunks)
    codecs = Field(key, "codecs", metadata.get("codecs")).items()
    chain = [codec.value for codec in codecs]
    big = any(isinstance(codec, dict) and codec.get("configuration") == {"endian": "big"} for codec in chain)
    name = _LIKE.get(array.dtype, array.dtype)
    return chain, np.dtype(name).newbyteorder(">" if big else "<").str
