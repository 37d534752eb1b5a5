"""Members of listed sets, sorted by the array that they are an object of: two bits each, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.hooks.index.chunk_names import NO_CHUNK, Names, numbers_at
from emasync.hooks.index.trees import TreeArray
from emasync.ledger.interface import MemberBlock, Row
from emasync.model.grid import ChunkGrid
from emasync.model.task import State
from emasync.volume.interface import Numbers
from emasync.volume.states import BLOCK, ChunkState, States

MAX_CRCS: Final = 1 << 22
"""Chunks of an array of which checksums are kept, 16 MiB; larger grids have none."""

ROWS_HELD: Final = 1 << 16
"""Rows of one array that are looked at together."""

Crcs = npt.NDArray[np.uint32]
Chosen = npt.NDArray[np.bool_]


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

    def put(self, numbers: Numbers, placed: Chosen, waits: Chosen, crcs: Crcs | None) -> None:
        """Take what is told of the objects of these numbers.

        Parameters
        ----------
        numbers : ndarray of int64
        placed, waits : ndarray of bool
            Which are here, and which are to be fetched yet.
        crcs : ndarray of uint32 or None
            Of those that are here; None where one has none.
        """
        self.rows += len(numbers)
        for plane, chosen in ((self._present, numbers[placed]), (self._waiting, numbers[waits])):
            np.bitwise_or.at(plane, chosen >> 3, (1 << (chosen & 7)).astype(np.uint8))
        if crcs is None:
            self._crcs = None
        elif self._crcs is not None:
            self._crcs[numbers[placed]] = crcs

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


class Members:
    """Sorts members of listed sets by the array that they are an object of; :meth:`flush` after the last of them.

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
        self._around = _around_others(arrays)
        self._other = other
        self._last: tuple[str, TreeArray] | None = None
        self._held: list[Row] = []
        self._holder: tuple[str, TreeArray] | None = None
        self.objects: dict[str, ListedObjects] = {}
        self.waiting: dict[str, set[str]] = {}

    def take(self, members: MemberBlock | Row) -> None:
        """Note some; they come by set and key mostly, so that most neighbours are of one array."""
        if isinstance(members, Row):
            self._take_row(members)
        else:
            self._take_block(members)

    # --- as columns ----------------------------------------------------------------------------------------------

    def _take_block(self, block: MemberBlock) -> None:
        names, at = Names(block.names, block.lengths.astype(np.int64)), 0
        lead = f"{block.spec.destination}/" if block.spec.destination else ""
        starts = names.starts
        while at < len(starts):
            found = self._find(lead + names.one(int(starts[at]), int(names.lengths[at])))
            grid = None if found is None else _grid_below(found[1], lead)
            if found is None or grid is None or found[0] in self._around:
                self._take_row(_row_of(block, at, lead + names.one(int(starts[at]), int(names.lengths[at]))))
                at += 1
            else:
                place = f"{found[0]}/".removeprefix(lead).encode("utf-8", "surrogatepass")
                others = np.flatnonzero(~names.begin_with(place)[at:])
                end = at + int(others[0]) if len(others) else len(starts)
                self._take_part(found, grid, block, slice(at, end), names.part(at, end))
                at = end

    def _take_part(
        self, found: tuple[str, TreeArray], grid: ChunkGrid, block: MemberBlock, part: slice, names: Names
    ) -> None:
        """Neighbours that lie in the folder of one array."""
        numbers, states, crcs = numbers_at(grid, names), block.states[part], block.crc32c[part]
        chunks = numbers != NO_CHUNK
        placed = states[chunks] == State.PLACED
        self._objects_of(found[0], grid).put(numbers[chunks], placed, ~placed, crcs[chunks][placed])
        lead, starts = f"{block.spec.destination}/" if block.spec.destination else "", names.starts
        for row in np.flatnonzero(~chunks).tolist():
            name = names.one(int(starts[row]), int(names.lengths[row]))
            self._other(_row_of(block, part.start + row, lead + name))

    def _objects_of(self, place: str, grid: ChunkGrid) -> ListedObjects:
        objects = self.objects.get(place)
        if objects is None:
            objects = self.objects[place] = ListedObjects(len(grid))
        return objects

    # --- row by row ----------------------------------------------------------------------------------------------

    def _take_row(self, row: Row) -> None:
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
        numbers = numbers_at(grid, Names.of([row.destination[len(array.folder) + 1 :] for row in self._held]))
        chunks = numbers != NO_CHUNK
        rows = [self._held[row] for row in np.flatnonzero(chunks).tolist()]
        placed = np.array([row.state is State.PLACED for row in rows], np.bool_)
        waits = np.array([row.state is not State.PLACED and not is_left_out(row) for row in rows], np.bool_)
        crcs = [row.crc32c for row in rows if row.state is State.PLACED]
        known = None if None in crcs else np.array(crcs, np.uint32)
        self._objects_of(place, grid).put(numbers[chunks], placed, waits, known)
        for row in np.flatnonzero(~chunks).tolist():
            self._other(self._held[row])
        self._held = []

    def _find(self, destination: str) -> tuple[str, TreeArray] | None:
        last = self._last
        if last is not None and last[0] not in self._around and destination.startswith(f"{last[0]}/"):
            return last
        folder = destination.rpartition("/")[0]
        while folder:
            if (array := self._arrays.get(folder)) is not None:
                self._last = folder, array
                return self._last
            folder = folder.rpartition("/")[0]
        return None


def _around_others(arrays: Mapping[str, TreeArray]) -> frozenset[str]:
    """Folders of arrays that have those of others in them."""
    return frozenset(place for one in arrays for place in _above(one) if place in arrays)


def _above(folder: str) -> Iterator[str]:
    while folder := folder.rpartition("/")[0]:
        yield folder


def _grid_below(array: TreeArray, lead: str) -> ChunkGrid | None:
    """The grid of an array, with names that follow `lead`; None where they do not, or it has none."""
    if array.grid is None:
        return None
    prefix = f"{array.folder}/{array.grid.prefix}"
    return replace(array.grid, prefix=prefix[len(lead) :]) if prefix.startswith(lead) else None


def _row_of(block: MemberBlock, at: int, destination: str) -> Row:
    """One member of a block: nothing unusual happened to it."""
    state = State(int(block.states[at]))
    crc32c = None if state is State.PENDING else int(block.crc32c[at])
    return Row(block.spec, 0, destination, destination, state, None, crc32c, "", None, None, None, 0, 0)
