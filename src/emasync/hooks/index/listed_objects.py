"""Rows of the ledger, sorted by the array that they are an object of: two bits each, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.hooks.index.chunk_names import NO_CHUNK, numbers_at
from emasync.hooks.index.trees import TreeArray
from emasync.ledger.interface import Row
from emasync.model.task import State
from emasync.volume.interface import Numbers
from emasync.volume.states import BLOCK, ChunkState, States

MAX_CRCS: Final = 1 << 22
"""Chunks of an array of which checksums are kept, 16 MiB; larger grids have none."""

ROWS_HELD: Final = 1 << 16
"""Rows of one array that are looked at together."""

Crcs = npt.NDArray[np.uint32]


def is_left_out(row: Row) -> bool:
    """Whether a row says that the publisher left the object out; what a manifest accepts to be missing says nothing."""
    return row.state is State.ABSENT and row.spec.absent_ok and not row.spec.accepted


class ListedObjects:
    """Objects of one array, as rows tell of them: two bits each, whatever their number.

    Parameters
    ----------
    count : int
        Objects of the grid.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.rows = 0
        self._present, self._waiting = np.zeros((2, -(-count // 8)), np.uint8)
        self._crcs: Crcs | None = np.zeros(count, np.uint32) if count <= MAX_CRCS else None

    def put(self, numbers: Numbers, rows: Sequence[Row]) -> None:
        """Take what rows say of the objects of these numbers."""
        self.rows += len(rows)
        placed = np.array([row.state is State.PLACED for row in rows], np.bool_)
        waits = np.array([row.state is not State.PLACED and not is_left_out(row) for row in rows], np.bool_)
        for plane, chosen in ((self._present, numbers[placed]), (self._waiting, numbers[waits])):
            np.bitwise_or.at(plane, chosen >> 3, (1 << (chosen & 7)).astype(np.uint8))
        crcs = [row.crc32c for row in rows if row.state is State.PLACED]
        if self._crcs is not None:
            if None in crcs:
                self._crcs = None
            else:
                self._crcs[numbers[placed]] = np.array(crcs, np.uint32)

    def states(self, missing: ChunkState) -> Iterator[States]:
        """States in blocks; `missing` of those that no row told of."""
        for start in range(0, self.count, BLOCK):
            size, part = min(BLOCK, self.count - start), slice(start // 8, (start + BLOCK) // 8)
            present, waiting = (
                np.unpackbits(plane[part], bitorder="little")[:size] for plane in (self._present, self._waiting)
            )
            states = np.full(size, missing, np.uint8)
            states[waiting > 0] = ChunkState.NOT_DOWNLOADED
            states[present > 0] = ChunkState.PRESENT
            yield states

    @property
    def crc32c(self) -> Crcs | None:
        """Checksums, 0 where there is nothing; None where they are not known of all, or there are too many."""
        return self._crcs if self.rows else None


class Rows:
    """Sorts rows of the ledger by the array that they are an object of; :meth:`flush` after the last of them.

    Parameters
    ----------
    arrays : mapping of str to TreeArray
        By the folder of their objects.
    other : callable
        Gets rows that are no object of a grid.

    Attributes
    ----------
    objects : dict of str to ListedObjects
        By folder, of grids.
    waiting : dict of str to (set of str)
        By folder: objects of other arrays that are to be fetched yet.
    """

    def __init__(self, arrays: Mapping[str, TreeArray], other: Callable[[Row], None]) -> None:
        self._arrays = arrays
        self._other = other
        self._last: tuple[str, TreeArray] | None = None
        self._held: list[Row] = []
        self._holder: tuple[str, TreeArray] | None = None
        self.objects: dict[str, ListedObjects] = {}
        self.waiting: dict[str, set[str]] = {}

    def take(self, row: Row) -> None:
        """Note one row; they come by set and key, so that most neighbours are of one array."""
        found = self._find(row.destination)
        if found is None:
            self._other(row)
        elif found[1].grid is None:
            if row.state is not State.PLACED and not is_left_out(row):
                self.waiting.setdefault(found[0], set()).add(row.destination)
            self._other(row)
        else:
            if found != self._holder or len(self._held) >= ROWS_HELD:
                self.flush()
                self._holder = found
            self._held.append(row)

    def flush(self) -> None:
        """Note the rows that are held back to be looked at together."""
        if self._holder is None or (grid := self._holder[1].grid) is None:
            return
        place, array = self._holder
        numbers = numbers_at(grid, [row.destination[len(array.folder) + 1 :] for row in self._held])
        chunks = numbers != NO_CHUNK
        objects = self.objects.get(place)
        if objects is None:
            objects = self.objects[place] = ListedObjects(len(grid))
        objects.put(numbers[chunks], [self._held[row] for row in np.flatnonzero(chunks).tolist()])
        for row in np.flatnonzero(~chunks).tolist():
            self._other(self._held[row])
        self._held = []

    def _find(self, destination: str) -> tuple[str, TreeArray] | None:
        if self._last is not None and destination.startswith(f"{self._last[0]}/"):
            return self._last
        folder = destination.rpartition("/")[0]
        while folder:
            if (array := self._arrays.get(folder)) is not None:
                self._last = folder, array
                return self._last
            folder = folder.rpartition("/")[0]
        return None
