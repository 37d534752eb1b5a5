"""Whether chunks hold data: decoded, and looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from emasync.formats.chunks import ChunkDecoder
from emasync.formats.content import ChunkBytes, ContentTest
from emasync.formats.decoding.decoder import decoder_for
from emasync.formats.decoding.form import Voxels
from emasync.formats.decoding.layouts import layout_of
from emasync.formats.fill_values import fill_voxel
from emasync.formats.interface import ArrayDescription

LOSSY_ZERO: Final = 1
"""Largest value that a lossy encoding makes of zeros: a constant block is rounded to a multiple of its first quantum.

JPEG (ITU T.81, annex A.3.4): black is -1024 before it is divided by up to 255, which gives 0 or 1 back.
"""

_LOSSY: Final = frozenset(("precomputed.jpeg", "precomputed.jxl"))


@dataclass(frozen=True, slots=True)
class HoldsData:
    """Looks into chunks of one array (:data:`~emasync.formats.content.ContentTest`).

    Attributes
    ----------
    decoder : ChunkDecoder
    fill : ndarray
        The voxel of chunks that are left out: it is no data either.
    zero : int
        Largest value that is no data.
    """

    decoder: ChunkDecoder
    fill: Voxels
    zero: int

    def __call__(self, chunk: ChunkBytes) -> bool:
        """Whether a voxel of the chunk is neither zero nor fill value."""
        voxels = self.decoder.decode(chunk.name, chunk.data, chunk.shape)
        if self.zero:
            return bool((voxels > self.zero).any())
        if not voxels.any():
            return False
        unset = np.isnan(voxels) if self.fill != self.fill else voxels == self.fill
        return not bool((unset | (voxels == np.zeros((), voxels.dtype))).all())


def content_test(array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
    """How to tell whether chunks of `array` hold data; of one with shards its inner chunks.

    Parameters
    ----------
    array : ArrayDescription
    documents : mapping of str to bytes
        Of the array and the image around it.

    Raises
    ------
    NoDecoderError
        Nothing here undoes one of its codecs, or its voxels have no fixed size.
    """
    layout = layout_of(array, documents)
    if array.sharding is not None:  # chunks come unpacked out of their shards
        layout = replace(layout, codecs=tuple(codec for codec in layout.codecs if codec.name != "gzip"))
    lossy = not _LOSSY.isdisjoint(codec.name for codec in layout.codecs)
    return HoldsData(decoder_for(layout), fill_voxel(layout), LOSSY_ZERO if lossy else 0)
