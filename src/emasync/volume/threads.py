"""Work on several cores: the caller works too, and the pool is one a process."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar, final

from emasync.volume.forking import begin_anew_after_fork

T = TypeVar("T")
R = TypeVar("R")

AHEAD: Final = 4
"""Pieces that are fetched ahead for each other thread. Fewer let it run dry, more only fill the cache."""

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

    def run(
        self, fetch: Callable[[T], Iterable[R]], work: Callable[[R], None], items: Iterable[T], *, waits: bool = False
    ) -> None:
        """Fetch what the items stand for and do `work` for each piece, in any order.

        The caller fetches ahead of the others, which have nothing to do but work then: threads that ask the kernel for
        something pass the interpreter on each time, and wake each other for nothing. Returns when no thread works on
        any of the pieces. After an error what has not begun is left out; the first error is raised.

        Parameters
        ----------
        fetch : callable
            Brief.
        work : callable
            Leaves the interpreter to others most of the time.
        items : iterable
        waits : bool
            Fetching waits for the storage most of the time: all fetch, and more threads than cores help, unless there
            is to be one only.
        """
        if waits and self.count > 1:
            self._share(_Line(fetch, work, items, 0), MOST)
        else:
            self._share(_Line(fetch, work, items, AHEAD * (self.count - 1)), self.count)

    def _share(self, line: _Line[T, R], wanted: int) -> None:
        futures: list[Future[None]] = []
        try:
            line.fill()
            futures.extend(self._made().submit(line.help) for _ in range(min(wanted, line.least) - 1))
            line.lead()
        finally:
            line.clear()
            errors = [error for future in futures if (error := _ended(future)) is not None]
        if errors:
            raise errors[0]

    def _made(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max(MOST, self.count) - 1, thread_name_prefix="emasync-blocks")
            return self._pool


class _Line(Generic[T, R]):
    """Items to be fetched, and pieces that were: any thread takes the next one, and none waits for another."""

    def __init__(
        self, fetch: Callable[[T], Iterable[R]], work: Callable[[R], None], items: Iterable[T], ahead: int
    ) -> None:
        self._fetch = fetch
        self._work = work
        self._ahead = ahead
        self._items = deque(items)
        self._pieces: deque[R] = deque()

    @property
    def least(self) -> int:
        """Pieces there are at least."""
        return len(self._items) + len(self._pieces)

    def fill(self) -> None:
        """Fetch the first pieces, so that whoever is called finds some."""
        if self._ahead:
            self._next()

    def clear(self) -> None:
        """Leave nothing to do."""
        self._items.clear()
        self._pieces.clear()

    def lead(self) -> None:
        """Fetch for all, work in between, until there is nothing left."""
        self._run(self._ahead)

    def help(self) -> None:
        """Work, and fetch only where nobody did, until there is nothing left."""
        self._run(0)

    def _run(self, ahead: int) -> None:
        try:
            while self._step(ahead):
                pass
        except BaseException:
            self.clear()
            raise

    def _step(self, ahead: int) -> bool:
        if self._items and len(self._pieces) < ahead:
            return self._next()
        try:
            piece = self._pieces.popleft()
        except IndexError:
            return self._next()
        self._work(piece)
        return True

    def _next(self) -> bool:
        """Fetch one item; False where there is none."""
        try:
            item = self._items.popleft()
        except IndexError:
            return False
        self._pieces.extend(self._fetch(item))
        return True


def _ended(future: Future[None]) -> BaseException | None:
    """Its error, once it is certain that it does not run any more."""
    return None if future.cancel() else future.exception()
