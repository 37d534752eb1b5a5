"""A browser, and a root to report on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.hooks.report.browser import Browser, NoBrowserError

from emasync.disk.sink import LocalSink
from emasync.hooks.interface import DatasetFacts, HookContext
from emasync.ledger.store import SqliteLedger
from emasync.model.events import ignore_event


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium without a window."""
    try:
        started = Browser(tmp_path_factory.mktemp("profile"))
    except NoBrowserError as missing:
        pytest.skip(str(missing))
    with started:
        yield started


@pytest.fixture
def context(ledger: SqliteLedger, tmp_path: Path) -> Iterator[Callable[..., HookContext]]:
    """What the hook is given: ``context(DatasetFacts(...), ...)``."""
    sink = LocalSink(tmp_path)

    def make(*datasets: DatasetFacts) -> HookContext:
        return HookContext(
            root=tmp_path,
            state_dir=tmp_path / ".emasync",
            sink=sink,
            ledger=ledger,
            datasets=datasets,
            all_datasets=datasets,
            on_event=ignore_event,
            hurry=lambda: False,
        )

    yield make
    sink.close()
