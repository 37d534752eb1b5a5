"""The receipt: from the ledger's tallies, this run's outcome, and the receipt that was there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from emasync.errors import EmasyncError, ErrorKind, InterruptedRunError
from emasync.ledger.interface import Ledger, Tally
from emasync.model.receipt import (
    MAX_NAMED_FAILURES,
    DatasetReceipt,
    DatasetStatus,
    Failure,
    Receipt,
    Totals,
    Verified,
)
from emasync.model.task import State
from emasync.model.version import VERSION

RECEIPT = "receipt.json"

_STATUS: Mapping[str, DatasetStatus] = {"complete": "complete", "partial": "partial", "failed": "failed"}

EXIT_COMPLETE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_STOPPED = 0, 1, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run says of itself.

    Attributes
    ----------
    manifest : str
        Digest of the manifest.
    wanted : collection of str
        Ids of the datasets this run was about: they decide the exit code.
    started_s, finished_s : float
        Seconds since 1970-01-01 UTC.
    totals : Totals
    placed_bytes : int
        Bytes on disk of what this run placed; what was there before is what it reused.
    stopped : EmasyncError or None
    unreachable : mapping of str to Failure
        Datasets whose origin was given up.
    mirrors : mapping of str to str
    """

    manifest: str
    wanted: Collection[str]
    started_s: float
    finished_s: float
    totals: Totals
    placed_bytes: int = 0
    stopped: EmasyncError | None = None
    unreachable: Mapping[str, Failure] = field(default_factory=dict)
    mirrors: Mapping[str, str] = field(default_factory=dict)


def build_receipt(ledger: Ledger, facts: RunFacts, previous: bytes | None) -> Receipt:
    """Put the receipt together. On the ledger's thread.

    Parameters
    ----------
    previous : bytes or None
        The root's older receipt: datasets that this ledger does not know are kept from it.
    """
    datasets = list(placed_datasets(ledger, facts.unreachable))
    known = {dataset.id for dataset in datasets}
    missing = [_never_planned(name) for name in facts.wanted if name not in known]
    older = [item for item in older_datasets(previous) if item.id not in known and item.id not in set(facts.wanted)]
    placed = sum(dataset.objects for dataset in datasets)
    return Receipt(
        manifest=facts.manifest,
        tool=f"emasync {VERSION}",
        started=rfc3339(facts.started_s),
        finished=rfc3339(facts.finished_s),
        exit_code=_exit_code(facts, [*datasets, *missing]),
        totals=Totals(
            objects=placed,
            bytes_fetched=facts.totals.bytes_fetched,
            bytes_reused=max(0, sum(item.bytes for item in datasets if item.id in facts.wanted) - facts.placed_bytes),
            requests=facts.totals.requests,
            retries=facts.totals.retries,
            wall_s=round(facts.finished_s - facts.started_s, 3),
        ),
        datasets=(*datasets, *missing, *older),
        stopped=facts.stopped.message if facts.stopped is not None else None,
        mirrors=dict(facts.mirrors) or None,
    )


def placed_datasets(ledger: Ledger, unreachable: Mapping[str, Failure]) -> Iterator[DatasetReceipt]:
    """State of each dataset that the ledger knows, in the order of planning; on its thread.

    Parameters
    ----------
    ledger : Ledger
    unreachable : mapping of str to Failure
        Datasets whose origin was given up.
    """
    for tally in ledger.tallies():
        yield _dataset(ledger, tally, unreachable.get(tally.dataset))


def _exit_code(facts: RunFacts, datasets: list[DatasetReceipt]) -> int:
    """Precedence 4 > 3 > 1 (2 never gets here)."""
    if isinstance(facts.stopped, InterruptedRunError):
        return EXIT_INTERRUPTED
    if facts.stopped is not None:
        return EXIT_STOPPED
    complete = all(dataset.status == "complete" for dataset in datasets if dataset.id in facts.wanted)
    return EXIT_COMPLETE if complete else EXIT_FAILED


def _dataset(ledger: Ledger, tally: Tally, unreachable: Failure | None) -> DatasetReceipt:
    failed, failures = ledger.failures(tally.dataset, MAX_NAMED_FAILURES)
    if unreachable is not None:
        failed, failures = failed + 1, [unreachable, *failures][:MAX_NAMED_FAILURES]
    placed = tally.objects.get(State.PLACED, 0)
    return DatasetReceipt(
        id=tally.dataset,
        status=_status(tally, placed, failed),
        objects=placed,
        bytes=tally.bytes.get(State.PLACED, 0),
        verified=Verified(published=tally.published, computed=tally.computed, size_only=tally.size_only),
        failures=tuple(failures),
        failed=failed,
        absent=tally.objects.get(State.ABSENT, 0),
        missing=tuple(ledger.missing(tally.dataset, MAX_NAMED_FAILURES)) if tally.objects.get(State.ABSENT) else (),
        unwanted=tally.unwanted,
        metadata_only=tally.metadata_only,
    )


def _status(tally: Tally, placed: int, failed: int) -> DatasetStatus:
    open_ = tally.objects.get(State.PENDING, 0) + tally.objects.get(State.SEALED, 0)
    if tally.planned and not failed and not open_:
        return "complete"
    return "partial" if placed else "failed"


def _never_planned(name: str) -> DatasetReceipt:
    return DatasetReceipt(id=name, status="failed", objects=0, bytes=0, verified=Verified())


def rfc3339(time_s: float) -> str:
    """A time in UTC, to the millisecond; `time_s` in seconds since 1970-01-01."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def older_datasets(previous: bytes | None) -> list[DatasetReceipt]:
    """Datasets of an older receipt; what cannot be read is nothing to stop for."""
    try:
        document = orjson.loads(previous or b"{}")
    except orjson.JSONDecodeError:
        return []
    items = document.get("datasets") if isinstance(document, dict) else None
    return [found for item in (items if isinstance(items, list) else ()) if (found := _parse(item)) is not None]


def _parse(item: Any) -> DatasetReceipt | None:
    """One dataset of a receipt (Any: JSON, from a file that anybody may have changed); None when it is none."""
    try:
        return DatasetReceipt(
            id=str(item["id"]),
            status=_STATUS[item["status"]],
            objects=int(item["objects"]),
            bytes=int(item["bytes"]),
            verified=Verified(**{name: int(count) for name, count in item["verified"].items()}),
            failures=tuple(_parse_failure(failure) for failure in item["failures"][:MAX_NAMED_FAILURES]),
            **{name: int(item.get(name, 0)) for name in ("failed", "absent", "unwanted")},
            missing=tuple(str(text) for text in item.get("missing", ())[:MAX_NAMED_FAILURES]),
            metadata_only=bool(item.get("metadata_only")),
        )
    except (TypeError, KeyError, AttributeError, ValueError):
        return None


def _parse_failure(item: Any) -> Failure:
    """One failure of a receipt (Any: JSON)."""
    return Failure(
        location=str(item["location"]),
        kind=ErrorKind(item["kind"]),
        message=str(item["message"]),
        attempts=int(item["attempts"]),
    )
