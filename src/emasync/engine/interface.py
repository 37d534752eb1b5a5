"""What the engine asks of its surroundings: threads for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from emasync.disk.writers import Turn

T = TypeVar("T")


class Threads(Protocol):
    """Threads that do blocking work. A job owns what it was given until it ends, cancelled waiter or not (law 5)."""

    def submit(self, job: Callable[..., T], *args: Any, turn: Turn | None = None) -> asyncio.Future[T]:
        """Start `job` in a thread (Any: the job's own arguments). Cancelling the future does not stop the job.

        Jobs of one `turn` run one after the other.
        """
        ...
