"""Threads for disk work. A job belongs to its thread until it ends, whoever waits for it (law 5)."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple, final
from weakref import finalize

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """A view of a pool.

    Attributes
    ----------
    threads : int
    waiting, running : int
        Jobs in the queue, jobs in a thread.
    done : int
        Jobs that ended, failed ones included.
    failed : int
        Jobs that raised, whether somebody still waited or not.
    """

    threads: int
    waiting: int
    running: int
    done: int
    failed: int

    @classmethod
    def together(cls, pools: Iterable[WriterStatistics]) -> WriterStatistics:
        """Pools of several processes as one.

        Parameters
        ----------
        pools : iterable of WriterStatistics
            At least one.
        """
        return cls(*map(sum, zip(*map(astuple, pools), strict=True)))

    @property
    def at_rest(self) -> WriterStatistics:
        """What is left of it once its threads have ended."""
        return replace(self, threads=0, waiting=0, running=0)


@final
class Turn:
    """Jobs of which one runs at a time, in the order they came; those that wait hold no thread.

    For the writes of one file: Linux lets one writer into a file (ext4, xfs and tmpfs hold the inode's lock over a
    buffered write), and the others spin on a processor each, which takes 20 % of two cores from everybody else.
    """

    __slots__ = ("_free", "_waiting")

    def __init__(self) -> None:
        self._free: deque[None] = deque((None,))  # holds one element while no job of this turn runs
        self._waiting: deque[_Job] = deque()

    # No lock: each step is one operation of the interpreter, and whoever ends a turn looks again for who waits.

    def enter(self, job: _Job) -> _Job | None:
        """Let `job` stand in line; gives the job to be run now, if any."""
        self._waiting.append(job)
        return self._next()

    def leave(self) -> _Job | None:
        """The running job has ended; gives the one to be run now, if any."""
        self._free.append(None)
        return self._next()

    def _next(self) -> _Job | None:
        while self._waiting:
            try:
                self._free.pop()
            except IndexError:  # one runs, and looks here when it has ended
                return None
            try:
                return self._waiting.popleft()
            except IndexError:  # another thread took it meanwhile
                self._free.append(None)
        return None


class _Job:
    """One call and the future that its outcome goes to."""

    __slots__ = ("arguments", "failure", "function", "future", "loop", "release", "result", "turn")

    def __init__(
        self,
        function: Callable[..., Any],  # Any: the future's type says what comes back
        arguments: tuple[Any, ...],  # Any: as above
        loop: asyncio.AbstractEventLoop,
        release: Callable[[], None] | None,
        turn: Turn | None,
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.release = release
        self.turn = turn
        self.result: Any = None  # Any: as above
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Run in this thread and keep the outcome; the arguments (buffers) are let go of."""
        function, arguments = self.function, self.arguments
        del self.function, self.arguments
        try:
            self.result = function(*arguments)
        except StopIteration as error:  # a future cannot carry it
            self.failure = RuntimeError("a disk job raised StopIteration")
            self.failure.__cause__ = error
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is the waiter's
            self.failure = error

    def deliver(self) -> None:
        """Send the outcome home."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            if self.failure is None:
                self.loop.call_soon_threadsafe(self._succeed, self.result)
            else:
                self.loop.call_soon_threadsafe(self._fail, self.failure)

    def _succeed(self, result: object) -> None:
        if not self.future.done():
            self.future.set_result(result)
        self._released()

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # marked as seen: a waiter that is gone is no reason for a warning
        self._released()

    def _released(self) -> None:
        # before the waiter resumes: a future's callbacks run in the loop's next round
        if self.release is not None:
            self.release()


class _Shared:
    """What the threads hold: not the pool, so that a pool nobody holds can end them.

    The lock is the threads' among themselves: the loop only appends to `ended` and reads counters, and never waits.
    """

    def __init__(self, threads: int) -> None:
        self.queue: SimpleQueue[_Job | None] = SimpleQueue()
        self.lock = threading.Lock()
        self.alive = threads
        self.running = self.done = self.failed = 0
        self.ended: list[Callable[[], None]] = []

    def work(self) -> None:
        while (job := self.queue.get()) is not None:
            self._do(job)
            del job  # the outcome is the loop's alone now
        self._finish_turns()
        with self.lock:
            self.alive -= 1
        if self.alive == 0:
            for callback in list(self.ended):
                callback()

    def _do(self, job: _Job) -> None:
        with self.lock:
            self.running += 1
        job.run()
        with self.lock:  # counted before the waiter can look
            self.running -= 1
            self.done += 1
            self.failed += job.failure is not None
        if job.turn is not None and (following := job.turn.leave()) is not None:
            self.queue.put(following)
        job.deliver()

    def _finish_turns(self) -> None:
        """Run what a turn put behind the signal to end; this thread may have put it there itself."""
        signals = 0
        with suppress(Empty):
            while True:
                if (job := self.queue.get_nowait()) is None:
                    signals += 1
                else:
                    self._do(job)
        for _ in range(signals):
            self.queue.put(None)

    def stop(self) -> None:
        """Let every thread end after the jobs that wait already."""
        for _ in range(self.alive):
            self.queue.put(None)


@final
class WriterPool:
    """A fixed number of threads for blocking disk work, apart from the loop's default executor.

    Parameters
    ----------
    threads : int
        One a device is enough for large writes; more hide the latency of many small files.
    name : str
        Of the threads.

    Notes
    -----
    The threads are no daemons: a write under way ends before the program does. Close the pool, or use it in
    ``async with``; a pool that is garbage ends its threads as well.
    """

    def __init__(self, threads: int, *, name: str = "emasync-disk") -> None:
        if threads < 1:
            raise ValueError(f"a pool of {threads} threads: expected 1 or more")
        self._shared = _Shared(threads)
        self._closed = False
        self._threads = [
            threading.Thread(target=self._shared.work, name=f"{name}-{number}", daemon=False)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()
        self._stop = finalize(self, self._shared.stop)

    def __repr__(self) -> str:
        return f"<WriterPool {self.statistics()}>"

    def statistics(self) -> WriterStatistics:
        """How much waits, runs and is done."""
        shared = self._shared
        waiting = 0 if self._closed else shared.queue.qsize()
        return WriterStatistics(len(self._threads), waiting, shared.running, shared.done, shared.failed)

    def submit(
        self,
        function: Callable[[*Ts], T],
        *arguments: *Ts,
        release: Callable[[], None] | None = None,
        turn: Turn | None = None,
    ) -> asyncio.Future[T]:
        """Queue ``function(*arguments)``; to be called on the loop that will wait.

        Parameters
        ----------
        function : callable
            Runs in one of the threads, to its end, even when the future is cancelled.
        *arguments
            Kept alive until the job ends.
        release : callable, optional
            Called on the loop once the job has ended, before the future is done, also when the waiter is gone:
            the place to give buffers and tickets back.
        turn : Turn, optional
            Jobs of one turn, all of this pool, run one after the other.

        Returns
        -------
        asyncio.Future
            The outcome. Cancelling it (or the task that awaits it) gives up the answer, not the job.

        Raises
        ------
        RuntimeError
            The pool is closed, or no loop is running.
        """
        if self._closed:
            raise RuntimeError("the writer pool is closed")
        job = _Job(function, arguments, asyncio.get_running_loop(), release, turn)
        if (ready := job if turn is None else turn.enter(job)) is not None:
            self._shared.queue.put(ready)
        return job.future

    async def aclose(self) -> None:
        """Take no more jobs, run those that wait to their end, let the threads end. May be called again.

        When the caller is cancelled meanwhile, jobs and threads still end, unobserved.
        """
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def wake() -> None:
            if not ended.done():
                ended.set_result(None)

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: the caller is gone
                loop.call_soon_threadsafe(wake)

        self._shared.ended.append(tell)
        if not self._closed:
            self._closed = True
            self._stop()
        if self._shared.alive == 0:  # the last thread may have left before it could see `tell`
            wake()
        await ended

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()
