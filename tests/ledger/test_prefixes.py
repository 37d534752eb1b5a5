"""Any prefix of the history of a ledger is a state that it was in: a power cut keeps some of the commits, in order."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant

from emasync.ledger.opening import FILE_NAME
from emasync.ledger.store import SqliteLedger
from emasync.model.task import State, TaskKey

from .test_model import Known, LedgerMachine

FRAME_BYTES = 24 + 4096
"""Of the log (SQLite, "WAL Frame"): a header and a page."""


class Moment(NamedTuple):
    """How long the log was, and what the ledger held."""

    log_bytes: int
    model: dict[tuple[int, TaskKey], Known]
    durable: int


Look = dict[tuple[int, TaskKey], tuple[State, str, int]]


def looks(model: dict[tuple[int, TaskKey], Known]) -> Look:
    return {name: (known.state, known.verified, known.generation) for name, known in model.items()}


class PrefixMachine(LedgerMachine):
    """As its base; at the end the log is cut behind each commit, and what is left is opened."""

    reopen = None  # type: ignore[assignment]  # no rule here: the log would begin again, and histories be short

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[Moment] = []

    @property
    def log(self) -> Path:
        return self.folder / "s" / f"{FILE_NAME}-wal"

    @invariant()
    def note(self) -> None:
        if hasattr(self, "ledger"):
            size = self.log.stat().st_size
            self.moments = [moment for moment in self.moments if moment.log_bytes < size]
            self.moments.append(Moment(size, dict(self.model), self.durable))

    def teardown(self) -> None:
        try:
            for before, after in pairwise([*self.moments, self.moments[-1]] if self.moments else []):
                self.check(before, (before,), 0)
                if after.log_bytes > before.log_bytes:  # in the middle of what came next: all of that, or nothing
                    self.check(before, (before, after), FRAME_BYTES)
        finally:
            super().teardown()

    def check(self, moment: Moment, legal: tuple[Moment, ...], torn_bytes: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder)
            shutil.copy(self.folder / "s" / FILE_NAME, state)
            (state / self.log.name).write_bytes(self.log.read_bytes()[: moment.log_bytes + torn_bytes])
            ledger = SqliteLedger.open(state, root=self.folder, clock=self.clock, boot_id="2")
            try:
                assert self.found(ledger) in [(looks(one.model), one.durable) for one in legal]
                self.goes_on(ledger)
            finally:
                ledger.close(clean=False)

    @staticmethod
    def found(ledger: SqliteLedger) -> tuple[Look, int]:
        rows = {(row.set_id, row.key): (row.state, row.verified, row.generation) for row in ledger.rows()}
        return rows, ledger.durable_epoch()

    def goes_on(self, ledger: SqliteLedger) -> None:
        """What it counts is what it holds, and what is pending is leased again."""
        assert not ledger.clean
        held = Counter(row.state for row in ledger.rows())
        (tally,) = ledger.tallies()
        assert +Counter(tally.objects) == held
        leased = [task for set_id in (self.listed, self.gridded) for task in ledger.lease(set_id, 99)]
        assert len(leased) == held[State.PENDING]


PrefixMachine.TestCase.settings = settings(
    max_examples=4, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPrefixes = PrefixMachine.TestCase
