"""Filters of HDF5 as codecs.

Numbers up to 6 are the library's (``H5Zpublic.h``), others are registered with the HDF Group
(``RegisteredFilterPlugins.md``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emasync.formats.json_document import Json
from emasync.formats.stored import Codec

if TYPE_CHECKING:
    from h5py import h5p

_NAMES: Final = {
    1: "gzip",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    305: "lzo",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32024: "sz3",
    32026: "blosc2",
    32028: "ffmpeg",
}


def codecs_of(properties: h5p.PropDCID) -> tuple[Codec, ...]:
    """The filters of a dataset, in the order of writing: bit n of a chunk's filter mask speaks of the n-th."""
    return tuple(_codec(*properties.get_filter(number)) for number in range(properties.get_nfilters()))


def _codec(number: int, _flags: int, values: tuple[int, ...], name: bytes) -> Codec:
    """Codec with number, parameters and name as they are in the file.

    A number that is not known is named ``hdf5_<number>``.
    """
    parameters: list[Json] = list(values)
    said = name.decode("utf-8", "replace")
    return Codec(_NAMES.get(number, f"hdf5_{number}"), {"id": number, "parameters": parameters, "name": said})
