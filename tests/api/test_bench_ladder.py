"""Which settings are measured, and which one wins: synthetic sources, no network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from emasync.api.bench_ladder import GROWTH, PART_SIZES, Ladder, Measured, Setting, first_part, rungs
from emasync.settings import MIB

Source = Callable[[Setting], float]


def measured(setting: Setting, goodput: float, *, retries: int = 0) -> Measured:
    return Measured(setting=setting, seconds=2.0, bytes=int(2 * goodput), requests=100, retries=retries)


def climb(ladder: Ladder, source: Source) -> list[Setting]:
    """Everything that the ladder asks for, answered by a model of a source."""
    asked, last = [], None
    while (setting := ladder.next(last)) is not None:
        asked.append(setting)
        last = measured(setting, source(setting))
    return asked


def connections_of(settings: list[Setting]) -> list[int]:
    return [setting.connections for setting in settings]


@pytest.mark.parametrize("cap", [1, 2, 3, 6, 8, 64, 100])
def test_rungs_double_and_end_at_the_cap(cap: int) -> None:
    found = list(rungs(cap))

    assert found[-1] == cap
    assert found == sorted(set(found))
    assert all(later <= 2 * earlier for earlier, later in pairwise(found))


def test_connections_grow_to_the_cap_as_long_as_they_pay_and_then_parts_grow() -> None:
    ladder = Ladder(cap=8, first_part_bytes=MIB)

    asked = climb(ladder, lambda setting: 1e6 * setting.connections * (setting.part_bytes or 0) / MIB)

    assert connections_of(asked[:4]) == [1, 2, 4, 8]
    assert [setting.part_bytes for setting in asked[4:]] == list(PART_SIZES[1:])
    assert ladder.best is not None
    assert ladder.best.setting == Setting(8, 32 * MIB)
    assert ladder.left == 0


def test_bytes_are_the_measure_of_large_objects() -> None:
    ladder = Ladder(cap=64, first_part_bytes=8 * MIB, part_sizes=(8 * MIB,))
    speeds = {1: 10e6, 2: 20e6, 4: 20e6 * (GROWTH - 0.01), 8: 90e6}

    asked = climb(ladder, lambda setting: speeds[setting.connections])

    assert connections_of(asked) == [1, 2, 4]
    assert ladder.best is not None
    assert ladder.best.setting.connections == 2


def test_smaller_parts_are_tried_where_larger_ones_do_not_pay() -> None:
    ladder = Ladder(cap=1, first_part_bytes=8 * MIB)

    asked = climb(ladder, lambda setting: 1e15 / (setting.part_bytes or 1))

    assert [setting.part_bytes for setting in asked] == [8 * MIB, 16 * MIB, 4 * MIB, MIB]
    assert ladder.best is not None
    assert ladder.best.setting.part_bytes == MIB


def test_a_faster_setting_that_the_server_does_not_take_well_is_no_better() -> None:
    ladder = Ladder(cap=64, first_part_bytes=MIB, part_sizes=(MIB,))

    assert ladder.next() == Setting(1, MIB)
    assert ladder.next(measured(Setting(1, MIB), 10e6)) == Setting(2, MIB)
    assert ladder.next(measured(Setting(2, MIB), 20e6, retries=9)) is None
    assert ladder.best is not None
    assert ladder.best.setting.connections == 1


@pytest.mark.parametrize("nothing", [None, Measured(setting=Setting(1, MIB), seconds=2.0, bytes=0, requests=0)])
def test_where_nothing_comes_nothing_more_is_asked(nothing: Measured | None) -> None:
    ladder = Ladder(cap=64, first_part_bytes=MIB)

    ladder.next()

    assert ladder.next(nothing) is None
    assert ladder.best is None


def test_the_parts_of_the_climb_are_what_the_budget_allows() -> None:
    assert first_part(1 << 40, cap=64, part_bytes=8 * MIB) == 8 * MIB
    assert first_part(512 * MIB, cap=8, part_bytes=8 * MIB) == 4 * MIB
    assert first_part(512 * MIB, cap=128, part_bytes=8 * MIB) == MIB
