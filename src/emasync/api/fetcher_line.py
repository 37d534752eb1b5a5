"""A fetcher on a loop of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar, final

from emasync.model.clock import SystemClock
from emasync.model.events import ignore_event
from emasync.settings import Settings
from emasync.transport.governed import GovernedFetcher
from emasync.volume.forking import begin_anew_after_fork

T = TypeVar("T")


@final
class FetcherLine:
    """Keeps a fetcher and its connections open. A daemon: it keeps no program from ending.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._abandoned: list[object] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stack = AsyncExitStack()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """The thread is the parent's: nothing of it is used here, or ended."""
        self._abandoned += [self._loop, self._stack]
        self._loop = None
        self._stack = AsyncExitStack()

    def run(self, work: Callable[[GovernedFetcher], Coroutine[Any, Any, T]]) -> T:
        """Do `work` and wait for it (Any: what coroutines send and take is nobody's business)."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(self._loop,), name="emasync-reader", daemon=True).start()
            fetcher = GovernedFetcher(self._settings, clock=SystemClock(), on_event=ignore_event)
            self._fetcher = self._wait(self._stack.enter_async_context(fetcher), self._loop)
        return self._wait(work(self._fetcher), self._loop)

    def close(self) -> None:
        """Close connections, and end the thread."""
        loop, self._loop = self._loop, None
        if loop is not None:
            try:
                self._wait(self._stack.aclose(), loop)
            finally:
                loop.call_soon_threadsafe(loop.stop)

    @staticmethod
    def _wait(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
        waiting = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
