"""How the chunks of precomputed volumes are stored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkLayout
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Json
from emasync.formats.precomputed.info import INFO, Scale, Volume, parse_info
from emasync.formats.stored import Codec
from emasync.model.task import escape_for_log


def precomputed_layout(array: ArrayDescription, documents: Mapping[str, bytes]) -> ChunkLayout:
    """Chunks of one scale: voxels in Fortran order x, y, z, channel, which is C order channel, z, y, x.

    Neuroglancer, "Precomputed volume format", section "Chunk encoding".

    Parameters
    ----------
    array : ArrayDescription
        A scale.
    documents : mapping of str to bytes
        With the ``info`` of the volume.

    Raises
    ------
    FormatError
        No ``info``, or one that breaks a rule.
    """
    volume, scale = _scale_of(array, documents)
    packed = scale.sharding is not None and scale.sharding.data_packing == "gzip"
    return ChunkLayout(
        chunks=array.chunks,
        dtype=np.dtype(volume.dtype).newbyteorder("<").str,
        codecs=(*_encoding(scale), *((Codec("gzip"),) if packed else ())),
        edges="cut",
        fill_value=0,
    )


def _scale_of(array: ArrayDescription, documents: Mapping[str, bytes]) -> tuple[Volume, Scale]:
    for key, data in documents.items():
        folder, _, name = key.rpartition("/")
        if name == INFO:
            volume = parse_info(key, data, folder)
            for scale in volume.scales:
                if scale.path == array.path:
                    return volume, scale
    raise FormatError(f"{escape_for_log(array.path)}: no {INFO} document tells of this scale", location=array.path)


def _encoding(scale: Scale) -> tuple[Codec, ...]:
    if scale.encoding == "raw":
        return ()
    if scale.segment_block is None:
        return (Codec(f"precomputed.{scale.encoding}"),)
    block: list[Json] = [*scale.segment_block]
    return (Codec(f"precomputed.{scale.encoding}", {"block": block}),)
