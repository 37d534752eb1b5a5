"""What a stop cost is what was sent before it, and again after it: no more and no less."""

from __future__ import annotations

import pytest

from emasync.testing.memory import MemoryStore
from emasync.testing.selftest.accounting import Loss, Sent, WatchedStore, losses

SIZES = {"large": 1_000, "a": 10, "b": 10}
BOUNDS = {"connections": 2, "part_bytes": 100, "most_objects": 3, "most_bytes": 1_000}


def counted(*lives: list[Sent]) -> list[tuple[int, int]]:
    return [(loss.small_objects, loss.large_bytes) for loss in losses(lives, SIZES, large_from_bytes=100)]


def test_what_comes_once_costs_nothing() -> None:
    assert counted([Sent("large", 0, 500), Sent("a", 0, 10)], [Sent("large", 500, 1_000), Sent("b", 0, 10)]) == [
        (0, 0),
        (0, 0),
    ]


def test_a_byte_is_charged_to_the_stop_after_it_was_sent_last() -> None:
    first = [Sent("large", 0, 500), Sent("a", 0, 10)]
    second = [Sent("large", 300, 600)]
    third = [Sent("large", 0, 1_000), Sent("a", 0, 10)]
    assert counted(first, second, third) == [(1, 200 + 300), (0, 300), (0, 0)]
    assert counted(first, second, third, third) == [(1, 500), (0, 300), (1, 1_000), (0, 0)]


def test_what_one_life_sends_twice_is_nobodys_loss() -> None:
    assert counted([Sent("large", 0, 500), Sent("large", 0, 500), Sent("a", 0, 10), Sent("a", 0, 10)], []) == [
        (0, 0),
        (0, 0),
    ]


def test_a_small_object_that_was_cut_off_had_not_arrived() -> None:
    assert counted([Sent("a", 0, 9)], [Sent("a", 0, 10)]) == [(0, 0), (0, 0)]
    assert counted([Sent("a", 0, 9), Sent("a", 9, 10)], [Sent("a", 0, 10)]) == [(1, 0), (0, 0)]


def test_other_paths_do_not_count() -> None:
    assert counted([Sent("document", 0, 10)], [Sent("document", 0, 10)]) == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("loss", "within"),
    [
        (Loss(small_objects=3, small_bytes=30, large_bytes=200), True),
        (Loss(small_objects=4, small_bytes=40, large_bytes=100), True),
        (Loss(small_objects=4, small_bytes=40, large_bytes=101), False),
        (Loss(large_bytes=201), False),
        (Loss(small_objects=6), False),
        (Loss(small_objects=1, small_bytes=1_001), False),
    ],
)
def test_bounds(loss: Loss, within: bool) -> None:
    assert (loss.excess(**BOUNDS) == "") is within


def test_a_store_tells_what_was_read() -> None:
    store = WatchedStore(MemoryStore({"b/a": b"0123456789"}))
    found = store.get("b/a")
    assert found is not None
    assert bytes(found.read(2, 5)) == b"234"
    assert store.sent == [Sent("b/a", 2, 5)]
    assert store.get("b/none") is None
    assert [row.key for row in store.scan("b", "")] == ["a"]
    assert store.has_bucket("b")
