"""Names of many chunks → their numbers: the inverse of a grid's formula, a column of names at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.model.grid import ChunkGrid, VoxelGrid

NO_CHUNK: Final = -1

Numbers = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]
_Chosen = npt.NDArray[np.bool_]

_ZERO, _NINE = ord("0"), ord("9")

MOST_DIGITS: Final = 18
"""Of a number that fits into 64 bits; no grid has more."""


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Texts one behind the other, as the ledger has them.

    Attributes
    ----------
    text : bytes
        UTF-8.
    lengths : ndarray of int64
        Of each, bytes.
    """

    text: bytes
    lengths: Numbers

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Of single texts."""
        texts = [name.encode("utf-8", "surrogatepass") for name in names]
        return cls(b"".join(texts), np.fromiter(map(len, texts), np.int64, len(texts)))

    @property
    def starts(self) -> Numbers:
        """Where each begins."""
        return np.cumsum(self.lengths) - self.lengths

    def begin_with(self, lead: bytes) -> npt.NDArray[np.bool_]:
        """Which begin like this."""
        found: _Chosen = self.lengths >= len(lead)
        rows, text, starts = np.flatnonzero(found), np.frombuffer(self.text, np.uint8), self.starts
        for offset, byte in enumerate(lead):
            rows = rows[text[starts[rows] + offset] == byte]
        found[:] = False
        found[rows] = True
        return found

    def part(self, begin: int, end: int) -> Names:
        """Those in ``[begin, end)``."""
        first = int(self.lengths[:begin].sum())
        lengths = self.lengths[begin:end]
        return Names(self.text[first : first + int(lengths.sum())], lengths)

    def one(self, start: int, length: int) -> str:
        """The text that lies there."""
        return self.text[start : start + length].decode("utf-8", "surrogatepass")


def numbers_at(grid: ChunkGrid, names: Names) -> Numbers:
    """Numbers of the chunks that go to these destinations; :data:`NO_CHUNK` for any other.

    As :meth:`~emasync.model.grid.ChunkGrid.number_at` says of each.

    Parameters
    ----------
    grid : ChunkGrid
    names : Names
    """
    odd = isinstance(grid, VoxelGrid) and (min(grid.origin) < 0 or grid.suffix)  # whose minus is no separator
    if odd or not grid.shape:
        return _one_by_one(grid, names)
    lead, separators = _lead(grid), _separators(grid)
    rows = np.flatnonzero(names.begin_with(lead) & (names.lengths > len(lead)))
    numbers = np.full(len(names.lengths), NO_CHUNK, np.int64)
    if len(rows):
        text = np.frombuffer(names.text, np.uint8)
        words = _Words.of(text, names.starts[rows] + len(lead), names.lengths[rows] - len(lead), separators)
        told, cells = words.cells(separators)
        numbers[rows[told]] = _of_voxels(grid, cells) if isinstance(grid, VoxelGrid) else _of_cells(grid, cells)
    return numbers


def _one_by_one(grid: ChunkGrid, names: Names) -> Numbers:
    told = zip(names.starts.tolist(), names.lengths.tolist(), strict=True)
    found = (grid.number_at(names.one(start, length)) for start, length in told)
    return np.array([NO_CHUNK if number is None else number for number in found], np.int64)


def _lead(grid: ChunkGrid) -> bytes:
    """What names of chunks begin with."""
    marked = grid.encoding == "default" and not isinstance(grid, VoxelGrid)
    return (grid.prefix + (f"c{grid.separator}" if marked else "")).encode("utf-8", "surrogatepass")


def _separators(grid: ChunkGrid) -> bytes:
    """What follows each number of a name but the last."""
    return b"-_-_-" if isinstance(grid, VoxelGrid) else grid.separator.encode() * (len(grid.shape) - 1)


def _of_cells(grid: ChunkGrid, told: Numbers) -> Numbers:
    """Numbers of chunks of which names tell the coordinates."""
    cells = told[:, ::-1] if grid.encoding == "n5" else told
    return _inside(grid, cells if grid.rebase else cells - np.array(grid.start))


def _of_voxels(grid: VoxelGrid, told: Numbers) -> Numbers:
    """Numbers of chunks of which names tell the first voxel and that behind the last one, x, y, z."""
    chunk, origin = np.array(grid.chunk), np.array(grid.origin)
    first, stop = told[:, 4::-2] - origin, told[:, 5::-2] - origin
    cells = first // chunk
    exact = (first == cells * chunk) & (stop == np.minimum(first + chunk, np.array(grid.size)))
    return np.where(exact.all(axis=1), _inside(grid, cells - np.array(grid.start)), NO_CHUNK)


def _inside(grid: ChunkGrid, cells: Numbers) -> Numbers:
    """Numbers of chunks, from coordinates that count from the grid's first one."""
    inside = np.all((cells >= 0) & (cells < np.array(grid.shape)), axis=1)
    strides = np.cumprod([1, *grid.shape[:0:-1]], dtype=np.int64)[::-1]
    return np.where(inside, np.where(inside[:, None], cells, 0) @ strides, NO_CHUNK)


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """What stands between separators, of all texts one behind the other.

    Attributes
    ----------
    text : ndarray of uint8
        Of the texts alone, each followed by a separator.
    stops : ndarray of int64
        Where each word ends in it.
    ends : ndarray of int64
        Where each text ends in it.
    """

    text: _Bytes
    stops: Numbers
    ends: Numbers

    @classmethod
    def of(cls, text: _Bytes, starts: Numbers, lengths: Numbers, separators: bytes) -> _Words:
        """Words of the texts that lie there; an end counts as a separator."""
        ends = np.cumsum(lengths + 1) - 1
        places = np.arange(len(lengths) + int(lengths.sum())) + np.repeat(starts - (ends - lengths), lengths + 1)
        taken = text[np.minimum(places, len(text) - 1)]
        taken[ends] = 0
        between = taken == 0
        for separator in set(separators):
            between |= taken == separator
        return cls(taken, np.flatnonzero(between), ends)

    def cells(self, separators: bytes) -> tuple[_Chosen, Numbers]:
        """Texts that are plain numbers with these separators between them, and the numbers."""
        numbers, begins = len(separators) + 1, np.concatenate([[0], self.stops[:-1] + 1])
        lengths = self.stops - begins
        digits = (self.text >= _ZERO) & (self.text <= _NINE)
        plain = np.add.reduceat(digits, np.minimum(begins, self.stops), dtype=np.int64) == lengths
        plain &= (lengths > 0) & (lengths <= MOST_DIGITS)
        plain &= (lengths == 1) | (self.text[begins] != _ZERO)  # nobody writes leading zeros
        last = np.searchsorted(self.stops, self.ends)
        counts = np.diff(last, prepend=-1)
        sums = np.concatenate([[0], np.cumsum(plain)])
        told: _Chosen = (counts == numbers) & (sums[last + 1] - sums[last + 1 - counts] == counts)
        words = last[told][:, None] - np.arange(numbers - 1, -1, -1)
        meant = (self.text[self.stops[words[:, :-1]]] == np.frombuffer(separators, np.uint8)).all(axis=1)
        told[np.flatnonzero(told)[~meant]] = False
        words = words[meant]
        return told, self._values(begins[words.reshape(-1)], lengths[words.reshape(-1)]).reshape(-1, numbers)

    def _values(self, begins: Numbers, lengths: Numbers) -> Numbers:
        """Numbers that words of digits say: digit by digit, all words at once."""
        values = np.zeros(len(begins), np.int64)
        for place in range(int(lengths.max(initial=0))):
            longer = lengths > place
            digit = self.text[np.where(longer, begins + place, 0)].astype(np.int64) - _ZERO
            values = np.where(longer, values * 10 + digit, values)
        return values
