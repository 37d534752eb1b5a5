"""Small objects on their way to the disk, a few in one hop: on the loop where that is quicker, else in a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from emasync.disk.interface import Sink
from emasync.engine.digests import Checks, wanted_hashes
from emasync.engine.interface import Threads
from emasync.engine.sealing import Hop, SmallObject, write_hop
from emasync.errors import MachineError

INLINE_OBJECTS = 8
"""A hop on the loop: few objects, so that their memory is still in the processor's cache."""

THREAD_OBJECTS = 32
"""A hop in a thread: handing over costs as much as writing three files."""


class WriterPlace:
    def __init__(self) -> None:
        self.inline = False
        self._file_s = 0.0
        self._hops = 0

    def observed(self, files: int, took_s: float) -> None:
        self._hops += 1
        self._file_s += 0.2 * (took_s / files - self._file_s)
        self.inline = self._hops > 2 and self._file_s < 250e-6 and took_s < 0.05


class HopWriter:
    """Collects small objects and writes them in hops.

    Parameters
    ----------
    sink : Sink
    threads : Threads
    checks : {"published", "sha256", "size"}
    give_back : callable
        Takes the memory of an object back.
    """

    def __init__(
        self, *, sink: Sink, threads: Threads, checks: Checks, give_back: Callable[[memoryview], None]
    ) -> None:
        self._sink = sink
        self._threads = threads
        self._checks = checks
        self._give_back = give_back
        self._arrived: list[SmallObject] = []
        self._under_way: list[asyncio.Future[Hop]] = []
        self._written: list[Hop] = []
        self._error: MachineError | None = None
        self._place = WriterPlace()

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be taken."""
        return not (self._arrived or self._under_way or self._written)

    def add(self, item: SmallObject) -> None:
        """Take an object; a full hop is written."""
        self._arrived.append(item)
        if len(self._arrived) >= (INLINE_OBJECTS if self._place.inline else THREAD_OBJECTS):
            self._start()

    def _start(self) -> None:
        items, self._arrived = self._arrived, []
        if self._place.inline and not any(wanted_hashes(item.promised, self._checks) for item in items):
            try:
                self._written.append(self._write(items))
            except MachineError as error:
                self._error = error  # told by `take`: nobody here could
            self._release(items)
            return
        job = self._threads.submit(self._write, items)
        job.add_done_callback(lambda _: self._release(items))
        self._under_way.append(job)

    def _write(self, items: list[SmallObject]) -> Hop:
        began_s = time.perf_counter()
        hop = write_hop(self._sink, items, self._checks)
        self._place.observed(len(items), time.perf_counter() - began_s)
        return hop

    def _release(self, items: list[SmallObject]) -> None:
        for item in items:
            self._give_back(item.space)

    def take(self) -> tuple[list[Hop], list[asyncio.Future[Hop]]]:
        """Hops that are written and hops under way, with all that has arrived.

        Raises
        ------
        MachineError
            The disk cannot go on.
        """
        if self._arrived:
            self._start()
        if self._error is not None:
            raise self._error
        written, self._written = self._written, []
        under_way, self._under_way = self._under_way, []
        return written, under_way
