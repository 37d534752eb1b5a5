"""Small objects on their way to the disk, a few in one hop: on the loop where that is quicker, else in a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from emasync.disk.interface import Sink
from emasync.disk.pace import Hop, WriterPlace
from emasync.engine.digests import Checks, wanted_hashes
from emasync.engine.interface import Threads
from emasync.engine.sealing import SmallObject, WrittenHop, write_hop
from emasync.errors import MachineError

Writing = asyncio.Future[tuple[WrittenHop, float]]
"""A hop in a thread, and the seconds it took."""

INLINE_OBJECTS = 8
"""A hop on the loop: few objects, so that their memory is still in the processor's cache."""


class HopWriter:
    """Collects small objects and writes them in hops.

    Parameters
    ----------
    sink : Sink
    threads : Threads
    checks : {"published", "sha256", "size"}
    give_back : callable
        Takes the memory of an object back.
    place : WriterPlace
        Decides, from what hops took.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        *,
        sink: Sink,
        threads: Threads,
        checks: Checks,
        give_back: Callable[[memoryview], None],
        place: WriterPlace,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sink = sink
        self._threads = threads
        self._checks = checks
        self._always_hashing = bool(wanted_hashes((), checks))
        self._give_back = give_back
        self._arrived: list[SmallObject] = []
        self._arrived_bytes = 0
        self._under_way: list[Writing] = []
        self._written: list[WrittenHop] = []
        self._error: MachineError | None = None
        self._place = place
        self._clock = clock
        self._hop = place.next_hop()
        self._warm = False  # the first hop makes folders and looks at the filesystem: not on the loop

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be taken."""
        return not (self._arrived or self._under_way or self._written)

    def add(self, item: SmallObject) -> None:
        """Take an object; a full hop is written."""
        self._arrived.append(item)
        self._arrived_bytes += len(item.body)
        hop = self._hop
        files = min(hop.files, INLINE_OBJECTS) if hop.inline else hop.files
        if len(self._arrived) >= files or self._arrived_bytes >= hop.size_bytes:
            self._start()

    def _start(self) -> None:
        hop, items, size_bytes = self._hop, self._arrived, self._arrived_bytes
        self._arrived, self._arrived_bytes = [], 0
        promised = [item.promised for item in items if item.promised]
        hashing = self._always_hashing or any(wanted_hashes(digests, self._checks) for digests in promised)
        if hop.inline and self._warm and not hashing:
            self._write_here(hop, items, size_bytes)
        else:
            self._write_there(hop, items, size_bytes)
        self._hop = self._place.next_hop()

    def _write_here(self, hop: Hop, items: list[SmallObject], size_bytes: int) -> None:
        try:
            written, took_s = self._write(items)
        except MachineError as error:
            self._error = error  # told by `take`: nobody here could
        else:
            self._written.append(written)
            self._place.observed(hop, len(items), size_bytes, took_s)
        self._release(items)

    def _write_there(self, hop: Hop, items: list[SmallObject], size_bytes: int) -> None:
        def ended(job: asyncio.Future[tuple[WrittenHop, float]]) -> None:
            self._release(items)
            self._warm = True
            if not job.cancelled() and job.exception() is None:
                self._place.observed(hop, len(items), size_bytes, job.result()[1])

        job = self._threads.submit(self._write, items)
        job.add_done_callback(ended)
        self._under_way.append(job)

    def _write(self, items: list[SmallObject]) -> tuple[WrittenHop, float]:
        began_s = self._clock()
        return write_hop(self._sink, items, self._checks), self._clock() - began_s

    def _release(self, items: list[SmallObject]) -> None:
        for item in items:
            self._give_back(item.space)

    def take(self) -> tuple[list[WrittenHop], list[Writing]]:
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
