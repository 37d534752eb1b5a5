"""A gate that lets so many in at a time, first come, first served within a class."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress


class Turnstile:
    """Counts who is inside; who comes when it is full waits in line. Methods without ``await`` change the state.

    Parameters
    ----------
    room : callable
        How many may be inside now. Tell :meth:`admit` when it grew; a lower value admits nobody until enough have left.
    on_wait : callable
        Told when somebody has to wait.
    """

    __slots__ = ("_lines", "_on_wait", "_room", "inside")

    def __init__(self, room: Callable[[], float], on_wait: Callable[[], None] = lambda: None) -> None:
        self.inside = 0
        self._room = room
        self._on_wait = on_wait
        self._lines: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())

    @property
    def waiting(self) -> int:
        """How many are in line, those included that were cancelled in this turn of the loop."""
        urgent, usual = self._lines
        return len(urgent) + len(usual)

    @property
    def wanted(self) -> int:
        """How many are inside or want to be."""
        return self.inside + sum(not turn.done() for line in self._lines for turn in line)

    def in_line(self, *, urgent: bool) -> bool:
        """Whether anybody of a class waits."""
        return bool(self._lines[0 if urgent else 1])

    async def enter(self, *, urgent: bool = False) -> None:
        """Wait for a place; whoever entered must :meth:`leave`."""
        if self.inside < self._room() and not any(self._lines):
            self.inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._lines[0 if urgent else 1]
        line.append(turn)
        self._on_wait()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # admitted and cancelled in the same turn of the loop
                self.leave()
            else:
                with suppress(ValueError):  # whoever left meanwhile may have met the cancelled turn first
                    line.remove(turn)
            raise

    def leave(self) -> None:
        """Give a place back."""
        self.inside -= 1
        self.admit()

    def admit(self) -> None:
        """Let in whom there is room for."""
        for line in self._lines:
            while line and self.inside < self._room():
                turn = line.popleft()
                if not turn.done():
                    self.inside += 1
                    turn.set_result(None)
