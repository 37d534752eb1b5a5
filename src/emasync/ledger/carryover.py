"""A gridded set whose box changed: chunks on disk pass from the sets of older plans to the new one.

Two grids write into the same files when they share folder, names and separator. A chunk that both call by one name
is the same object if it has the same coordinates at the same source (a box that grew or shrank): its state moves
over. Otherwise (a crop stored from zero that begins elsewhere now) the file is a leftover. Either way the older set
no longer stands for it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.ledger.blocks import Block, on_disk
from emasync.ledger.counts import BY_CHECK, BYTES, UNKNOWN_SIZE, Deltas
from emasync.ledger.counts import ON_DISK as COUNT_ON_DISK
from emasync.ledger.desk import Desk
from emasync.ledger.gridded import failed_chunks, read_block, write_block
from emasync.ledger.standing import PENDING, PLACED, SEALED
from emasync.ledger.tasksets import BLOCK, SELECT_SET, TaskSet, unpack_set
from emasync.model.grid import ChunkGrid
from emasync.model.packing import pack_name

Numbers = npt.NDArray[np.int64]

_NONE: Final = -1


def inherit(desk: Desk, new: TaskSet) -> bool:
    """Take over what older sets of the dataset placed where `new` writes; whether files were left over.

    Reads and writes as many blocks as hold such chunks, one at a time.
    """
    left_over = False
    for old in _predecessors(desk.connection, new):
        for number in _used_blocks(desk.connection, old):
            left_over |= _Handover(desk, old, new, number).run()
    return left_over


def _predecessors(connection: sqlite3.Connection, new: TaskSet) -> list[TaskSet]:
    rows = connection.execute(
        f"{SELECT_SET} WHERE s.dataset_id = ? AND s.grid IS NOT NULL AND s.plan < ? AND s.destination = ?",
        (new.dataset_id, new.plan, pack_name(new.spec.destination)),
    ).fetchall()
    found = map(unpack_set, rows)
    return [old for old in found if old.set_id != new.set_id and _same_names(old.grid, new.grid)]


def _same_names(old: ChunkGrid, new: ChunkGrid) -> bool:
    return old.naming == new.naming


def _used_blocks(connection: sqlite3.Connection, task_set: TaskSet) -> list[int]:
    """Blocks with anything on disk: one number for 4,096 chunks."""
    rows = connection.execute("SELECT block FROM block_facts WHERE set_id = ? ORDER BY block", (task_set.set_id,))
    return [number for (number,) in rows]


@dataclass(slots=True)
class _Handover:
    """One block of the older set."""

    desk: Desk
    old: TaskSet
    new: TaskSet
    number: int

    def run(self) -> bool:
        """Pass its chunks on; whether files were left over."""
        block = read_block(self.desk.connection, self.old, self.number)
        positions: Numbers = np.flatnonzero(on_disk(block.states)).astype(np.int64)
        targets, same = _targets(self.old, self.new, positions + self.number * BLOCK)
        taken = targets != _NONE
        taken[taken] = self._free(targets[taken])
        moved = taken & same & (block.states[positions] == PLACED)
        self._leave(block, positions[taken & ~moved])
        self._move(block, positions[moved], targets[moved])
        self._clear(block, positions[taken])
        return bool((taken & ~moved).any())

    def _free(self, targets: Numbers) -> npt.NDArray[np.bool_]:
        """Which chunks of the new set nothing is known of; a set that is named again may know some."""
        free = np.zeros(len(targets), dtype=bool)
        for number in np.unique(targets // BLOCK).tolist():
            chosen = targets // BLOCK == number
            states = read_block(self.desk.connection, self.new, number).states
            failed = failed_chunks(self.desk.connection, self.new.set_id, number)
            free[chosen] = (states[targets[chosen] % BLOCK] == PENDING) & ~np.isin(targets[chosen], list(failed))
        return free

    def _leave(self, block: Block, positions: Numbers) -> None:
        for position in positions.tolist():
            size, crc, _ = block.facts[position].tolist()
            destination = self.old.destination(self.number * BLOCK + position)
            self.desk.leftovers.note(destination, size, crc)

    def _move(self, block: Block, positions: Numbers, targets: Numbers) -> None:
        deltas = Deltas()
        for number in np.unique(targets // BLOCK).tolist():
            chosen = targets // BLOCK == number
            into = read_block(self.desk.connection, self.new, number)
            into.states[targets[chosen] % BLOCK] = PLACED
            into.facts[targets[chosen] % BLOCK] = block.facts[positions[chosen]]
            write_block(self.desk.connection, self.new, number, into)
        _count(deltas, self.new, 1, block, positions)
        deltas.write(self.desk.connection)
        chunks = positions + self.number * BLOCK
        self.desk.connection.executemany(
            "UPDATE OR REPLACE chunks SET set_id = ?, chunk = ?, generation = 0 WHERE set_id = ? AND chunk = ?",
            [
                (self.new.set_id, target, self.old.set_id, chunk)
                for target, chunk in zip(targets.tolist(), chunks.tolist(), strict=True)
            ],
        )

    def _clear(self, block: Block, positions: Numbers) -> None:
        deltas = Deltas()
        _count(deltas, self.old, -1, block, positions)
        deltas.write(self.desk.connection)
        chunks = (positions + self.number * BLOCK).tolist()
        named = [(self.old.set_id, chunk) for chunk in chunks]
        self.desk.connection.executemany("DELETE FROM fresh WHERE set_id = ? AND key = ?", named)
        self.desk.connection.executemany("DELETE FROM chunks WHERE set_id = ? AND chunk = ?", named)
        block.states[positions] = PENDING
        write_block(self.desk.connection, self.old, self.number, block)


def _count(deltas: Deltas, task_set: TaskSet, sign: int, block: Block, positions: Numbers) -> None:
    """Chunks that become pending (-1) or stop being it (1)."""
    delta = deltas.of(task_set.set_id)
    states, facts = block.states[positions], block.facts[positions]
    delta[PENDING] -= sign * len(positions)
    delta[UNKNOWN_SIZE] -= sign * len(positions)
    delta[COUNT_ON_DISK] += sign * len(positions)
    for state in (SEALED, PLACED):
        delta[state] += sign * int((states == state).sum())
        delta[BYTES + state] += sign * int(facts["size"][states == state].sum(dtype=np.int64))
    for check, column in BY_CHECK.items():
        delta[column] += sign * int(((facts["verified"] == check) & (states == PLACED)).sum())


def _targets(old: TaskSet, new: TaskSet, chunks: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Chunk of `new` that has each one's name (-1 for none), and whether it is the same object."""
    number, same = np.zeros(len(chunks), dtype=np.int64), np.full(len(chunks), old.spec.base == new.spec.base)
    inside, rest, weight = np.ones(len(chunks), dtype=bool), chunks, 1
    for axis in reversed(range(len(old.grid.shape))):
        rest, inner = np.divmod(rest, old.grid.shape[axis])
        name = inner + (0 if old.grid.rebase else old.grid.start[axis])
        target = name - (0 if new.grid.rebase else new.grid.start[axis])
        inside &= (target >= 0) & (target < new.grid.shape[axis])
        same &= inner + old.grid.start[axis] == target + new.grid.start[axis]
        number += target * weight
        weight *= new.grid.shape[axis]
    return np.where(inside, number, _NONE), same
