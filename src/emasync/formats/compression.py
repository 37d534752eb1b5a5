"""Compressed bytes back to what they were, never more than was asked for: what a header claims is not trusted."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import numpy as np

from emasync.formats.json_document import Json

_ANY_HEADER: Final = 47
"""zlib: gzip or zlib, whichever it is (``inflateInit2``, windowBits 32 + 15)."""

_MAX_LZMA_BYTES: Final = 128 << 20
"""A header asks for memory, up to 4 GiB; the highest preset of xz takes 65 MiB."""


class _Stream(Protocol):
    """Decompressors of the standard library."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_STREAMS: Final[Mapping[str, Callable[[], _Stream]]] = {
    "gzip": lambda: zlib.decompressobj(_ANY_HEADER),
    "zlib": lambda: zlib.decompressobj(_ANY_HEADER),
    "bz2": bz2.BZ2Decompressor,
    "bzip2": bz2.BZ2Decompressor,
    "lzma": lambda: lzma.LZMADecompressor(memlimit=_MAX_LZMA_BYTES),
    "xz": lambda: lzma.LZMADecompressor(memlimit=_MAX_LZMA_BYTES),
}
_BLOSC_HEADER_BYTES: Final = 16

_BLOCKS: Final = frozenset(("zstd", "blosc", "lz4"))
"""Codecs of numcodecs that write into memory of ours, and refuse what does not fit into it."""


def decompress(codec: str, data: bytes, most_bytes: int) -> bytes:
    """Undo one compression.

    Parameters
    ----------
    codec : str
        As Zarr, numcodecs or N5 name it.
    data : bytes
    most_bytes : int
        Longer results are refused.

    Returns
    -------
    bytes
        For ``zstd``, ``blosc`` and ``lz4`` exactly `most_bytes`: zeros follow where there is less.

    Raises
    ------
    ValueError
        The data are broken, or longer than `most_bytes`.
    KeyError
        Nothing here undoes `codec`.
    """
    if codec in _BLOCKS:
        return _block(codec, data, most_bytes)
    try:
        return _stream(_STREAMS[codec], data, most_bytes)
    except (zlib.error, lzma.LZMAError, OSError) as error:
        raise ValueError(f"is no {codec} ({error})") from error


def _stream(make: Callable[[], _Stream], data: bytes, most_bytes: int) -> bytes:
    """All members of a stream: gzip, bzip2 and xz may have several."""
    pieces: list[bytes] = []
    room_bytes = most_bytes
    while data:
        stream = make()
        # one byte more than there is room for tells what is too long; 0 would ask for all there is
        pieces.append(stream.decompress(data, room_bytes + 1))
        room_bytes -= len(pieces[-1])
        if room_bytes < 0:
            raise ValueError(f"has more than {most_bytes} bytes")
        if not stream.eof:
            raise ValueError("ends early")
        data = stream.unused_data
    return b"".join(pieces)


def _block(codec: str, data: bytes, most_bytes: int) -> bytes:
    from numcodecs import get_codec  # noqa: PLC0415 - a quarter of a second, where a chunk is really looked into

    if codec == "blosc":
        _require_whole_blosc(data)
    into = np.zeros(most_bytes, dtype=np.uint8)
    try:
        get_codec({"id": codec}).decode(data, out=into)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"is no {codec}, or longer than {most_bytes} bytes ({error})") from error
    return into.tobytes()


def _require_whole_blosc(data: bytes) -> None:
    """The library believes what the header says of its own length, and reads so far (C-Blosc, "Blosc header")."""
    header = struct.unpack_from("<4xIII", data) if len(data) >= _BLOSC_HEADER_BYTES else (0, 0, 0)
    if header[2] != len(data):
        raise ValueError(f"is no blosc of {len(data)} bytes, or ends early")


def codec_id(codec: Json) -> str:
    """Name of a codec, however a format spells it: a bare name, ``name`` (Zarr v3), ``id`` (v2), ``type`` (N5)."""
    if isinstance(codec, dict):
        named = (codec.get(member) for member in ("name", "id", "type"))
        codec = next((name for name in named if name is not None), None)
    return codec.removeprefix("numcodecs.") if isinstance(codec, str) else ascii(codec)
