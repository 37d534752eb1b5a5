"""Unsigned numbers of any count of bits, packed one after the other, the highest bit first."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.formats.decoding.form import Bytes
from emasync.formats.decoding.native import native

Numbers = npt.NDArray[Any]
"""Any: unsigned, as wide as was asked for."""

_LIBRARY_BITS: Final = 32
"""The most that imagecodecs unpacks."""


def unpacked_numbers(packed: Bytes, bits: int, item_bytes: int, row_items: int) -> Numbers:
    """Unpack rows of numbers; each row begins with a byte.

    Parameters
    ----------
    packed : ndarray of uint8
        Whole rows.
    bits : int
        Of a number, 1 to 8 times `item_bytes`.
    item_bytes : int
        1, 2, 4 or 8: width of the numbers that come out.
    row_items : int

    Returns
    -------
    ndarray
        Flat, in the byte order of this machine.
    """
    unpack = native("packints") if bits <= _LIBRARY_BITS else None
    narrow = next(size for size in (1, 2, 4, 8) if size * 8 >= bits)
    wide = np.dtype(f"u{item_bytes}")
    if unpack is None or bits == narrow * 8:
        return _by_bit(packed.reshape(-1, -(-row_items * bits // 8)), bits, narrow, row_items).astype(wide)
    found: Numbers = unpack(packed, f"=u{narrow}", bits, runlen=row_items)
    return found.astype(wide, copy=False)


def _by_bit(rows: Bytes, bits: int, item_bytes: int, row_items: int) -> Numbers:
    flags = np.unpackbits(rows, axis=1, count=row_items * bits).reshape(-1, bits)
    wide = np.zeros((len(flags), item_bytes * 8), np.uint8)
    wide[:, item_bytes * 8 - bits :] = flags
    return np.packbits(wide, axis=1).view(f">u{item_bytes}").reshape(-1)
