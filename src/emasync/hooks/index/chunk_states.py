"""What became of the objects of arrays, as the ledger remembers: no folder of chunks is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.hooks.index.chunk_names import NO_CHUNK, numbers_at
from emasync.hooks.index.trees import TreeArray
from emasync.hooks.interface import DatasetFacts
from emasync.ledger.interface import ChunkBlock, Ledger, PlannedSet, Row
from emasync.model.globs import Selection
from emasync.model.task import State
from emasync.volume.interface import Numbers
from emasync.volume.states import BLOCK, ChunkState, States

MAX_CRCS: Final = 1 << 22
"""Chunks of an array of which checksums are kept, 16 MiB; larger grids have none."""

ROWS_HELD: Final = 1 << 16
"""Rows of one array that are looked at together."""

MAX_ASKED: Final = 1 << 20
"""Chunks that are not there whose names are held against the globs of the manifest; beyond, none of them is absent."""

_OF_LEDGER: Final = np.zeros(len(State), np.uint8)
_OF_LEDGER[:] = ChunkState.NOT_DOWNLOADED
_OF_LEDGER[State.PLACED] = ChunkState.PRESENT
_OF_LEDGER[State.ABSENT] = ChunkState.ABSENT

Crcs = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """What the ledger knows of a dataset.

    Attributes
    ----------
    known : bool
        False where it knows nothing: ``.emasync`` was deleted.
    complete : bool
        Whether a plan that names the bulk came to its end.
    sets : sequence of PlannedSet
    """

    known: bool
    complete: bool
    sets: Sequence[PlannedSet]

    @classmethod
    def of(cls, ledger: Ledger, dataset: str) -> LedgerView:
        """Ask it."""
        tally = next((tally for tally in ledger.tallies() if tally.dataset == dataset), None)
        facts = ledger.plan_facts(dataset)
        if tally is None or facts is None:
            return cls(known=False, complete=False, sets=())
        sets = ledger.planned_sets(dataset)
        return cls(known=True, complete=facts.complete and not tally.metadata_only, sets=sets)

    def grid_of(self, array: TreeArray) -> PlannedSet | None:
        """The set whose chunks are the array's, one for one."""
        for planned in self.sets:
            grid = planned.spec.grid
            if grid is None or array.grid is None or planned.spec.destination != array.place:
                continue
            if grid.shape == array.grid.shape:
                return planned
        return None

    def says_all(self, array: TreeArray, *, chosen: bool) -> bool:
        """Whether an object that no set names is one that the publisher left out.

        Parameters
        ----------
        array : TreeArray
        chosen : bool
            Whether arrays were chosen among those of the tree: each has a set of its own then, or is not wanted.
        """
        if not self.complete:
            return False
        if not chosen:
            return True
        return any(
            planned.finished and f"{planned.spec.destination}/{planned.spec.asset}" == f"{array.folder}/{array.path}"
            for planned in self.sets
            if planned.spec.grid is None
        )


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


def grid_states(blocks: Iterator[ChunkBlock], crcs: Crcs | None, *, accepted: bool) -> Iterator[States]:
    """States of a grid, out of the ledger's; checksums of what is there are put into `crcs`.

    Parameters
    ----------
    blocks : iterator of ChunkBlock
    crcs : ndarray of uint32 or None
    accepted : bool
        Whether the manifest accepts that chunks are missing: then a missing one is no statement of the publisher.
    """
    start, absent = 0, ChunkState.NOT_DOWNLOADED if accepted else ChunkState.ABSENT
    for block in blocks:
        states = _OF_LEDGER[block.states]
        states[states == ChunkState.ABSENT] = absent
        if crcs is not None:
            crcs[start : start + len(states)] = np.where(states == ChunkState.PRESENT, block.crc32c, 0)
        start += len(states)
        yield states


def left_out(facts: DatasetFacts, array: TreeArray, states: Iterator[States]) -> Iterator[States]:
    """States, absent chunks that the globs of the manifest leave out being chunks that are not downloaded."""
    selection = Selection(tuple(facts.include), tuple(facts.exclude))
    asked = 0
    for number, block in enumerate(states):
        absent = np.flatnonzero(block == ChunkState.ABSENT)
        asked += len(absent)
        if asked > MAX_ASKED:
            block[absent] = ChunkState.UNKNOWN
        else:
            for position in absent.tolist():
                if not selection.wants(_path(facts, array, number * BLOCK + position)):
                    block[position] = ChunkState.NOT_DOWNLOADED
        yield block


def _path(facts: DatasetFacts, array: TreeArray, number: int) -> str:
    """Of an object, below the dataset."""
    name = "" if array.grid is None else array.grid.destination(number)
    return f"{array.folder}/{name}".removeprefix(f"{facts.folder}/")
