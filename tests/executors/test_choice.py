"""How many processes."""

from __future__ import annotations

import pytest

from emasync.errors import InputError
from emasync.executors.choice import auto_workers, choose, spare_cores
from emasync.executors.restarts import RestartBudget


@pytest.mark.parametrize(
    ("spare", "connections", "workers"),
    [
        (2.0, 64, 1),
        (2.9, 64, 2),
        (4.0, 64, 3),
        (4.0, 16, 2),
        (4.0, 8, 1),
        (64.0, 1_000, 8),
        (0.0, 64, 1),
    ],
)
def test_auto_takes_what_is_spare_and_pays(spare: float, connections: int, workers: int) -> None:
    assert auto_workers(spare, connections) == workers


@pytest.mark.parametrize(
    ("executor", "workers", "count"),
    [
        (None, 1, 0),
        (None, 3, 3),
        (None, "auto", 0),
        ("local", 1, 0),
        ("local", "auto", 0),
        ("processes", 1, 1),
        ("processes", "auto", 1),
        ("processes", 4, 4),
    ],
)
def test_where_engines_run(executor: str | None, workers: int | str, count: int) -> None:
    assert choose(executor, workers, spare=2.0, connections=64) == count  # type: ignore[arg-type]  # literals


def test_one_process_and_several_is_a_contradiction() -> None:
    with pytest.raises(InputError, match="use executor processes"):
        choose("local", 2, spare=8.0, connections=64)


def test_this_machine_has_cores() -> None:
    assert spare_cores() >= 0


def test_restarts_are_forgotten_after_a_while() -> None:
    budget = RestartBudget(restarts=2, window_s=60)
    assert [budget.take(now_s) for now_s in (0, 10, 20)] == [True, True, False]
    assert budget.take(61)
    assert not budget.take(62)
