"""Work on several cores: the caller works too, and the pool is one a process."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar, final

from emasync.volume.forking import begin_anew_after_fork

T = TypeVar("T")


MOST: Final = 8
"""Threads of a pool: more than cores where they wait for the storage."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@final
class Threads:
    """Threads that are made when they are first needed, and again in a forked child.

    Parameters
    ----------
    count : int, optional
        Threads that work at one time, the caller's among them; one a core by default.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = cores() if count is None else count
        if self.count < 1:
            raise ValueError(f"{count} threads: expected 1 or more")
        self.after_fork()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """Forget the pool: none of its threads is in this process."""
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def run(self, work: Callable[[T], None], items: Iterable[T], *, waits: bool = False) -> None:
        """Do `work` for each of the items, in any order; returns when no thread works on any of them.

        After an error what has not begun is left out; the first error is raised.

        Parameters
        ----------
        work : callable
        items : iterable
        waits : bool
            It waits for the storage most of the time: more threads than cores help, unless there is to be one only.
        """
        waiting = deque(items)
        wanted = MOST if waits and self.count > 1 else self.count
        others = min(wanted, len(waiting)) - 1
        futures = [self._made().submit(_work_off, work, waiting) for _ in range(others)]
        try:
            _work_off(work, waiting)
        finally:
            waiting.clear()
            errors = [error for future in futures if (error := _ended(future)) is not None]
        if errors:
            raise errors[0]

    def _made(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max(MOST, self.count) - 1, thread_name_prefix="emasync-blocks")
            return self._pool


def _work_off(work: Callable[[T], None], waiting: deque[T]) -> None:
    try:
        while True:
            try:
                item = waiting.popleft()
            except IndexError:
                return
            work(item)
    except BaseException:
        waiting.clear()
        raise


def _ended(future: Future[None]) -> BaseException | None:
    """Its error, once it is certain that it does not run any more."""
    return None if future.cancel() else future.exception()
