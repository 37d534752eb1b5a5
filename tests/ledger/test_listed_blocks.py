"""Members of listed sets as columns are those that come row by row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tests.ledger.test_pages import counted, entry, land, named, planned

from emasync.errors import ErrorKind
from emasync.ledger.interface import Failed, MemberBlock, Row
from emasync.ledger.pages import OBJECTS
from emasync.ledger.store import SqliteLedger
from emasync.model.task import ObjectEntry, State, TaskSetSpec

Told = tuple[str, State, int | None]


def told(members: MemberBlock | Row) -> Iterator[Told]:
    """Destination, state and CRC of each."""
    if isinstance(members, Row):
        yield members.destination, members.state, members.crc32c
        return
    at = 0
    for length, state, crc in zip(members.lengths, members.states, members.crc32c, strict=True):
        name = members.names[at : at + length].decode()
        yield f"{members.spec.destination}/{name}", State(int(state)), None if state == State.PENDING else int(crc)
        at += length
    assert at == len(members.names)


def compared(ledger: SqliteLedger) -> list[MemberBlock | Row]:
    """All members, once they were found to be what rows say."""
    found = list(ledger.listed_blocks("d"))
    rows = [(row.destination, row.state, row.crc32c) for row in ledger.listed_rows("d")]
    assert sorted(one for members in found for one in told(members)) == sorted(rows)
    assert len(rows) == len(set(rows)) > 0
    return found


def plain(*parts: range) -> list[list[ObjectEntry]]:
    return [[ObjectEntry(f"s0/{number:05}", number) for number in part] for part in parts]


def test_pages_come_as_columns_and_others_as_rows(ledger: SqliteLedger) -> None:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(TaskSetSpec(dataset="d", base="s3://b", destination="d"))
    for part in plain(range(3 * OBJECTS), range(2_000, 2_010), range(3_000, 3_000 + OBJECTS)):
        ledger.add_entries(set_id, part)
    ledger.add_entries(set_id, named("shard", range(4_000, 4_000 + OBJECTS)))
    ledger.finish_plan("d")
    land(ledger, set_id, OBJECTS + 10)
    failed = Failed(set_id=set_id, key="s0/03001", location="", kind=ErrorKind.NOT_FOUND, message="", attempts=1)
    ledger.record([failed])

    found = compared(ledger)

    blocks = [members for members in found if isinstance(members, MemberBlock)]
    assert sum(len(block.lengths) for block in blocks) == 4 * OBJECTS
    assert len(found) - len(blocks) == 10 + OBJECTS
    assert {int(state) for block in blocks for state in np.unique(block.states)} == {State.PENDING, State.PLACED}


def test_of_pages_in_which_some_are_called_otherwise(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, range(2 * OBJECTS))
    land(ledger, set_id, 100)
    assert entry(5).path is not None
    assert entry(6).path is None
    assert not any(isinstance(members, MemberBlock) for members in compared(ledger))


def test_of_more_pages_than_are_read_together(ledger: SqliteLedger) -> None:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(TaskSetSpec(dataset="d", base="s3://b", destination="d"))
    for part in plain(*(range(at, at + 1_024) for at in range(0, 70 * OBJECTS, 1_024))):
        ledger.add_entries(set_id, part)
    ledger.finish_plan("d")
    land(ledger, set_id, 3)
    assert counted(ledger, "objects") == 0
    assert len(compared(ledger)) > 1


def test_what_a_newer_plan_does_not_name_is_left_out(ledger: SqliteLedger) -> None:
    planned(ledger, range(2 * OBJECTS))
    planned(ledger, range(OBJECTS, 2 * OBJECTS), digest="2")
    rows = {row.destination for row in ledger.listed_rows("d")}
    assert {one[0] for members in compared(ledger) for one in told(members)} == rows
    assert len(rows) == OBJECTS
