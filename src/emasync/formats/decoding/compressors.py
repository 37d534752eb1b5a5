"""General compressors: bytes to bytes.

Nothing is believed of the size that a header claims: memory is that of the chunk, and what does not fit is refused.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from emasync.formats.compression import decompress
from emasync.formats.content import NoDecoderError
from emasync.formats.decoding.blosc import Blosc
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.native import Function, native
from emasync.formats.decoding.zstd import Zstd, content_bytes, unpacker
from emasync.formats.stored import Codec

_BLOSC_HEADER_BYTES: Final = 16
_LZ4_HEADER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Deflated:
    """gzip and zlib: one member by libdeflate, and all that it does not take by the standard library.

    Attributes
    ----------
    codec : {"gzip", "zlib"}
    whole : callable or None
        Unpacks one member in one go.
    """

    codec: str
    whole: Function | None

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        packed = as_bytes(data)
        if self.whole is not None and form.exact:
            room = form.room(into)
            try:
                if len(self.whole(packed, out=room)) == form.most_bytes:
                    return room
            except (RuntimeError, ValueError):
                pass  # several members, the other of the two headers, or broken: the slow way tells
        return _streamed(self.codec, packed, form)


@dataclass(frozen=True, slots=True)
class Streamed:
    """bzip2 and LZMA: streams of the standard library, which may follow each other."""

    codec: str

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return _streamed(self.codec, as_bytes(data), form)


def _streamed(codec: str, packed: Bytes, form: Form) -> bytes:
    plain = decompress(codec, packed.tobytes(), form.most_bytes)
    form.require(len(plain))
    return plain


@dataclass(frozen=True, slots=True)
class Framed:
    """zstd, Blosc and LZ4 with the length ahead: one frame that tells how long it becomes.

    Attributes
    ----------
    codec : str
    claimed : callable
        What the frame says of its length, bytes; -1 where it does not say, which only `function` takes.
    function : callable or None
        Of imagecodecs; None: numcodecs.
    options : mapping of str to int
        Of that function.
    """

    codec: str
    claimed: Callable[[Bytes], int]
    function: Function | None
    options: Mapping[str, int]

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        packed = as_bytes(data)
        claimed = self.claimed(packed)
        if self.function is None:
            form.require(claimed)
            return decompress(self.codec, packed.tobytes(), claimed)
        if claimed > form.most_bytes:
            form.require(claimed)
        found = self.function(packed, out=form.room(into), **self.options)
        form.require(len(found))
        return found if into is None else into


def _blosc_bytes(packed: Bytes) -> int:
    """The library believes what the header says of its own length, and reads so far (C-Blosc, "Blosc header")."""
    if len(packed) < _BLOSC_HEADER_BYTES:
        raise ValueError(f"is no Blosc: it has {len(packed)} bytes")
    size_bytes, _, packed_bytes = struct.unpack_from("<III", packed.data, 4)
    if packed_bytes != len(packed):
        raise ValueError(f"is a Blosc of {packed_bytes} bytes, and has {len(packed)}")
    return int(size_bytes)


def _lz4_bytes(packed: Bytes) -> int:
    """Of numcodecs: length ahead, 32 bits, little-endian."""
    if len(packed) < _LZ4_HEADER_BYTES:
        raise ValueError(f"is no LZ4: it has {len(packed)} bytes")
    return int.from_bytes(packed[:_LZ4_HEADER_BYTES].tobytes(), "little")


def _lzma(codec: Codec) -> Step:
    """Streams that say how they were written; a raw one (format 3 of the standard library) does not."""
    form = codec.configuration.get("format", lzma.FORMAT_XZ)
    if form not in (lzma.FORMAT_XZ, lzma.FORMAT_ALONE):
        raise NoDecoderError(f"has streams of format {form!a}; 1 (xz) and 2 (lzma) are known")
    return Streamed("lzma")


def _framed(codec: str, claimed: Callable[[Bytes], int], **options: int) -> Callable[[Codec], Step]:
    return lambda _: Framed(codec, claimed, native(codec), options)


def _zstd(codec: Codec) -> Step:
    others, unpack = _framed("zstd", content_bytes)(codec), unpacker()
    return others if unpack is None else Zstd(others, unpack)


def _blosc(codec: Codec) -> Step:
    others, unpack = _framed("blosc", _blosc_bytes)(codec), unpacker()
    return others if unpack is None else Blosc(others, unpack)


def _deflated(codec: str, function: str) -> Callable[[Codec], Step]:
    return lambda _: Deflated(codec, native(function))


STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    "gzip": _deflated("gzip", "gzip"),
    "zlib": _deflated("zlib", "deflate"),
    "bz2": lambda _: Streamed("bz2"),
    "lzma": _lzma,
    "zstd": _zstd,
    "blosc": _blosc,
    "lz4": _framed("lz4", _lz4_bytes, header=True),
}
