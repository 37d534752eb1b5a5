"""What became of the objects of arrays, as the ledger remembers: no folder of chunks is listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emasync.hooks.index.listed_objects import Crcs
from emasync.hooks.index.trees import TreeArray
from emasync.hooks.interface import DatasetFacts
from emasync.ledger.interface import ChunkBlock, Ledger, PlannedSet
from emasync.model.globs import Selection
from emasync.model.task import State
from emasync.volume.states import BLOCK, ChunkState, States

MAX_ASKED: Final = 1 << 20
"""Chunks that are not there whose names are held against the globs of the manifest; beyond, none of them is absent."""

_OF_LEDGER: Final = np.zeros(len(State), np.uint8)
_OF_LEDGER[:] = ChunkState.NOT_DOWNLOADED
_OF_LEDGER[State.PLACED] = ChunkState.PRESENT
_OF_LEDGER[State.ABSENT] = ChunkState.ABSENT


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
