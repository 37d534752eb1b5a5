"""Digests of long lists: what they keep, and what they tell of a difference."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import pytest

from emasync.plan.lock_tree import DIGEST_BYTES, TOP, Listing, ListingBuilder

NAMES = [f"s0/{z}/{y}/{x}" for z in range(20) for y in range(30) for x in range(30)]


def listing(names: Iterable[str], *, max_ranges: int = 64) -> Listing:
    builder = ListingBuilder(max_ranges)
    for name in names:
        builder.add(name, blake2b(name.encode(), digest_size=DIGEST_BYTES).digest(), 10)
    return builder.finish()


def test_few_names_are_kept_one_by_one() -> None:
    seen = listing(NAMES[:64])
    assert seen.level == 0
    assert [item.first for item in seen.ranges] == NAMES[:64]
    assert (seen.objects, seen.size_bytes) == (64, 640)


def test_many_names_are_kept_as_few_ranges_that_hold_all_of_them() -> None:
    seen = listing(NAMES)
    assert seen.objects == len(NAMES)
    assert 16 <= len(seen.ranges) <= 64
    assert sum(item.objects for item in seen.ranges) == len(NAMES)
    assert sum(item.size_bytes for item in seen.ranges) == seen.size_bytes == 10 * len(NAMES)


def test_memory_does_not_grow_with_the_list() -> None:
    builder = ListingBuilder(64)
    most = 0
    for name in NAMES:
        builder.add(name, bytes(DIGEST_BYTES), 10)
        most = max(most, builder.held)
    assert most < 2 * 64


def test_one_name_more_is_one_range_that_differs() -> None:
    before, after = listing(NAMES), listing([*NAMES[:9_000], "s0/9/29/29a", *NAMES[9_000:]])
    assert before.digest != after.digest
    gone, new = set(before.ranges) - set(after.ranges), set(after.ranges) - set(before.ranges)
    assert len(gone) == len(new) == 1
    assert new.pop().objects == gone.pop().objects + 1


@pytest.mark.parametrize("count", [1, 2, 63, 500, 3_000])
def test_ranges_made_larger_are_the_ranges_of_a_smaller_limit(count: int) -> None:
    fine = listing(NAMES[:count], max_ranges=count)
    assert fine.level == 0
    for limit in (1, 2, 7, 40):
        coarse = listing(NAMES[:count], max_ranges=limit)
        assert len(coarse.ranges) <= max(limit, 1)
        assert fine.at(coarse.level) == coarse
    everything = fine.at(TOP)
    assert [item.digest for item in everything.ranges] == [fine.digest]


def test_the_order_counts() -> None:
    assert listing(NAMES[:10]).digest != listing(reversed(NAMES[:10])).digest


def test_nothing_is_a_list_too() -> None:
    seen = listing([])
    assert (seen.objects, seen.ranges) == (0, ())
    assert seen.digest != listing(["a"]).digest
