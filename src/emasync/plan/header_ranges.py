"""Where files of common formats describe themselves: a few bounded stretches at known places. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from emasync.errors import FormatError
from emasync.formats.dm.format import DmFormat
from emasync.formats.known_stretches import KnownStretches, UnreadError
from emasync.formats.stored import BLOCK_BYTES
from emasync.formats.tiff.format import TiffFormat
from emasync.model.digest import Span

STRETCH_BYTES: Final = 64 << 10
"""One stretch. The first takes all of a DM, MRC or TIFF header that is not unusually long."""

MAX_MRC_BYTES: Final = 1 << 20
"""Longest extended header that is taken: that of a tilt series of SerialEM has some 100 KiB."""

FIRST: Final = Span(0, STRETCH_BYTES)

_TIFF_ORDER: Final = {b"II": "<", b"MM": ">"}
_TIFF, _BIG_TIFF = 42, 43
_HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_MRC_BIG_ENDIAN: Final = 0x11

Places = Callable[[bytes, int | None], tuple[Span, ...]]
"""Stretches that belong to a header besides the first one, from its bytes and the file's size."""


def tiff_places(head: bytes, size_bytes: int | None) -> tuple[Span, ...]:
    """The first image file directory, wherever it lies (TIFF 6.0, section 2; BigTIFF: offsets of 8 bytes)."""
    order = _TIFF_ORDER.get(head[:2])
    if order is None or len(head) < 16:  # noqa: PLR2004 - a BigTIFF header
        return ()
    magic = struct.unpack_from(f"{order}H", head, 2)[0]
    if magic == _TIFF:
        return _elsewhere(struct.unpack_from(f"{order}I", head, 4)[0], head, size_bytes)
    return _elsewhere(struct.unpack_from(f"{order}Q", head, 8)[0], head, size_bytes) if magic == _BIG_TIFF else ()


def hdf5_places(head: bytes, size_bytes: int | None) -> tuple[Span, ...]:
    """The root group's object header (HDF5 File Format Specification, section II.A, "Superblock")."""
    if not head.startswith(_HDF5_SIGNATURE) or len(head) < 96:  # noqa: PLR2004 - the longest superblock
        return ()
    at = {0: 64, 1: 68, 2: 36, 3: 36}.get(head[8])
    return () if at is None else _elsewhere(struct.unpack_from("<Q", head, at)[0], head, size_bytes)


def mrc_places(head: bytes, size_bytes: int | None) -> tuple[Span, ...]:
    """The rest of a long extended header (MRC2014, words 24 and 54)."""
    if len(head) < 1024:  # noqa: PLR2004 - the header
        return ()
    order = ">" if head[212] == _MRC_BIG_ENDIAN else "<"
    extended = struct.unpack_from(f"{order}i", head, 92)[0]
    stop = min(1024 + extended, MAX_MRC_BYTES, size_bytes if size_bytes is not None else MAX_MRC_BYTES)
    return (Span(len(head), stop),) if stop > len(head) else ()


def dm_places(head: bytes, size_bytes: int | None) -> tuple[Span, ...]:
    """The end of the file: Digital Micrograph writes tags of the image behind its data."""
    if size_bytes is None or size_bytes <= len(head):
        return ()
    at = size_bytes - STRETCH_BYTES
    return (Span(max(len(head), at - at % BLOCK_BYTES), size_bytes),)


PLACES: Final[Mapping[str, Places]] = {
    **dict.fromkeys((".tif", ".tiff", ".btf"), tiff_places),
    **dict.fromkeys((".nwb", ".h5", ".hdf5", ".hdf", ".ims"), hdf5_places),
    **dict.fromkeys((".mrc", ".mrcs", ".map", ".rec", ".st", ".ali"), mrc_places),
    **dict.fromkeys((".dm3", ".dm4"), dm_places),
}
"""By the end of a file's name."""

READERS: Final[Mapping[str, Callable[[KnownStretches], object]]] = {
    **dict.fromkeys((".tif", ".tiff", ".btf"), TiffFormat().describe_first),
    **dict.fromkeys((".dm3", ".dm4"), DmFormat().describe),
}
"""What reads headers that lie in more places than a few bytes can tell, by the end of a file's name."""

MORE_STRETCHES: Final = 4
"""That such a reader may ask for: the tags of a DM file lie around its pictures, the values of a TIFF anywhere."""


def suffix_of(path: str) -> str | None:
    """The end of a name that says which header a file has; None when it says nothing."""
    name = path.rpartition("/")[2].lower()
    suffix = f".{name.rpartition('.')[2]}" if "." in name else ""
    return suffix if suffix in PLACES else None


def missing(suffix: str, known: KnownStretches) -> Span | None:
    """What a reader of such headers misses first; None where it misses nothing, or it is no such file."""
    reader = READERS.get(suffix)
    if reader is None:
        return None
    try:
        reader(known)
    except UnreadError as error:
        return _stretch(error.offset, known.size_bytes)
    except FormatError:
        return None  # not such a file, or a damaged one
    return None


def _elsewhere(at: int, head: bytes, size_bytes: int | None) -> tuple[Span, ...]:
    """The stretch at an offset that a header names, unless it was read already or cannot be."""
    if at < len(head) or at >= 1 << 62 or (size_bytes is not None and at >= size_bytes):
        return ()
    return (_stretch(at, size_bytes),)


def _stretch(at: int, size_bytes: int | None) -> Span:
    """The bytes from an offset on, and those of its block before it: readers take whole blocks."""
    stop = at + STRETCH_BYTES
    return Span(at - at % BLOCK_BYTES, stop if size_bytes is None else min(stop, size_bytes))
