"""A process that runs a job until it ends or is ended."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import cache
from multiprocessing.context import ForkServerContext
from typing import Final

from emasync.testing.selftest.victim import Trap, live

PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.002

BEGUN: Final = (
    "emasync.testing.selftest.victim",
    "emasync.api.moving",
    "emasync.api.running",
    "emasync.manifest.bucket",
    "emasync.sources.bucket",
    "emasync.hooks.run_notes",
    "anyio._backends._asyncio",
    "encodings.idna",
    "uvloop",
)
"""Modules that are loaded before a life begins: it is fetching that is to be killed, not imports."""

_turn = threading.Lock()
"""A start looks after all processes of this one (``multiprocessing.process._cleanup``), and an exit code can be read
once: whoever looks beside it finds 255."""


class Life:
    """One process, from its start.

    Parameters
    ----------
    manifest, root : str
    trap : Trap or None
    workers : int
    """

    def __init__(self, manifest: str, root: str, trap: Trap | None, workers: int) -> None:
        self._process = _context().Process(target=_live, args=(manifest, root, trap, workers))
        with _turn:
            self._process.start()

    def __repr__(self) -> str:
        return f"<Life {self._process!r}>"

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid or 0

    @property
    def exitcode(self) -> int | None:
        """None while it lives; the negative number of the signal that ended it."""
        with _turn:
            return self._process.exitcode

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.exitcode is None

    def join(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait for its end."""
        for _ in looks(timeout_s):
            if not self.is_alive():
                return

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, and wait for the end."""
        self._end(signal.SIGTERM)

    def show_stacks(self) -> None:
        """Have it print where its threads are (to standard error)."""
        self._signal(signal.SIGUSR1)
        self.join(1.0)

    def _end(self, number: int) -> None:
        self._signal(number)
        self.join()

    def _signal(self, number: int) -> None:
        with _turn:
            if self._process.exitcode is None:
                os.kill(self.pid, number)


def looks(timeout_s: float = PATIENCE_S) -> Iterator[None]:
    """Moments to look, close to one another."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        yield
        time.sleep(LOOK_S)


def _live(manifest: str, root: str, trap: Trap | None, workers: int) -> None:
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    os._exit(live(manifest, root, trap, workers))  # what the fork server left behind is not this process's to end


@cache
def _context() -> ForkServerContext:
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(BEGUN))
    return context
