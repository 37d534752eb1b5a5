"""Batches of small objects as plain rows: what `record` says of one object holds for each of them."""

from __future__ import annotations

import pytest

from emasync.errors import MachineError
from emasync.ledger.batch import SealedRow
from emasync.ledger.store import SqliteLedger
from emasync.model.digest import Digest, Validator
from emasync.model.task import ObjectEntry, State, TaskSetSpec

SPEC = TaskSetSpec(dataset="d", base="s3://bucket/pre", destination="d")


def planned(ledger: SqliteLedger, *keys: str) -> int:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(SPEC)
    ledger.add_entries(set_id, [ObjectEntry(key=key, size_bytes=10) for key in keys])
    ledger.finish_plan("d")
    return set_id


def test_a_batch_is_sealed_then_placed(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, "a", "b", "c")
    answer, sha = Validator(etag='"e"'), Digest("sha256", "ab")
    batch = ledger.seal_rows(
        [SealedRow(set_id, "a", 12, 7, "published", answer, (sha,)), SealedRow(set_id, "b", 10, 8)], 3
    )
    rows = list(ledger.rows(state=State.SEALED))
    assert [(row.key, row.size_bytes, row.crc32c, row.epoch) for row in rows] == [("a", 12, 7, 3), ("b", 10, 8, 3)]
    assert (rows[0].verified, rows[0].validator, rows[0].computed) == ("published", answer, (sha,))
    assert ledger.tallies()[0].bytes[State.SEALED] == 22
    ledger.place_rows(batch)
    assert [row.key for row in ledger.rows(state=State.PLACED)] == ["a", "b"]
    assert [row.key for row in ledger.rows(after_epoch=2)] == ["a", "b"]
    tally = ledger.tallies()[0]
    assert (tally.objects[State.PLACED], tally.published, tally.computed) == (2, 1, 1)


def test_what_could_not_be_renamed_is_pending_in_the_next_generation(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, "a", "b")
    batch = ledger.seal_rows([SealedRow(set_id, "a", 10, 7), SealedRow(set_id, "b", 10, 8)], 1)
    ledger.place_rows(batch, refused=[(set_id, "a")])
    assert {row.key: (row.state, row.generation) for row in ledger.rows()} == {
        "a": (State.PENDING, 1),
        "b": (State.PLACED, 0),
    }


def test_a_batch_that_cannot_follow_leaves_nothing(ledger: SqliteLedger) -> None:
    set_id = planned(ledger, "a", "b")
    with pytest.raises(MachineError, match="sealed in generation 1"):
        ledger.seal_rows([SealedRow(set_id, "a", 10, 7), SealedRow(set_id, "b", 10, 7, generation=1)], 1)
    assert ledger.tallies()[0].objects[State.PENDING] == 2
