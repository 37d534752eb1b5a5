"""Asking a run to stop."""

from __future__ import annotations

from typing import Protocol


class Stoppable(Protocol):
    """What can be asked to stop: a plan or an executor under way."""

    def stop(self) -> None:
        """Stop soon."""
        ...


class Stopper:
    """Asks a run to stop soon and cleanly (exit code 3). Call from the run's loop, such as from a signal handler."""

    def __init__(self) -> None:
        self._running: Stoppable | None = None
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody asked; may be read from any thread."""
        return self._asked

    def attach(self, running: Stoppable) -> None:
        """Connect to what is to be stopped."""
        self._running = running
        if self._asked:
            running.stop()

    def stop(self) -> None:
        """Stop as soon as what is whole is committed."""
        self._asked = True
        if self._running is not None:
            self._running.stop()
