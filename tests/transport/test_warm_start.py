"""What a run finds out about an origin is where the next one begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emasync.assembly import HOSTS, RunSpec, open_resources
from emasync.model.events import ignore_event
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing.clock import ManualClock
from emasync.transport.limiter import OriginLimiter

PLACE = Location.parse("https://example.org/x")


async def busy(limiter: OriginLimiter, clock: ManualClock, limit: int) -> None:
    """Seconds in which nothing but `limit` connections brings more."""
    for _ in range(100):
        clock.advance(0.25)
        for _ in range(100 * min(limiter.limit, limit)):
            limiter.object_came(1000)
        limiter._meter.active = limiter.limit  # as if all slots were in use
        limiter.beat()
    limiter._meter.active = 0


@pytest.mark.parametrize("text", [None, "{", '{"https://example.org": {"limit": "all", "goodput": 1}}'])
async def test_the_next_run_begins_where_this_one_was(tmp_path: Path, text: str | None) -> None:
    state_dir = tmp_path / ".emasync"
    spec = RunSpec(root=tmp_path, state_dir=None, settings=Settings())
    if text is not None:
        state_dir.mkdir()
        (state_dir / HOSTS).write_text(text)
    clock = ManualClock()
    async with open_resources(spec, ignore_event, clock=clock) as resources:
        limiter = resources.fetcher.limiter(PLACE)
        assert limiter.limit == 8
        await busy(limiter, clock, 32)
        found = limiter.remembered
    assert found is not None
    assert json.loads((state_dir / HOSTS).read_text())["https://example.org"]["limit"] == found.limit
    assert 26 <= found.limit <= 40
    async with open_resources(spec, ignore_event, clock=clock) as resources:
        assert resources.fetcher.limiter(PLACE).limit == found.limit


async def test_a_run_that_found_nothing_out_leaves_nothing(tmp_path: Path) -> None:
    spec = RunSpec(root=tmp_path, state_dir=None, settings=Settings())
    async with open_resources(spec, ignore_event) as resources:
        assert resources.fetcher.limiter(PLACE).limit == 8
    assert not (tmp_path / ".emasync" / HOSTS).exists()
