"""Filter 6 of HDF5: numbers as their distance from the least one, in as many bits as that takes.

HDF5, ``H5Zscaleoffset.c``. Floats were multiplied with a power of ten and rounded first (the ``D`` method; the other
one was never written by the library).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding.bits import unpacked_numbers
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.hdf5 import parameters
from emasync.formats.stored import Codec

_HEADER: Final = struct.Struct("<IBQ")
_HEADER_BYTES: Final = 21
"""Bits of a number, width of what follows, least number; the rest is not used."""

_INTEGER, _FLOAT = 0, 1
_D_SCALED, _INTEGERS = 0, 2
_PARAMETERS: Final = 20
_FILL_AT: Final = 8
_MAX_DIGITS: Final = 308
"""Of a float of 64 bits."""


@dataclass(frozen=True, slots=True)
class ScaleOffset:
    """Undoes the filter.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the numbers. Any: whatever the publisher has.
    digits : int
        Decimal digits that are kept of a float.
    fill : ndarray or None
        Of voxels that were not written; stored as the largest distance.
    """

    dtype: np.dtype[Any]
    digits: int
    fill: npt.NDArray[Any] | None

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        bits, _, least = _HEADER.unpack_from(stored.data)
        width = self.dtype.itemsize * 8
        if bits > width:
            raise ValueError(f"has numbers of {bits} bits, where {width} were expected")
        packed = stored[_HEADER_BYTES:]
        if bits == width:  # nothing was gained: the numbers as the writing machine had them
            form.require(len(packed))
            return as_bytes(packed.view(self.dtype.newbyteorder("<")).astype(self.dtype))
        distances = self._distances(packed, form.most_bytes // self.dtype.itemsize, bits)
        return as_bytes(self._numbers(distances, bits, least).astype(self.dtype))

    def _distances(self, packed: Bytes, count: int, bits: int) -> npt.NDArray[Any]:
        """Numbers of so many bits each, the highest bit first, across the bytes (Any: unsigned, as wide as voxels)."""
        wanted = -(-count * bits // 8)
        if len(packed) < wanted:
            raise ValueError(f"has {len(packed)} bytes of numbers, {wanted} were expected")
        item_bytes = self.dtype.itemsize
        if not bits:
            return np.zeros(count, f"u{item_bytes}")
        return unpacked_numbers(packed[:wanted], bits, item_bytes, count)

    def _numbers(self, distances: npt.NDArray[Any], bits: int, least: int) -> npt.NDArray[Any]:
        missing = distances == (1 << bits) - 1
        found = self._scaled(distances, least) if self.dtype.kind == "f" else self._moved(distances, least)
        if self.fill is not None and bits:
            found[missing] = self.fill
        return found

    def _scaled(self, distances: npt.NDArray[Any], least: int) -> npt.NDArray[Any]:
        native = self.dtype.newbyteorder("=")
        base = np.frombuffer(struct.pack("<Q", least), native.newbyteorder("<"), 1)
        signed = distances.view(f"i{native.itemsize}").astype(native)
        with np.errstate(all="ignore"):  # numbers that no writer had
            found: npt.NDArray[Any] = signed / native.type(10.0) ** self.digits + base.astype(native)
        return found

    def _moved(self, distances: npt.NDArray[Any], least: int) -> npt.NDArray[Any]:
        base = np.frombuffer(struct.pack("<Q", least), distances.dtype.newbyteorder("<"), 1)
        found: npt.NDArray[Any] = (distances + base.astype(distances.dtype)).view(self.dtype.newbyteorder("="))
        return found


def scale_offset(codec: Codec) -> Step:
    """Filter 6 with its parameters: method, digits, count, class, bytes, sign, byte order, whether there is a fill."""
    found = parameters(codec, _PARAMETERS)
    method, digits, _, kind, item_bytes, signed, order, filled = found[:_FILL_AT]
    digits -= (1 << 32) if digits >> 31 else 0
    if abs(digits) > _MAX_DIGITS:
        raise NoDecoderError(f"keeps {digits} decimal digits")
    if (method, kind) not in ((_D_SCALED, _FLOAT), (_INTEGERS, _INTEGER)) or item_bytes not in (1, 2, 4, 8):
        raise NoDecoderError(f"has method {method} for numbers of class {kind} and {item_bytes} bytes")
    letter = "f" if kind == _FLOAT else "i" if signed else "u"
    dtype = np.dtype(f"{'>' if order else '<'}{letter}{item_bytes}")
    raw = struct.pack(f"<{_PARAMETERS - _FILL_AT}I", *found[_FILL_AT:_PARAMETERS])
    fill = np.frombuffer(raw, dtype.newbyteorder("<"), 1).reshape(()) if filled else None
    return ScaleOffset(dtype, digits, fill)
