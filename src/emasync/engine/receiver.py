"""Receiving one span of a large object: slabs from the wire, writes in threads (law 5)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from emasync.disk.crc import combine, crc32c_of
from emasync.disk.interface import Partial
from emasync.engine.context import MoveContext
from emasync.engine.version import Version
from emasync.errors import RefusedError
from emasync.model.digest import Span
from emasync.model.task import Task
from emasync.transport.interface import Head, LendingReceiver

WRITES_AHEAD = 2
"""Slabs of one part that may be on their way to the disk while the next one fills."""


class PartOwner(Protocol):
    """The object a span belongs to."""

    task: Task

    def accept(self, version: Version, head: Head, span: Span) -> Span:
        """Take an answer for `span`; gives the span that its body will really fill."""
        ...

    async def reserve(self, version: Version) -> Partial:
        """The open partial of `version`."""
        ...


class PartReceiver(LendingReceiver):
    """Receives one span into slabs and writes them in threads, in whatever order the threads finish.

    Whoever waits for a slab here holds none that is not on its way to the disk: however small the memory, somebody
    can go on.

    Parameters
    ----------
    owner : PartOwner
    version : Version
    span : Span
        What is asked for.
    context : MoveContext
    """

    def __init__(self, owner: PartOwner, version: Version, span: Span, context: MoveContext) -> None:
        self._owner = owner
        self._version = version
        self._asked = span
        self._span = span
        self._context = context
        self._position = span.start
        self._slab: bytearray | None = None
        self._filled = 0
        self._writes: list[asyncio.Future[tuple[int, int]]] = []
        self._crcs: list[tuple[int, int]] = []
        self._restart_at: int | None = None

    def begin(self, head: Head) -> None:
        """Accept an answer: the missing tail, or the beginning again."""
        self._span = self._owner.accept(self._version, head, self._asked)
        expected = self._position + self._filled
        if head.start != expected:
            if head.start != self._span.start:
                raise RefusedError(
                    f"{self._owner.task.location}: byte {expected} was asked for, the answer starts at {head.start}"
                )
            self._restart_at = head.start

    async def feed(self, data: bytes | memoryview) -> None:
        """Copy `data` into slabs. Waits when memory or disk is behind."""
        view = memoryview(data)
        while view:
            room = (await self.room())[: len(view)]
            room[:] = view[: len(room)]
            self.took(len(room))
            view = view[len(room) :]

    async def room(self) -> memoryview:
        """The rest of the present slab; a full one goes to the disk first. Waits when memory or disk is behind."""
        if self._restart_at is not None:
            await self._rewind(self._restart_at)
        if self._slab is not None and self._filled == len(self._slab):
            await self._flush()
        if self._slab is None:
            self._slab, self._filled = await self._context.slabs.take(), 0
        return memoryview(self._slab)[self._filled :]

    def took(self, size_bytes: int) -> None:
        """So many bytes of the last room came."""
        self._filled += size_bytes
        self._context.on_received(size_bytes)

    async def put_down(self) -> None:
        """Send what came to the disk and give the slab back: others may need it while this one waits (law 4)."""
        if self._restart_at is None and self._filled:
            await self._flush()
        self._drop_slab()

    async def _rewind(self, position: int) -> None:
        """Start again: older writes must have landed before newer ones may go to the same place."""
        self._restart_at = None
        await self._drain(0)
        self._crcs.clear()
        self._drop_slab()
        self._position = position

    async def _flush(self) -> None:
        partial = await self._owner.reserve(self._version)
        slab, self._slab = self._slab, None
        if slab is None:
            return
        filled, offset = self._filled, self._position
        self._position, self._filled = self._position + filled, 0
        write = self._context.threads.submit(
            _write_slab, partial, offset, memoryview(slab)[:filled], turn=self._version.writes
        )
        write.add_done_callback(lambda _: self._context.slabs.give(slab))
        self._writes.append(write)
        await self._drain(WRITES_AHEAD)

    async def _drain(self, ahead: int) -> None:
        while len(self._writes) > ahead:
            self._crcs.append(await asyncio.shield(self._writes[0]))
            self._writes.pop(0)

    def _drop_slab(self) -> None:
        if self._slab is not None:
            self._context.slabs.give(self._slab)
            self._slab, self._filled = None, 0

    async def settle(self) -> None:
        """Write what is left and wait for the disk: afterwards nobody works on this part any more."""
        try:
            if self._restart_at is not None:
                await self._rewind(self._restart_at)
            if self._slab is not None and self._filled:
                await self._flush()
        finally:
            self._drop_slab()
            await self._land()

    async def _land(self) -> None:
        """Wait for all writes, also for those behind one that failed: they own the partial until they end (law 5)."""
        if self._writes:
            await asyncio.wait(self._writes)
        failures = [error for write in self._writes if (error := write.exception()) is not None]
        if failures:
            raise failures[0]
        await self._drain(0)

    @property
    def landed(self) -> int:
        """The first byte that was not handed to the disk yet."""
        return self._position

    def result(self, upto: int | None = None) -> tuple[int, int, int]:
        """Start, stop and CRC-32C of what was written, up to a place where :attr:`landed` was once."""
        crc, stop = 0, self._span.start
        for piece, size_bytes in self._crcs:
            if stop == upto:
                break
            crc, stop = combine(crc, piece, size_bytes), stop + size_bytes
        return self._span.start, stop, crc


def _write_slab(partial: Partial, offset: int, data: memoryview) -> tuple[int, int]:
    """In a thread: CRC while the bytes are hot, then to the disk."""
    crc = crc32c_of(data)
    partial.write(offset, data)
    return crc, len(data)
