"""A ledger with whatever a test puts into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger.open(tmp_path / ".emasync", root=tmp_path, clock=SystemClock())
    yield opened
    opened.close(clean=True)
