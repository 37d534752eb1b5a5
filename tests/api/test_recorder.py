"""What is left of a run when it is over."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from emasync.api.recorder import Recorder
from emasync.errors import MachineError
from emasync.hooks.receipt import RunFacts
from emasync.hooks.run_notes import MOST_RUNS, RUNS, known_runs, write_run
from emasync.model.events import Event
from emasync.model.receipt import Totals
from emasync.model.run_record import MOST_HOSTS, MOST_SAMPLES, MOST_WARNINGS, RunRecord, Sample, Series
from emasync.testing.clock import ManualClock
from emasync.transport.interface import OriginStatistics

FACTS = RunFacts(
    manifest="m",
    wanted=("a",),
    started_s=1_750_000_000.0,
    finished_s=1_750_000_002.5,
    totals=Totals(bytes_fetched=900, requests=5, retries=1),
    placed_bytes=800,
)


def origin(name: str, requests: int = 1) -> OriginStatistics:
    return OriginStatistics(
        origin=name, in_flight=0, limit=8, waiting=0, requests=requests, retries=1, bytes_received=900, cap=16
    )


async def test_a_run_is_recorded_from_what_it_tells() -> None:
    clock = ManualClock()
    heard: list[Event] = []
    recorder = Recorder(heard.append, clock)
    clock.advance(60)  # of reading manifests
    recorder.begin()
    told = [
        Event("progress", {"received_bytes": 100, "placed_objects": 2}),
        Event("host", {"origin": "https://h", "in_flight": 5}),
        Event("host", {"origin": "https://h", "in_flight": 3}),
        Event("stalled", {"origin": "https://h"}),
        Event("warning", {"message": "careful"}),
        Event("warning", {"hook": "index", "message": "kept by the hooks"}),
        Event("failed", {"message": "elsewhere"}),
    ]
    clock.advance(0.5)
    for event in told:
        recorder(event)
    clock.advance(2.0)
    record = recorder.record(FACTS, [origin("https://g", 1), origin("https://h", 4)], 3)

    assert heard == told
    assert record.samples == (Sample(0.5, 100, 2), Sample(2.5, 900, 3))
    assert [(host.origin, host.requests, host.stalls, host.connections, host.cap) for host in record.hosts] == [
        ("https://h", 4, 1, 5, 16),
        ("https://g", 1, 0, 0, 16),
    ]
    assert record.warnings == ("careful",)
    assert (record.started, record.wall_s, record.placed_bytes) == ("2025-06-15T15:06:40.000Z", 2.5, 800)
    assert (record.bytes_fetched, record.requests, record.retries, record.stopped) == (900, 5, 1, None)


async def test_a_record_is_bounded() -> None:
    recorder = Recorder(lambda _: None, ManualClock())
    for number in range(MOST_WARNINGS + 7):
        recorder(Event("warning", {"message": f"{number}" * 5000}))
    record = recorder.record(FACTS, [origin(f"https://h{number}") for number in range(MOST_HOSTS + 3)], 0)
    assert (len(record.warnings), record.more_warnings) == (MOST_WARNINGS, 7)
    assert max(map(len, record.warnings)) == 2_000
    assert (len(record.hosts), record.more_hosts) == (MOST_HOSTS, 3)


def test_a_series_is_thinned_evenly_and_keeps_both_ends() -> None:
    series = Series()
    count = 5 * MOST_SAMPLES + 3
    for number in range(count):
        series.add(Sample(number * 0.5, number * 10, number))

    kept = series.samples()

    assert MOST_SAMPLES // 2 < len(kept) <= MOST_SAMPLES + 1
    assert (kept[0].after_s, kept[-1].after_s) == (0.0, (count - 1) * 0.5)
    steps = {round(after.after_s - before.after_s, 3) for before, after in pairwise(kept[:-1])}
    assert steps == {4.0}
    assert all(sample.received_bytes == sample.after_s * 20 for sample in kept)


def test_an_empty_series_has_no_samples() -> None:
    assert Series().samples() == ()


def test_runs_are_remembered_the_newest_first_and_not_for_ever(tmp_path: Path) -> None:
    for number in range(MOST_RUNS + 2):
        write_run(tmp_path, RunRecord(started=f"{number}", wall_s=1.0, samples=(Sample(1.0, 2, 3),)))
    runs = known_runs(tmp_path)
    assert [run.started for run in runs] == [f"{number}" for number in range(MOST_RUNS + 1, 1, -1)]
    assert runs[0].samples == (Sample(1.0, 2, 3),)


def test_a_note_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    for text in (
        "{",
        "[]",
        '{"version": 99, "runs": []}',
        '{"version": 1, "runs": [{"started": 3}]}',
        '{"version": 1}',
    ):
        (tmp_path / RUNS).write_text(text)
        assert known_runs(tmp_path) == ()


def test_why_a_run_stopped_is_kept() -> None:
    def record() -> RunRecord:
        facts = RunFacts(
            manifest="m",
            wanted=(),
            started_s=0,
            finished_s=1,
            totals=Totals(),
            stopped=MachineError("disk full"),
        )
        return Recorder(lambda _: None, ManualClock()).record(facts, [], 0)

    assert record().stopped == "disk full"


def test_a_note_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    write_run(tmp_path / "file", RunRecord(started="now", wall_s=1.0))
    assert "runs.json could not be written" in caplog.text
