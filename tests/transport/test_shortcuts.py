"""Where redirects led: kept for as long as they hold, renewed by one, dropped by any failure."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from emasync.model.location import Location
from emasync.testing.clock import ManualClock
from emasync.transport.shortcuts import MAX_LIFE_S, MAX_SHORTCUTS, Shortcuts, life_s

ASKED = Location.parse("https://api.example/x")
PLAIN = Location.parse("https://cdn.example/x")
NOW_S = datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", MAX_LIFE_S),
        ("X-Amz-Date=20250601T120000Z&X-Amz-Expires=300&X-Amz-Signature=s", 240),
        ("x-amz-expires=300&x-amz-date=20250601T115900Z", 180),
        ("X-Amz-Date=20250601T115000Z&X-Amz-Expires=300", -360),
        ("X-Amz-Date=20250601T130000Z&X-Amz-Expires=300", 240),  # this machine's clock is behind
        ("X-Goog-Date=20250601T120000Z&X-Goog-Expires=100&X-Goog-Signature=s", 80),
        (f"Expires={int(NOW_S) + 100}&Signature=s&Key-Pair-Id=k", 80),
        (f"Expires={int(NOW_S) - 100}&Signature=s", -80),
        ("X-Amz-Date=20250601T120000Z&X-Amz-Expires=604800", MAX_LIFE_S),
        ("X-Amz-Date=nonsense&X-Amz-Expires=300", MAX_LIFE_S),
        ("X-Amz-Date=20250601T120000Z&X-Amz-Expires=-5", MAX_LIFE_S),
        ("Expires=tomorrow", MAX_LIFE_S),
        ("Expires=" + "9" * 5000, MAX_LIFE_S),
    ],
)
def test_lives(query: str, seconds: float) -> None:
    assert life_s(Location("https", "cdn.example", "/x", query), NOW_S) == pytest.approx(seconds)


async def test_a_target_is_kept_until_its_life_is_nearly_over() -> None:
    clock = ManualClock(epoch_s=NOW_S)
    shortcuts = Shortcuts(clock)
    signed = Location("https", "cdn.example", "/x", "X-Amz-Date=20250601T120000Z&X-Amz-Expires=300")
    assert await shortcuts.take(ASKED) is None
    shortcuts.keep(ASKED, signed)
    assert repr(shortcuts) == "<Shortcuts for 1 locations>"
    clock.advance(239)
    shortcuts.keep(ASKED, signed)  # that it still answers makes it no younger
    assert await shortcuts.take(ASKED) == signed
    clock.advance(1)
    assert await shortcuts.take(ASKED) is None


async def test_one_renews_and_the_others_wait() -> None:
    clock = ManualClock()
    shortcuts = Shortcuts(clock)
    shortcuts.keep(ASKED, PLAIN)
    clock.advance(MAX_LIFE_S)
    assert await shortcuts.take(ASKED) is None
    others = [asyncio.ensure_future(shortcuts.take(ASKED)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(other.done() for other in others)
    fresh = Location.parse("https://cdn.example/y")
    shortcuts.keep(ASKED, fresh)
    assert await asyncio.gather(*others) == [fresh] * 3


async def test_a_renewal_that_fails_is_taken_over_by_one() -> None:
    clock = ManualClock()
    shortcuts = Shortcuts(clock)
    shortcuts.keep(ASKED, PLAIN)
    assert not shortcuts.renewing(ASKED)
    clock.advance(MAX_LIFE_S)
    assert await shortcuts.take(ASKED) is None
    others = [asyncio.ensure_future(shortcuts.take(ASKED)) for _ in range(3)]
    await asyncio.sleep(0)
    for left in (3, 2):
        assert shortcuts.renewing(ASKED)
        shortcuts.give_up(ASKED)
        await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        (done,) = [other for other in others if other.done()]
        assert (len(others), await done) == (left, None)
        others.remove(done)
    shortcuts.keep(ASKED, PLAIN)
    assert await asyncio.gather(*others) == [PLAIN]
    shortcuts.give_up(ASKED)
    assert await shortcuts.take(ASKED) == PLAIN


async def test_what_is_no_redirect_any_more_is_forgotten() -> None:
    shortcuts = Shortcuts(ManualClock())
    shortcuts.keep(ASKED, ASKED)
    assert await shortcuts.take(ASKED) is None
    shortcuts.keep(ASKED, PLAIN)
    shortcuts.keep(ASKED, ASKED)
    assert await shortcuts.take(ASKED) is None


async def test_targets_that_are_over_are_not_kept() -> None:
    shortcuts = Shortcuts(ManualClock(epoch_s=NOW_S))
    shortcuts.keep(ASKED, Location("https", "cdn.example", "/x", "Expires=1000"))
    assert repr(shortcuts) == "<Shortcuts for 0 locations>"


async def test_only_the_last_used_are_kept() -> None:
    shortcuts = Shortcuts(ManualClock())
    places = [Location("https", "api.example", f"/{number}") for number in range(MAX_SHORTCUTS + 1)]
    for place in places[:-1]:
        shortcuts.keep(place, PLAIN)
    assert await shortcuts.take(places[0]) == PLAIN
    shortcuts.keep(places[-1], PLAIN)
    assert await shortcuts.take(places[0]) == PLAIN
    assert await shortcuts.take(places[1]) is None
