"""A fetcher over a loopback archive, with time by hand and a record of what it told."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from emasync.model.events import Event
from emasync.settings import Settings
from emasync.testing.clock import ManualClock
from emasync.transport.governed import GovernedFetcher
from emasync.transport.surroundings import Surroundings

JUMP_S = 0.02
"""Real seconds without news after which the clock jumps to the next sleeper."""

Opener = Callable[..., AbstractAsyncContextManager[GovernedFetcher]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(autojump_s=JUMP_S)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def wire() -> bool:
    """Over this package's own connections; tests of both transports override it."""
    return True


@pytest.fixture
def opened(clock: ManualClock, events: list[Event], wire: bool) -> Opener:
    """GovernedFetcher(...) with this test's clock and events, repeatable jitter, and no machine around it."""

    def make(settings: Settings | None = None, **options: object) -> GovernedFetcher:
        chosen: dict[str, object] = {
            "clock": clock,
            "on_event": events.append,
            "rng": random.Random(7),
            "surroundings": Surroundings(),
            "heartbeat_s": 0.01,
            "wire": wire,
            **options,
        }
        return GovernedFetcher(settings or Settings(), **chosen)  # type: ignore[arg-type]  # checked by the fetcher

    return make
