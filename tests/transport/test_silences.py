"""How long to wait for an origin, from what it showed; and how often to be impatient."""

from __future__ import annotations

import pytest

from emasync.transport.silences import Silences


def taught(*rows: tuple[int, float]) -> Silences:
    silences = Silences()
    for count, silence_s in rows:
        for _ in range(count):
            silences.learn(silence_s)
    return silences


def test_before_there_are_samples_the_policy_counts() -> None:
    assert taught((15, 0.1)).body_s(12.0) == 12.0
    assert taught((16, 0.1)).body_s(12.0) == 2.0


def test_floors_quantile_and_policy() -> None:
    quick = taught((200, 0.1))
    assert (quick.first_byte_s(30.0), quick.body_s(12.0)) == (5.0, 2.0)
    slow = taught((200, 2.0))
    assert slow.body_s(12.0) == pytest.approx(8.0, rel=0.2)
    assert slow.first_byte_s(30.0) == pytest.approx(8.0, rel=0.2)
    assert slow.body_s(5.0) == 5.0
    assert quick.body_s(1.0) == 1.0  # a policy below the floor holds


def test_one_in_a_hundred_does_not_count_two_do() -> None:
    assert taught((990, 0.1), (9, 60.0)).body_s(100.0) == 2.0
    assert taught((980, 0.1), (20, 5.0)).body_s(100.0) == pytest.approx(20.0, rel=0.2)


def test_impatience_has_a_budget_that_good_requests_earn() -> None:
    silences = taught((25, 0.1))
    spent = 0
    while silences.body_s(12.0) < 12.0:
        silences.spend()
        spent += 1
    assert spent == 6  # four to begin with, a tenth for each good one
    for _ in range(10):
        silences.learn(0.1)
    assert silences.body_s(12.0) == 2.0


def test_what_an_origin_was_is_forgotten() -> None:
    silences = taught((3000, 0.1), (3000, 3.0))
    assert silences.body_s(30.0) == pytest.approx(12.0, rel=0.2)
    silences.learn(1e9)
    silences.learn(0.0)
    assert "samples" in repr(silences)
