"""Asking a run to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emasync.executors.interface import Executor


class Stopper:
    """Asks a run to stop soon and cleanly (exit code 3). Call from the run's loop, such as from a signal handler."""

    def __init__(self) -> None:
        self._executor: Executor | None = None
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody asked; may be read from any thread."""
        return self._asked

    def attach(self, executor: Executor) -> None:
        """Connect to what is to be stopped."""
        self._executor = executor
        if self._asked:
            executor.stop()

    def stop(self) -> None:
        """Stop as soon as what is whole is committed."""
        self._asked = True
        if self._executor is not None:
            self._executor.stop()
