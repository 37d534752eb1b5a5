"""Ledgers with something in them."""

from __future__ import annotations

from emasync.errors import ErrorKind
from emasync.ledger.interface import Fact, Failed, Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.task import ObjectEntry, TaskSetSpec


def plan(ledger: SqliteLedger, dataset: str, count: int, *, finished: bool = True) -> int:
    """Name objects ``0000`` and so on of ten bytes each; gives their set."""
    ledger.begin_plan(dataset, f"digest of {dataset}")
    set_id = ledger.add_set(TaskSetSpec(dataset=dataset, base=f"s3://bucket/{dataset}", destination=dataset))
    ledger.add_entries(set_id, [ObjectEntry(key=f"{number:04d}", size_bytes=10) for number in range(count)])
    ledger.finish_set(set_id)
    if finished:
        ledger.finish_plan(dataset)
    return set_id


def place(ledger: SqliteLedger, set_id: int, *numbers: int, verified: str = "computed") -> None:
    facts: list[Fact] = []
    for number in numbers:
        key = f"{number:04d}"
        facts += [
            Sealed(set_id=set_id, key=key, size_bytes=10, crc32c=1, verified=verified),
            Placed(set_id=set_id, key=key),
        ]
    ledger.record(facts)


def fail(ledger: SqliteLedger, set_id: int, *numbers: int) -> None:
    ledger.record(
        [
            Failed(
                set_id=set_id,
                key=f"{number:04d}",
                location=f"s3://bucket/a/{number:04d}",
                kind=ErrorKind.NOT_FOUND,
                message="not there",
                attempts=1,
            )
            for number in numbers
        ]
    )
