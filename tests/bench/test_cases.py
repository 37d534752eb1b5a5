from __future__ import annotations

import pytest
from bench.cases import CASES, MIB, Case, Group


def test_groups_of_many_are_scaled_by_number_and_groups_of_few_by_size() -> None:
    assert Group(count=20_000, size_bytes=64).scaled(0.01) == Group(count=200, size_bytes=64)
    assert Group(count=2, size_bytes=100 * MIB).scaled(0.1) == Group(count=2, size_bytes=10 * MIB)


def test_no_group_is_scaled_away() -> None:
    assert Group(count=20_000, size_bytes=64).scaled(1e-9).count == 4
    assert Group(count=1, size_bytes=100 * MIB).scaled(1e-9).size_bytes == MIB
    assert Group(count=1, size_bytes=10).scaled(1e-9).size_bytes == 10


def test_sizes_are_the_same_each_time_and_spread_around_the_middle() -> None:
    group = Group(count=5_000, size_bytes=40_000, spread_bytes=20_000)
    sizes = group.sizes()
    assert sizes == group.sizes()
    assert len(set(sizes)) > 1_000
    assert 20_000 <= min(sizes) < 21_000
    assert 59_000 < max(sizes) <= 60_000


@pytest.mark.parametrize("case", CASES.values(), ids=str)
def test_objects_come_in_key_order_under_names_of_their_own(case: Case) -> None:
    names = [name for name, _ in case.scaled(0.02).objects()]
    assert names == sorted(set(names))


def test_the_promised_work_is_what_the_cases_hold() -> None:
    assert [size for _, size in CASES["small64k"].objects()] == [65_536] * 20_000
    assert [size for _, size in CASES["one4g"].objects()] == [1 << 32]
    assert len(list(CASES["marginal"].objects())) == 3 * len(list(CASES["small64k"].objects()))
