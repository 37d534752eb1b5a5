"""How the blocks of N5 datasets are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from emasync.formats.chunks import ChunkLayout
from emasync.formats.content import NoDecoderError
from emasync.formats.interface import ArrayDescription
from emasync.formats.n5.attributes import compression_of, read_attributes
from emasync.formats.stored import Codec
from emasync.model.task import escape_for_log

_NAMES: Final = {"bzip2": "bz2", "xz": "lzma", "lz4": "n5.lz4"}
"""Those that others call otherwise; LZ4 is framed by a Java library."""


def n5_layout(array: ArrayDescription, documents: Mapping[str, bytes]) -> ChunkLayout:
    """Blocks of N5: big-endian voxels, compressed, behind a header that tells this block's shape.

    Raises
    ------
    FormatError
        Attributes that break a rule.
    NoDecoderError
        Voxels that are objects.
    """
    attributes = read_attributes(array.path, documents)
    if attributes is None or array.itemsize_bytes is None:
        raise NoDecoderError(f"{escape_for_log(array.path)}: voxels of type {escape_for_log(array.dtype)}")
    name = compression_of(attributes).text()
    if name == "gzip" and attributes.member("compression").member("useZlib").value is True:
        name = "zlib"
    compression = () if name == "raw" else (Codec(_NAMES.get(name, name)),)
    return ChunkLayout(
        chunks=array.chunks,
        dtype=np.dtype(array.dtype).newbyteorder(">").str,
        codecs=(*compression, Codec("n5.block")),
        edges="own",
        fill_value=0,
    )
