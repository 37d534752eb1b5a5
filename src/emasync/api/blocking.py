"""One blocking face for what is async inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def blocking(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end (Any: what coroutines send and take is nobody's business).

    Inside a running loop, such as Jupyter's, it runs in a thread of its own.
    """

    def here() -> T:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return here()
    with ThreadPoolExecutor(1, thread_name_prefix="emasync-run") as pool:
        return pool.submit(here).result()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Loop of uvloop where it is installed, else None for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - optional, and heavy to import
    except ImportError:
        return None
    return uvloop.new_event_loop
