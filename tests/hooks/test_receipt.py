"""Receipts: the root's state, this run's totals, and what older runs said of other datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.hooks.desk import fail, place, plan

from emasync.errors import EmasyncError, ErrorKind, InterruptedRunError, MachineError
from emasync.hooks.receipt import RunFacts, build_receipt
from emasync.ledger.interface import Absent
from emasync.ledger.store import SqliteLedger
from emasync.model.receipt import MAX_NAMED_FAILURES, Failure, Receipt, Totals

FACTS = RunFacts(
    manifest="d1",
    wanted=("a",),
    started_s=1_750_000_000.0,
    finished_s=1_750_000_012.5,
    totals=Totals(bytes_fetched=10, requests=3, retries=1),
)


def test_a_complete_dataset(ledger: SqliteLedger) -> None:
    set_id = plan(ledger, "a", 3)
    place(ledger, set_id, 0, verified="published")
    place(ledger, set_id, 1)
    place(ledger, set_id, 2, verified="size_only")
    receipt = build_receipt(ledger, replace(FACTS, placed_bytes=10), None)
    assert receipt.ok
    (dataset,) = receipt.datasets
    assert (dataset.status, dataset.objects, dataset.bytes) == ("complete", 3, 30)
    assert (dataset.verified.published, dataset.verified.computed, dataset.verified.size_only) == (1, 1, 1)
    assert receipt.totals == Totals(objects=3, bytes_fetched=10, bytes_reused=20, requests=3, retries=1, wall_s=12.5)
    assert (receipt.started, receipt.finished) == ("2025-06-15T15:06:40.000Z", "2025-06-15T15:06:52.500Z")
    assert receipt.tool.startswith("emasync ")
    assert (receipt.stopped, receipt.mirrors) == (None, None)


def test_failures_are_named_up_to_a_limit_and_counted_beyond(ledger: SqliteLedger) -> None:
    set_id = plan(ledger, "a", MAX_NAMED_FAILURES + 6)
    place(ledger, set_id, MAX_NAMED_FAILURES + 5)
    fail(ledger, set_id, *range(MAX_NAMED_FAILURES + 5))
    (dataset,) = build_receipt(ledger, FACTS, None).datasets
    assert dataset.status == "partial"
    assert (len(dataset.failures), dataset.failed) == (MAX_NAMED_FAILURES, MAX_NAMED_FAILURES + 5)
    assert dataset.failures[0].location == "s3://bucket/a/0000"


def test_nothing_on_disk_is_a_failure(ledger: SqliteLedger) -> None:
    fail(ledger, plan(ledger, "a", 2), 0, 1)
    receipt = build_receipt(ledger, FACTS, None)
    assert (receipt.datasets[0].status, receipt.exit_code) == ("failed", 1)


def test_what_is_absent_or_pending_or_half_planned(ledger: SqliteLedger) -> None:
    absent = plan(ledger, "a", 2)
    place(ledger, absent, 0)
    ledger.record([Absent(set_id=absent, key="0001")])
    place(ledger, plan(ledger, "pending", 2), 0)
    place(ledger, plan(ledger, "half", 1, finished=False), 0)
    found = {item.id: item for item in build_receipt(ledger, FACTS, None).datasets}
    assert (found["a"].status, found["a"].absent) == ("complete", 1)
    assert found["pending"].status == "partial"
    assert found["half"].status == "partial"


def test_only_datasets_of_this_run_decide(ledger: SqliteLedger) -> None:
    place(ledger, plan(ledger, "a", 1), 0)
    plan(ledger, "b", 1)
    assert build_receipt(ledger, FACTS, None).exit_code == 0
    assert build_receipt(ledger, replace(FACTS, wanted=("a", "b")), None).exit_code == 1


def test_a_dataset_that_was_never_planned_failed(ledger: SqliteLedger) -> None:
    receipt = build_receipt(ledger, FACTS, None)
    assert [(item.id, item.status) for item in receipt.datasets] == [("a", "failed")]
    assert receipt.exit_code == 1


def test_a_lost_origin_comes_first(ledger: SqliteLedger) -> None:
    set_id = plan(ledger, "a", 2)
    place(ledger, set_id, 0)
    lost = Failure(location="https://h", kind=ErrorKind.UNREACHABLE, message="nobody answers", attempts=1)
    (dataset,) = build_receipt(ledger, replace(FACTS, unreachable={"a": lost}), None).datasets
    assert (dataset.status, dataset.failed, dataset.failures) == ("partial", 1, (lost,))


@pytest.mark.parametrize(
    ("stopped", "code"),
    [
        (MachineError("full", kind=ErrorKind.DISK_FULL), 4),
        (InterruptedRunError("stopped"), 3),
        (EmasyncError("other"), 4),
    ],
)
def test_a_stop_wins_over_failures(stopped: EmasyncError, code: int, ledger: SqliteLedger) -> None:
    fail(ledger, plan(ledger, "a", 1), 0)
    receipt = build_receipt(ledger, replace(FACTS, stopped=stopped), None)
    assert (receipt.exit_code, receipt.stopped, receipt.ok) == (code, stopped.message, False)


# --- receipts of before -------------------------------------------------------------------------------------------


def older(**changes: Any) -> dict[str, Any]:
    """One dataset as a receipt has it."""
    return {
        "id": "old",
        "status": "partial",
        "objects": 5,
        "bytes": 50,
        "verified": {"published": 1, "computed": 4, "size_only": 0},
        "failures": [{"location": "s3://b/x", "kind": "not_found", "message": "gone", "attempts": 2}],
        "failed": 1,
        "absent": 0,
        "unwanted": 0,
        **changes,
    }


def written(*datasets: Any) -> bytes:
    return orjson.dumps({"datasets": list(datasets)})


def others(receipt: Receipt) -> list[str]:
    return [item.id for item in receipt.datasets if item.id != "a"]


def test_datasets_of_other_manifests_stay(ledger: SqliteLedger) -> None:
    place(ledger, plan(ledger, "a", 1), 0)
    receipt = build_receipt(ledger, FACTS, written(older(), older(id="a")))
    assert [item.id for item in receipt.datasets] == ["a", "old"]
    assert receipt.exit_code == 0
    assert receipt.to_dict()["datasets"][1] == {
        **older(),
        "missing": (),
        "metadata_only": False,
        "failures": ({"location": "s3://b/x", "kind": ErrorKind.NOT_FOUND, "message": "gone", "attempts": 2},),
    }
    again = build_receipt(ledger, FACTS, orjson.dumps(receipt.to_dict()))
    assert again == receipt


@pytest.mark.parametrize(
    "broken",
    [
        7,
        None,
        {},
        older(status="splendid"),
        older(objects="many"),
        older(verified={"guessed": 1}),
        older(verified=None),
        older(failures=[{"location": "x"}]),
        older(failures=[{"location": "x", "kind": "magic", "message": "", "attempts": 1}]),
        older(failures=3),
    ],
)
def test_a_dataset_that_cannot_be_read_takes_no_other_with_it(broken: Any, ledger: SqliteLedger) -> None:
    assert others(build_receipt(ledger, FACTS, written(broken, older(id="well")))) == ["well"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"3", b'{"datasets": 3}', b'{"datasets": {"a": 1}}', b"\xff"])
def test_a_file_that_is_no_receipt_is_nothing_to_stop_for(data: bytes, ledger: SqliteLedger) -> None:
    assert others(build_receipt(ledger, FACTS, data)) == []
