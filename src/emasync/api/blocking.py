"""One blocking face for what is async inside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def blocking(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end (Any: what coroutines send and take is nobody's business).

    Inside a running loop, such as Jupyter's, it runs in a thread of its own; an interrupt there (the stop button)
    cancels it and waits until it has left its books in order.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    return _run_aside(work)


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work())


def _run_aside(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    begun: Future[Callable[[], object]] = Future()
    left = threading.Event()

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        begun.set_result(lambda: task is not None and loop.call_soon_threadsafe(task.cancel))
        if left.is_set():
            raise asyncio.CancelledError
        return await work()

    with ThreadPoolExecutor(1, thread_name_prefix="emasync-run") as pool:
        try:
            return pool.submit(_run, main).result()
        except BaseException:
            # an interrupt may come at any moment, also when the work was handed over and nobody waits for it yet
            left.set()
            if begun.done():
                with suppress(RuntimeError):  # it has ended, its loop is closed
                    begun.result()()
            raise


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Loop of uvloop where it is installed, else None for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - optional, and heavy to import
    except ImportError:
        return None
    return uvloop.new_event_loop
