from __future__ import annotations

import time
from datetime import datetime

import pytest

from emasync.model.timetable import EVERY_DAY, BandwidthHours, bandwidth_at

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


def test_a_day_of_23_hours_is_read_off_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    try:
        sunday = BandwidthHours(start_s=3 * HOUR_S, stop_s=4 * HOUR_S, bytes_per_s=1.0, days=EVERY_DAY)
        assert bandwidth_at((sunday,), moment("2026-03-29T03:30"), None) == 1.0, "2 h after midnight"
    finally:
        monkeypatch.undo()
        time.tzset()
