"""A fetcher on a loop of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import gc
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


class _Pause:
    """Puts cyclic garbage collection off while somebody waits; as often at one time as threads do.

    h5py calls a file's ``readinto`` with its one lock held, and takes it to end its objects. Such an object in a cycle
    of garbage (hdmf makes some), collected in a thread that the reader waits for, would wait for the reader for ever.
    """

    def __init__(self) -> None:
        self.after_fork()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """Nobody else waits in the child."""
        self._lock = threading.Lock()
        self._waiting = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._waiting:
                self._was_on = gc.isenabled()
                gc.disable()
            self._waiting += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._waiting -= 1
            if not self._waiting and self._was_on:
                gc.enable()


_pause = _Pause()


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
        with _pause:
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
