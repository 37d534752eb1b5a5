"""What the engine asks of its surroundings: an awaitable ledger, threads for the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class LedgerCalls(Protocol):
    """The ledger, behind the one thread that owns it."""

    async def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of :class:`emasync.ledger.interface.Ledger` (Any: the method's own types).

        The call runs to its end even when the waiter is cancelled.
        """
        ...


class Threads(Protocol):
    """Threads that do blocking work. A job owns what it was given until it ends, cancelled waiter or not (law 5)."""

    async def run(self, job: Callable[..., T], *args: Any) -> T:
        """Run `job` in a thread and wait for its result (Any: the job's own arguments)."""
        ...
