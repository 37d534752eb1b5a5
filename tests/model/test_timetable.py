from __future__ import annotations

import time
from datetime import datetime

import pytest

from emasync.model.timetable import EVERY_DAY, BandwidthHours, bandwidth_at, ever_open, resumes_at

HOUR_S = 3600
DAY = BandwidthHours(start_s=8 * HOUR_S, stop_s=18 * HOUR_S, bytes_per_s=1.0)
NIGHT = BandwidthHours(start_s=22 * HOUR_S, stop_s=6 * HOUR_S, bytes_per_s=2.0, days=frozenset({4}))
"""From Friday to Saturday."""


@pytest.mark.parametrize(
    ("hours", "weekday", "hour", "holds"),
    [
        (DAY, 0, 8, True),
        (DAY, 6, 17, True),
        (DAY, 0, 7, False),
        (DAY, 0, 18, False),
        (NIGHT, 4, 22, True),
        (NIGHT, 5, 5, True),
        (NIGHT, 5, 6, False),
        (NIGHT, 4, 5, False),
        (NIGHT, 5, 22, False),
        (NIGHT, 6, 5, False),
        (BandwidthHours(start_s=0, stop_s=24 * HOUR_S, bytes_per_s=1.0, days=frozenset({0})), 0, 23, True),
        (BandwidthHours(start_s=5 * HOUR_S, stop_s=5 * HOUR_S, bytes_per_s=1.0), 3, 4, True),
    ],
)
def test_hours_hold(hours: BandwidthHours, weekday: int, hour: int, holds: bool) -> None:
    assert hours.hold(weekday, hour * HOUR_S) is holds


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_first_hours_that_hold_count_in_local_time() -> None:
    table = (NIGHT, DAY, BandwidthHours(start_s=0, stop_s=12 * HOUR_S, bytes_per_s=3.0))
    assert bandwidth_at(table, moment("2026-11-20T23:00"), 9.0) == 2.0
    assert bandwidth_at(table, moment("2026-11-21T09:00"), 9.0) == 1.0
    assert bandwidth_at(table, moment("2026-11-22T07:59"), 9.0) == 3.0
    assert bandwidth_at(table, moment("2026-11-22T20:00"), 9.0) == 9.0
    assert bandwidth_at(table, moment("2026-11-22T20:00"), None) is None


def pause(start: int, stop: int, *days: int) -> BandwidthHours:
    return BandwidthHours(
        start_s=start * HOUR_S, stop_s=stop * HOUR_S, bytes_per_s=0.0, days=frozenset(days) or EVERY_DAY
    )


@pytest.mark.parametrize(
    ("hours", "now", "resumes"),
    [
        ((pause(9, 17),), "2026-11-20T08:59", "2026-11-20T08:59"),
        ((pause(9, 17),), "2026-11-20T09:00", "2026-11-20T17:00"),
        ((pause(22, 6),), "2026-11-20T23:30", "2026-11-21T06:00"),
        ((pause(22, 6),), "2026-11-21T05:59", "2026-11-21T06:00"),
        ((pause(0, 24, 5, 6),), "2026-11-21T12:00", "2026-11-23T00:00"),
        ((pause(9, 12), pause(12, 17)), "2026-11-20T10:00", "2026-11-20T17:00"),
        ((DAY, pause(0, 24)), "2026-11-20T03:00", "2026-11-20T08:00"),
        ((pause(6, 5, 0, 1, 2, 3, 4, 5), pause(6, 5, 6)), "2026-11-22T05:30", "2026-11-22T05:30"),
    ],
)
def test_when_it_goes_on(hours: tuple[BandwidthHours, ...], now: str, resumes: str) -> None:
    assert resumes_at(hours, moment(now), None) == moment(resumes)
    assert ever_open(hours)


def test_what_never_opens() -> None:
    week = (pause(0, 24, 0, 1, 2), pause(0, 24, 3, 4, 5, 6))
    assert resumes_at(week, moment("2026-11-20T10:00"), None) is None
    assert not ever_open(week)
    assert not ever_open((pause(5, 5),))


def test_a_day_of_23_hours_is_read_off_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    try:
        sunday = BandwidthHours(start_s=3 * HOUR_S, stop_s=4 * HOUR_S, bytes_per_s=1.0, days=EVERY_DAY)
        assert bandwidth_at((sunday,), moment("2026-03-29T03:30"), None) == 1.0, "2 h after midnight"
    finally:
        monkeypatch.undo()
        time.tzset()
