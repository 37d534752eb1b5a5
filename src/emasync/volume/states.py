"""States of an array's chunks in a bit or two each: blocks of 4,096, and nothing but a word for a block of one state.

216 million chunks of which any may be absent take 27 MB, those of a finished download that lacks none take nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.volume.index_columns import Columns, ColumnWriter
from emasync.volume.interface import Numbers

BLOCK: Final = 4096
"""Chunks of a block, as in the ledger."""

States = npt.NDArray[np.uint8]

_CODE_SHIFT: Final = 56
_OFFSET_MASK: Final = (1 << 56) - 1
_MIXED: Final = 4
_TWO_BITS: Final = 8


class ChunkState(IntEnum):
    """How a chunk stands; what is not present is, negated, its mark in place of a file's number. Stored."""

    PRESENT = 0
    ABSENT = 1
    """Left out by the publisher."""
    NOT_DOWNLOADED = 2
    UNKNOWN = 3


class StateColumns:
    """Packs states into two columns.

    A word a block: the highest byte says how (below 4: all are in that state; 5 to 7: a bit for each chunk, set where
    it is present, else it is in state ``code - 4``; 8: two bits each), the others where in ``bits``.

    Parameters
    ----------
    blocks, bits : ColumnWriter
    """

    def __init__(self, blocks: ColumnWriter, bits: ColumnWriter) -> None:
        self._blocks = blocks
        self._bits = bits

    def append(self, states: Iterable[States]) -> tuple[int, npt.NDArray[np.int64]]:
        """Write the states of one array.

        Parameters
        ----------
        states : iterable of ndarray of uint8
            Of whole blocks; the last may be short.

        Returns
        -------
        int
            Number of the first block's word.
        ndarray of int64
            Chunks in each state.
        """
        first, counts = self._blocks.rows, np.zeros(len(ChunkState), np.int64)
        for block in states:
            counts += np.bincount(block, minlength=len(ChunkState))
            code, data = _packed(block)
            offset = self._bits.append(data) if len(data) else 0
            self._blocks.append(np.uint64(code << 56 | offset))
        return first, counts


def _packed(block: States) -> tuple[int, States]:
    """Code and bits of one block."""
    there = [state for state in ChunkState if (block == state).any()]
    if len(there) == 1:
        return int(there[0]), block[:0]
    if len(there) == 2 and ChunkState.PRESENT in there:  # noqa: PLR2004 - present, and one other
        return _MIXED + int(there[1]), np.packbits(block == ChunkState.PRESENT, bitorder="little")
    planes = np.stack([block & 1, block >> 1], axis=1)
    return _TWO_BITS, np.packbits(planes.reshape(-1), bitorder="little")


def in_blocks(states: States) -> Iterator[States]:
    """Cut states into blocks."""
    for start in range(0, len(states), BLOCK):
        yield states[start : start + BLOCK]


def look_up(columns: Columns, first: int, numbers: Numbers) -> Numbers:
    """States of chunks.

    Parameters
    ----------
    columns : Columns
    first : int
        Number of the array's first word.
    numbers : ndarray of int64
    """
    words = columns.get("blocks").view("<i8").take((numbers >> 12) + first)
    codes = words >> _CODE_SHIFT
    highest = codes.max(initial=0)
    if highest < _MIXED:
        return codes
    inner, bits = numbers & (BLOCK - 1), columns.get("bits")
    if highest < _TWO_BITS and codes.min() > _MIXED:
        return _one_bit(bits, words & _OFFSET_MASK, inner, codes)
    one, two = np.flatnonzero((codes > _MIXED) & (codes < _TWO_BITS)), np.flatnonzero(codes == _TWO_BITS)
    offsets, states = words & _OFFSET_MASK, codes.copy()
    states[one] = _one_bit(bits, offsets[one], inner[one], codes[one])
    states[two] = bits.take(offsets[two] + (inner[two] >> 2)) >> ((inner[two] & 3) << 1) & 3
    return states


def _one_bit(bits: States, offsets: Numbers, inner: Numbers, codes: Numbers) -> Numbers:
    """States of chunks of mixed blocks: where the bit is set a chunk is present, and all others are alike."""
    absent = ~(bits.take(offsets + (inner >> 3)) >> (inner & 7)) & 1
    found: Numbers = absent * (codes - _MIXED)
    return found
