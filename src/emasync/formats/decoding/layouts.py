"""What a format says of its chunks, as one vocabulary of codecs.

Names without a prefix are those of Zarr and numcodecs. The same name means another framing elsewhere: codecs of HDF5,
TIFF, N5 and precomputed volumes have the format's name ahead (``hdf5.lz4``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from emasync.formats.chunks import ChunkLayout
from emasync.formats.content import NoDecoderError
from emasync.formats.interface import ArrayDescription
from emasync.formats.n5.layout import n5_layout
from emasync.formats.precomputed.layout import precomputed_layout
from emasync.formats.stored import Codec, StoredArray
from emasync.formats.tiff.layout import tiff_codecs
from emasync.formats.zarr.layout import zarr2_layout, zarr3_layout

_LAYOUTS: Final[Mapping[str, Callable[[ArrayDescription, Mapping[str, bytes]], ChunkLayout]]] = {
    "zarr2": zarr2_layout,
    "zarr3": zarr3_layout,
    "n5": n5_layout,
    "precomputed": precomputed_layout,
}


def layout_of(array: ArrayDescription, documents: Mapping[str, bytes] | None = None) -> ChunkLayout:
    """How the chunks of an array are stored; its inner chunks where it is sharded.

    Parameters
    ----------
    array : ArrayDescription
    documents : mapping of str to bytes, optional
        By key; those of the array by default. Precomputed volumes have theirs at the image
        (:attr:`~emasync.formats.interface.MultiscaleDescription.documents`).

    Raises
    ------
    FormatError
        The metadata break a rule.
    NoDecoderError
        Voxels of a type that has no numbers of a fixed size. Codecs are looked at by
        :func:`~emasync.formats.decoding.decoder_for`.
    """
    make = _LAYOUTS.get(array.format)
    if make is None:
        raise NoDecoderError(f"chunks of format {array.format}")
    return make(array, array.documents if documents is None else documents)


def layout_of_stored(array: StoredArray) -> ChunkLayout:
    """How the chunks of an array inside of a file are stored."""
    return ChunkLayout(
        chunks=array.chunks, dtype=array.dtype, codecs=_codecs(array), edges=array.edges, fill_value=array.fill_value
    )


def _codecs(array: StoredArray) -> tuple[Codec, ...]:
    """Codecs with a number are filters of HDF5; all others are of TIFF."""
    if not array.codecs:
        return ()
    if any("id" in codec.configuration for codec in array.codecs):
        return tuple(Codec(f"hdf5.{codec.name}", codec.configuration) for codec in array.codecs)
    return tiff_codecs(array)
