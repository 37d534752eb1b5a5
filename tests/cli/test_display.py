"""What people and programs see of a run."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from emasync.cli.display import PlainLines, Terminal, display_for, event_line, told
from emasync.cli.report import plan_text, receipt_text, status_text
from emasync.model.amounts import megabytes
from emasync.model.events import Event, EventValue

PROGRESS: dict[str, EventValue] = {
    "objects_done": 3,
    "objects_total": 1200,
    "bytes_done": 5_000_000,
    "bytes_total": 2_000_000_000,
    "failed": 1,
    "planned": False,
    "bytes_per_s": 1_500_000.0,
}

DATASET: dict[str, Any] = {
    "id": "a",
    "status": "partial",
    "objects": 1200,
    "bytes": 2_000_000,
    "verified": {"published": 1000, "computed": 200, "size_only": 0},
    "failures": [{"location": "s3://b/x", "kind": "not_found", "message": "s3://b/x: not there", "attempts": 1}],
    "failed": 1,
    "absent": 7,
    "unwanted": 0,
}

RECEIPT: dict[str, Any] = {
    "datasets": [DATASET],
    "totals": {"objects": 1200, "bytes_fetched": 5, "requests": 1300, "retries": 2, "wall_s": 12.34},
    "stopped": None,
}


def test_a_line_of_json() -> None:
    line = event_line(Event("failed", {"kind": "not_found", "message": "caf\u00e9"}), 1_750_000_000.25)
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "event": "failed",
        "time": "2025-06-15T15:06:40.250Z",
        "kind": "not_found",
        "message": "caf\u00e9",
    }


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event("failed", {"kind": "not_found", "message": "x: gone"}), "failed (not_found): x: gone"),
        (Event("warning", {"message": "slow"}), "warning: slow"),
        (Event("stalled", {"location": "s3://b/x"}), "stalled: s3://b/x"),
        (Event("retry", {"location": "s3://b/x", "message": "x: broke"}), "retry: x: broke"),
        (Event("retry", {"location": "s3://b/x", "reason": "bytes differ"}), "retry: bytes differ"),
        (Event("asset_planned", {}), None),
    ],
)
def test_what_people_are_told_at_once(event: Event, line: str | None) -> None:
    assert told(event) == line


def test_plain_lines_for_logs() -> None:
    out = io.StringIO()
    show = PlainLines(out)
    show(Event("progress", PROGRESS))
    show(Event("progress", PROGRESS))  # not again so soon
    show(Event("warning", {"message": "slow"}))
    show(Event("receipt", RECEIPT))
    lines = out.getvalue().splitlines()
    assert lines[0] == "3 of 1,200 objects (still listing), 5.0 MB of 2.0 GB, 1.5 MB/s, 1 failed"
    assert lines[1] == "warning: slow"
    assert lines[2].startswith("a: partial, 1,200 objects")
    assert len(lines) == 5


def test_errors_only() -> None:
    out = io.StringIO()
    show = PlainLines(out, errors_only=True)
    for event in (
        Event("progress", PROGRESS),
        Event("warning", {"message": "slow"}),
        Event("failed", {"kind": "stalled", "message": "silent"}),
        Event("receipt", RECEIPT),
        Event("receipt", {**RECEIPT, "stopped": "disk full"}),
    ):
        show(event)
    assert out.getvalue().splitlines() == ["failed (stalled): silent", "stopped: disk full"]


def test_the_receipt_in_words() -> None:
    many = {**RECEIPT, "stopped": "max_total", "datasets": [{**DATASET, "failures": DATASET["failures"] * 12}]}
    lines = receipt_text(many).splitlines()
    assert lines[0] == (
        "a: partial, 1,200 objects, 2.0 MB (verified: 1,000 published, 200 computed), 1 failed, "
        "7 left out by the publisher"
    )
    assert lines[1] == "  not_found: s3://b/x: not there"
    assert lines[11] == "  ... and 2 more: see receipt.json"
    assert lines[12] == "1,200 objects on disk, 5 B fetched in 12.3 s with 1,300 requests (2 retries)"
    assert lines[13] == "stopped: max_total"


def test_the_plan_in_words() -> None:
    plan: Mapping[str, Any] = {
        "objects": 12,
        "bytes": 3_000,
        "unknown_sizes": 2,
        "hosts": {"s3://b": 12},
        "longest_path": "a/long",
        "clashes": 1,
        "failures": DATASET["failures"] * 11,
        "problem": "too much",
    }
    lines = plan_text(plan).splitlines()
    assert lines[:4] == [
        "12 objects, 3.0 kB and 2 objects of unknown size",
        "s3://b: 12 requests",
        "longest path: a/long",
        "1 names collide with others",
    ]
    assert lines[-2:] == ["... and 1 more: see --json", "would not fit: too much"]
    assert plan_text({"objects": 0, "bytes": 0, "hosts": {}}) == "0 objects, 0 B"


def test_the_status_in_words() -> None:
    datasets = [{"dataset": "a", "objects": {"placed": 1200, "pending": 0}}, {"dataset": "b", "objects": {}}]
    assert status_text({"running": True, "time": "now", "datasets": datasets}).splitlines() == [
        "a run is going on; as of now",
        "a: 1,200 placed",
        "b: nothing yet",
    ]
    assert status_text({}) == "no run is going on; as of unknown"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (None, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e12, "2.5 TB"), (1e19, "10000.0 PB")],
)
def test_sizes(size: float | None, text: str) -> None:
    assert megabytes(size) == text


def test_a_terminal_shows_failures_and_the_receipt(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        terminal(Event("progress", PROGRESS))
        terminal(Event("failed", {"kind": "not_found", "message": "s3://b/[x]: not there"}))
        terminal(Event("receipt", RECEIPT))
    terminal.after()
    shown = capsys.readouterr().err
    assert "failed (not_found): s3://b/[x]: not there" in shown
    assert "a: partial, 1,200 objects" in shown
    empty = Terminal()
    empty.after()
    assert capsys.readouterr().err == ""


def test_the_listener_suits_the_place(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    event = Event("receipt", RECEIPT)
    with display_for(as_json=True, quiet=False) as show:
        show(event)
    out, err = capsys.readouterr()
    assert (json.loads(out)["event"], err) == ("receipt", "")
    with display_for(as_json=False, quiet=True) as show:
        show(event)
    assert capsys.readouterr() == ("", "")
    with display_for(as_json=False, quiet=False) as show:
        show(event)
    out, err = capsys.readouterr()
    assert (out, err.count("a: partial")) == ("", 1)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with display_for(as_json=False, quiet=False) as show:
        assert isinstance(show, Terminal)
        show(event)
    assert capsys.readouterr().err.count("a: partial") == 1
