"""LZ4 of N5: the stream of a Java library (lz4-java, ``LZ4BlockOutputStream``), which is no frame of LZ4.

A mark, a method, two lengths and a checksum stand before each block (little-endian); a block of no bytes is the last.
The checksum is of a kind (xxHash32) that nothing here computes: it is not looked at. z5, which calls its codec the
same, writes one block of LZ4 and nothing around it (``compression/lz4_compressor.hxx``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from emasync.formats.compression import decompress
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.native import Function, native
from emasync.formats.stored import Codec

_HEADER: Final = struct.Struct("<8sBiiI")
_MAGIC: Final = b"LZ4Block"
_METHODS: Final = 0xF0
_RAW, _LZ4 = 0x10, 0x20


@dataclass(frozen=True, slots=True)
class Lz4Stream:
    """Undoes the stream.

    Attributes
    ----------
    unpack : callable or None
        Of imagecodecs: one block. None: numcodecs.
    """

    unpack: Function | None

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored, plain = as_bytes(data), form.room(into)
        if stored[: len(_MAGIC)].tobytes() != _MAGIC:
            self._block(_LZ4, stored, plain)
            return plain
        at = done = 0
        while True:
            magic, token, packed_bytes, size_bytes, _ = _HEADER.unpack_from(stored.data, at)
            at += _HEADER.size
            if magic != _MAGIC or min(packed_bytes, size_bytes) < 0 or at + packed_bytes > len(stored):
                raise ValueError(f"has no block of LZ4 at byte {at - _HEADER.size}, or ends early")
            if not size_bytes:
                break
            self._block(token & _METHODS, stored[at : at + packed_bytes], plain[done : done + size_bytes])
            at, done = at + packed_bytes, done + size_bytes
        form.require(done)
        return plain[:done] if into is None else into

    def _block(self, method: int, packed: Bytes, room: Bytes) -> None:
        if method == _RAW and len(packed) == len(room):
            room[:] = packed
        elif method != _LZ4:
            raise ValueError(f"has a block of {len(packed)} bytes for {len(room)} by method {method:#x} of LZ4")
        elif self.unpack is None:
            head = len(room).to_bytes(4, "little")
            room[:] = as_bytes(decompress("lz4", head + packed.tobytes(), len(room)))
        elif len(self.unpack(packed, header=False, out=room)) != len(room):
            raise ValueError(f"has a block of LZ4 that is not {len(room)} bytes long")


def lz4_stream(_: Codec) -> Step:
    """Compression ``lz4`` of N5."""
    return Lz4Stream(native("lz4"))
