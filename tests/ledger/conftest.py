"""Ledgers in a temporary folder, under a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emasync.ledger.store import SqliteLedger


class StillClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def time_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


Opener = Callable[..., SqliteLedger]


@pytest.fixture
def open_ledger(tmp_path: Path, clock: StillClock) -> Iterator[Opener]:
    """Open the ledger of ``tmp_path/root``; what is still open at the end is closed uncleanly."""
    root = tmp_path / "root"
    root.mkdir()
    with ExitStack() as stack:

        def opener(*, boot_id: str = "boot-1", casefold: bool = False, state_dir: Path | None = None) -> SqliteLedger:
            ledger = SqliteLedger.open(
                state_dir or root / ".emasync", root=root, clock=clock, boot_id=boot_id, casefold=casefold
            )
            stack.callback(ledger._database.connection.close)
            return ledger

        yield opener


@pytest.fixture
def ledger(open_ledger: Opener) -> SqliteLedger:
    return open_ledger()
