from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from emasync.ledger.sittings import MAX_SITTINGS, SLACK_S, Sittings
from emasync.ledger.store import SqliteLedger

from .conftest import Opener, StillClock

SPANS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), max_size=30)


@given(SPANS, st.integers(0, 10_000))
def test_a_time_is_ours_when_it_lies_in_a_sitting(spans: list[tuple[int, int]], time_s: int) -> None:
    known = Sittings()
    for start, stop in spans:
        known = known.with_one(start, stop)
    near = any(start - SLACK_S <= time_s <= max(start, stop) + SLACK_S for start, stop in spans)
    assert known.hold(time_s) == near
    assert Sittings.parse(known.text) == known
    assert all(one[1] < other[0] for one, other in zip(known.spans, known.spans[1:], strict=False))


def test_many_sittings_are_bounded() -> None:
    known = Sittings()
    for number in range(MAX_SITTINGS + 5):
        known = known.with_one(number * 1000, number * 1000 + 1)
    assert len(known.spans) == MAX_SITTINGS
    assert known.hold(2500)
    assert not known.hold((MAX_SITTINGS + 3) * 1000 + 500)


def test_a_sitting_lasts_from_opening_to_closing(open_ledger: Opener, clock: StillClock) -> None:
    began_s = clock.time_s()
    ledger = open_ledger()
    clock.now_s += 100
    ledger.close(clean=True)
    clock.now_s += 1000
    again = open_ledger()
    assert again.sittings().spans == ((int(began_s), int(began_s + 100)),)
    again.vouch()
    assert again.sittings().spans == ((0, int(clock.time_s())),)


def test_a_run_that_was_killed_sat_until_it_wrote_for_the_last_time(open_ledger: Opener, clock: StillClock) -> None:
    ledger = open_ledger()
    opened_s = int(clock.time_s())
    ledger.close(clean=False)
    for path in state_files(ledger):
        os.utime(path, (opened_s + 50, opened_s + 50))
    clock.now_s += 1000
    assert open_ledger().sittings().spans == ((opened_s, opened_s + 50),)


def state_files(ledger: SqliteLedger) -> list[Path]:
    path = ledger._database.path
    return list(path.parent.glob(f"{path.name}*"))
