"""What the chunk index asks of the ledger: the sets of a dataset, and states of whole grids without a row a chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emasync.ledger.gridded import read_block
from emasync.ledger.interface import ChunkBlock, PlannedSet, Row
from emasync.ledger.plans import set_finished
from emasync.ledger.tasksets import BLOCK
from emasync.ledger.walking import Shelf, walk_listed, walk_sets

_COUNTS: Final = "SELECT placed, absent, placed_bytes FROM set_counts WHERE id = ?"


def planned_sets(shelf: Shelf, dataset: str) -> list[PlannedSet]:
    """Task sets of the present plan of a dataset, in the order they were named first."""
    shelf.settle()
    found = []
    for task_set in walk_sets(shelf, dataset):
        gridded = task_set.spec.grid is not None
        finished = gridded or set_finished(shelf.connection, task_set.set_id)
        placed, absent, placed_bytes = shelf.connection.execute(_COUNTS, (task_set.set_id,)).fetchone() or (0, 0, 0)
        found.append(
            PlannedSet(
                set_id=task_set.set_id,
                spec=task_set.spec,
                finished=finished,
                placed=placed,
                absent=absent,
                placed_bytes=placed_bytes,
            )
        )
    return found


def listed_rows(shelf: Shelf, dataset: str) -> Iterator[Row]:
    """Members of the listed sets of a dataset, in (set, key) order, in pages."""
    for task_set in walk_sets(shelf, dataset):
        if task_set.spec.grid is None:
            yield from walk_listed(shelf, task_set, None)


def chunk_blocks(shelf: Shelf, set_id: int) -> Iterator[ChunkBlock]:
    """All blocks of a gridded set, in order: 216 million chunks are 52,735 of them."""
    shelf.settle()
    task_set = shelf.sets.get(set_id)
    for number in range(-(-len(task_set.grid) // BLOCK)):
        block = read_block(shelf.connection, task_set, number)
        yield ChunkBlock(block.states, block.facts["crc"])
