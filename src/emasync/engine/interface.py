"""What the engine asks of its surroundings: an awaitable ledger, threads for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class LedgerCalls(Protocol):
    """The ledger, behind the one thread that owns it."""

    async def call(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of :class:`emasync.ledger.interface.Ledger` by name, or a function of it.

        Any: the method's own types, which the one door cannot know.

        The call runs to its end even when the waiter is cancelled.
        """
        ...


class Threads(Protocol):
    """Threads that do blocking work. A job owns what it was given until it ends, cancelled waiter or not (law 5)."""

    def submit(self, job: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Start `job` in a thread (Any: the job's own arguments). Cancelling the future does not stop the job."""
        ...
