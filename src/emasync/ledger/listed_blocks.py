"""Members of listed sets for whoever reads millions: pages as columns, the others row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from emasync.ledger.interface import MemberBlock, Row
from emasync.ledger.listed import object_row, rows_page
from emasync.ledger.pages import Page, page_columns, standings_of
from emasync.ledger.tasksets import TaskSet
from emasync.ledger.walking import Shelf, walk_sets

PAGES: Final = 64
"""Read together, 16,384 objects: some MB of memory."""

ROWS: Final = 1_000

_PAGES: Final = (
    "SELECT set_id, first, last, plan, pending FROM pages WHERE set_id = ? AND first > ? ORDER BY first LIMIT ?"
)


def listed_blocks(shelf: Shelf, dataset: str) -> Iterator[MemberBlock | Row]:
    """Members of the listed sets of a dataset, set by set: those of pages in key order, then the others."""
    for task_set in walk_sets(shelf, dataset):
        if task_set.spec.grid is None:
            yield from _of_pages(shelf, task_set)
            yield from _of_rows(shelf, task_set)


def _of_pages(shelf: Shelf, task_set: TaskSet) -> Iterator[MemberBlock | Row]:
    behind = b""
    while True:
        shelf.settle()
        pages = list(map(Page._make, shelf.connection.execute(_PAGES, (task_set.set_id, behind, PAGES))))
        columns: list[tuple[bytes, bytes, bytes, bytes]] = []
        for page in pages:
            if page.plan == task_set.plan:
                found = page_columns(shelf.connection, page)
                if found is not None:
                    columns.append(found)
                else:
                    rows = standings_of(shelf.connection, page)
                    yield from (object_row(task_set, key, standing) for key, standing in rows)
        if columns:
            yield _block(task_set, columns)
        if len(pages) < PAGES:
            return
        behind = pages[-1].last


def _block(task_set: TaskSet, pages: Sequence[tuple[bytes, bytes, bytes, bytes]]) -> MemberBlock:
    """Pages as one block: what is done a block is done less often."""
    import numpy as np  # noqa: PLC0415  # when it is needed

    names, lengths, states, crcs = map(b"".join, zip(*pages, strict=True))
    return MemberBlock(
        spec=task_set.spec,
        names=names,
        lengths=np.frombuffer(lengths, "<i4"),
        states=np.frombuffer(states, np.uint8),
        crc32c=np.frombuffer(crcs, "<u4"),
    )


def _of_rows(shelf: Shelf, task_set: TaskSet) -> Iterator[Row]:
    behind: bytes | None = None
    while True:
        shelf.settle()
        rows = rows_page(shelf.connection, task_set, behind, ROWS)
        yield from (object_row(task_set, key, standing) for key, standing in rows)
        if len(rows) < ROWS:
            return
        behind = rows[-1][0]
