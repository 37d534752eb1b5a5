"""Law 1 in one place: write, check, fdatasync, ``sealed``, rename, folder fsync, ``placed``. In batches.

What arrives while one batch is on its way to the disk makes up the next one, so the batch grows with the disk's
latency and no timer is needed. What is received and not yet durable is bounded: that is what a crash may cost
(settings ``commit_objects`` and ``commit_bytes``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from emasync.disk.interface import Partial, Sink
from emasync.disk.pace import WriterPlace
from emasync.engine.digests import Checks
from emasync.engine.hops import HopWriter, Writing
from emasync.engine.interface import Threads
from emasync.engine.sealing import (
    LargeObjectDone,
    Outcome,
    SealedObject,
    SmallObject,
    WrittenHop,
    WrittenSmall,
    discard_all,
    place_all,
    place_small,
    seal_large,
    sync_all,
    sync_hops,
)
from emasync.errors import EmasyncError
from emasync.ledger.interface import Absent, Fact, Failed, Invalidated, LedgerCalls, PartDone, Placed
from emasync.model.redaction import redact
from emasync.model.task import Task

LINGER_OBJECTS = 256
"""A batch of so many small objects is committed at once, or half of what may wait; a smaller one waits for more."""

LINGER_S = 0.05
"""Longest wait for more: a batch has a price that does not depend on its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A fact to record in order; `partial` is the file it speaks of, to be synced before the fact is durable."""

    fact: Fact
    partial: Partial | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A partial nobody writes to any more: synced, then closed."""

    partial: Partial


Item = LargeObjectDone | Note | Release


@dataclass(slots=True)
class _Batch:
    """What is committed together.

    Attributes
    ----------
    items : list of Item
    hops : list of WrittenHop
        Small objects that are written.
    under_way : list of Writing
        Small objects that a thread is writing.
    objects, size_bytes : int
        Small objects, and bytes of all that counts as received.
    """

    items: list[Item] = field(default_factory=list)
    hops: list[WrittenHop] = field(default_factory=list)
    under_way: list[Writing] = field(default_factory=list)
    objects: int = 0
    size_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.items or self.hops or self.under_way)


class Committer:
    """Takes received objects and facts, makes them durable in law 1's order, tells how each ended.

    Parameters
    ----------
    sink : Sink
    ledger : LedgerCalls
    threads : Threads
    checks : {"published", "sha256", "size"}
    max_objects, max_bytes : int
        The most that is received and not yet placed.
    give_back : callable
        Takes the memory of a small object back.
    place : WriterPlace
        Where small objects are written and renamed.
    on_outcome : callable
        Called on the loop for every object that was placed or failed here.
    on_committed : callable
        Called after each batch.
    linger_s : float
        Longest wait for more, seconds.

    Attributes
    ----------
    full : bool
        Whether no more small objects should be asked for now.
    """

    def __init__(
        self,
        *,
        sink: Sink,
        ledger: LedgerCalls,
        threads: Threads,
        checks: Checks,
        max_objects: int,
        max_bytes: int,
        give_back: Callable[[memoryview], None],
        place: WriterPlace,
        on_outcome: Callable[[Outcome], None],
        on_committed: Callable[[], None],
        linger_s: float = LINGER_S,
    ) -> None:
        self._sink = sink
        self._ledger = ledger
        self._threads = threads
        # one half waits, the other is on its way: together what a crash may cost
        self._batch_objects = max(1, max_objects // 2)
        self._batch_bytes = max(1, max_bytes // 2)
        self._enough_objects = min(LINGER_OBJECTS, max(1, self._batch_objects // 2))
        self._writer = HopWriter(sink=sink, threads=threads, checks=checks, give_back=give_back, place=place)
        self._place_hops = place
        self._on_outcome = on_outcome
        self._on_committed = on_committed
        self._batch = _Batch()
        self._coming_objects = 0
        self._coming_bytes = 0
        self.full = False
        self._linger_s = linger_s
        self._linger: asyncio.TimerHandle | None = None
        self._busy = False
        self._closing = False
        self._epoch = 0
        self._synced_epoch = 0
        self._dirty: dict[str, Partial] = {}
        self._released: list[Partial] = []
        self._unsynced_bytes = 0
        self._unsynced_objects = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __repr__(self) -> str:
        return f"<Committer epoch {self._epoch}, {self._batch.objects} objects waiting, busy {self._busy}>"

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._busy and not self._batch and self._writer.empty

    # --- intake ------------------------------------------------------------------------------------------------

    async def submit(self, item: Item) -> None:
        """Queue `item`; waits while the next batch is full."""
        await self.room()
        self._add(item)

    async def room(self) -> None:
        """Wait while the next batch is full."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def expect(self, objects: int, size_bytes: int) -> None:
        """So many small objects were asked for; negative: they have come, or never will.

        Nobody can send them back once the batch is full: they count as if they were in it.
        """
        self._coming_objects += objects
        self._coming_bytes += size_bytes

    def add(self, item: SmallObject) -> None:
        """Take a whole small object; its memory comes back through ``give_back`` once it is written."""
        batch = self._batch
        batch.objects += 1
        batch.size_bytes += len(item.body)
        self._writer.add(item)
        if batch.objects >= self._enough_objects or 2 * batch.size_bytes >= self._batch_bytes:
            self._look_whether_full()
            self._work.set()
        elif self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(self._linger_s, self.hurry)

    def hurry(self) -> None:
        """Commit what is there without waiting for more."""
        self._work.set()

    def submit_now(self, item: Item) -> None:
        """Queue `item` whatever the batch's size: facts that must not be lost to a cancellation."""
        self._add(item)

    async def tell_part(self, fact: PartDone, partial: Partial) -> None:
        """Record a finished part at once: its connection may only go on when a crash cannot cost it any more.

        A power cut still can; the part counts as durable after the next sync of `partial`.
        """
        self._dirty[partial.name] = partial
        self._unsynced_bytes += fact.stop - fact.start
        self._work.set()
        await self._ledger.call("record", [replace(fact, epoch=self._epoch + 1)])

    def _look_whether_full(self) -> None:
        objects = self._batch.objects + self._coming_objects
        size_bytes = self._batch.size_bytes + self._coming_bytes
        self.full = objects >= self._batch_objects or size_bytes >= self._batch_bytes

    def _add(self, item: Item) -> None:
        self._batch.items.append(item)
        if isinstance(item, Note) and isinstance(item.fact, PartDone):
            self._batch.size_bytes += item.fact.stop - item.fact.start
            self._look_whether_full()
        self._work.set()

    def _take(self) -> _Batch:
        batch, self._batch, self.full = self._batch, _Batch(), False
        batch.hops, batch.under_way = self._writer.take()
        self._busy = bool(batch)
        self._work.clear()
        self._room.set()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        return batch

    # --- the cycle ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit batches until :meth:`close` was called and nothing is left.

        Raises
        ------
        MachineError
            Disk or ledger cannot go on.
        """
        self._epoch = self._synced_epoch = await self._ledger.call("last_epoch")
        while True:
            if self._batch.objects and not self._closing:
                await self._work.wait()  # whoever arrived while the last batch was on its way waits for company, too
            batch = self._take()
            if batch:
                await self._commit(batch)
            elif self._should_sync():
                self._epoch += 1  # parts told since the last batch belong to the epoch that begins here
                await self._sync_point(self._epoch)
            elif self._closing:
                return
            else:
                await self._work.wait()

    def close(self) -> None:
        """Let :meth:`run` return once everything queued is on disk."""
        self._closing = True
        self._work.set()

    def _should_sync(self) -> bool:
        """Whether to sync while there is nothing to commit: parts wait until there is enough of them."""
        if self._dirty:
            return self._closing or bool(self._released) or self._unsynced_bytes >= self._batch_bytes
        return self._epoch > self._synced_epoch

    async def _commit(self, batch: _Batch) -> None:
        self._epoch += 1
        if (
            self._unsynced_bytes + batch.size_bytes >= self._batch_bytes
            or self._unsynced_objects + batch.objects >= self._batch_objects
        ):
            await self._sync_point(self._epoch - 1)
        self._mark_dirty(batch)
        small = await self._sync_small([*batch.hops, *[(await hop)[0] for hop in batch.under_way]])
        sealed = await self._seal_large(batch)
        rows = [entry.row for entry in small]
        number = await self._ledger.call("seal_rows", rows, self._epoch) if rows else 0
        facts: list[Fact] = [_stamped(item.fact, self._epoch) for item in batch.items if isinstance(item, Note)]
        facts += [entry.fact for entry in sealed]
        if facts:
            await self._ledger.call("record", facts, durable=bool(sealed))
        await self._place_small(small, number)
        await self._place(sealed)
        self._busy = False
        self._on_committed()

    async def _sync_small(self, hops: list[WrittenHop]) -> list[WrittenSmall]:
        if hops:
            await self._threads.submit(sync_hops, self._sink, hops)
        for hop in hops:
            for outcome in hop.refused:
                self._on_outcome(outcome)
        return [entry for hop in hops for entry in hop.written]

    async def _seal_large(self, batch: _Batch) -> list[SealedObject]:
        large = [item for item in batch.items if isinstance(item, LargeObjectDone)]
        jobs = [self._threads.submit(seal_large, item, self._epoch) for item in large]
        results = [entry for job in jobs for entry in await job]
        for entry in results:
            if isinstance(entry, Outcome):
                self._on_outcome(entry)
        for item in large:
            self._dirty.pop(item.partial.name, None)
        return [entry for entry in results if isinstance(entry, SealedObject)]

    async def _place_small(self, small: list[WrittenSmall], number: int) -> None:
        if not small:
            return
        if self._place_hops.next_hop().inline:
            errors = place_small(self._sink, small)
        else:
            errors = await self._threads.submit(place_small, self._sink, small)
        refused = [entry for entry, error in zip(small, errors, strict=True) if error is not None]
        names = [(entry.task.set_id, entry.task.key) for entry in refused]
        await self._ledger.call("place_rows", number, names)
        if refused:
            await self._threads.submit(discard_all, self._sink, [entry.name for entry in refused])
        tell = self._on_outcome
        for (task, _, row), error in zip(small, errors, strict=True):
            tell(Outcome(task, row.size_bytes, error))

    async def _place(self, sealed: list[SealedObject]) -> None:
        if not sealed:
            return
        placed = await self._threads.submit(place_all, self._sink, sealed)
        facts: list[Fact] = [
            (Placed if error is None else Invalidated)(set_id=entry.task.set_id, key=entry.task.key)
            for entry, error in placed
        ]
        await self._ledger.call("record", facts)
        if refused := [entry.name for entry, error in placed if error is not None]:
            await self._threads.submit(discard_all, self._sink, refused)
        for entry, error in placed:
            self._on_outcome(Outcome(task=entry.task, size_bytes=entry.fact.size_bytes, error=error))

    def _mark_dirty(self, batch: _Batch) -> None:
        self._unsynced_objects += batch.objects
        self._unsynced_bytes += batch.size_bytes
        for item in batch.items:
            if isinstance(item, Note) and item.partial is not None:
                self._dirty[item.partial.name] = item.partial
            elif isinstance(item, Release):
                self._dirty[item.partial.name] = item.partial
                self._released.append(item.partial)

    async def _sync_point(self, epoch: int) -> None:
        """Everything up to `epoch` becomes durable: data of unfinished files, then folders, then the ledger's word."""
        dirty, self._dirty = list(self._dirty.values()), {}
        released, self._released = self._released, []
        self._unsynced_bytes = self._unsynced_objects = 0
        await self._threads.submit(sync_all, self._sink, dirty, released)
        await self._ledger.call("set_durable_epoch", epoch)
        self._synced_epoch = epoch


def failed(task: Task, error: EmasyncError) -> Failed:
    """The fact that `task` was given up because of `error`."""
    return Failed(
        set_id=task.set_id,
        key=task.key,
        location=redact(task.location),
        kind=error.kind,
        message=error.message,
        attempts=task.attempts + 1,
    )


def absent(task: Task) -> Absent:
    """The fact that the publisher left `task`'s object out."""
    return Absent(set_id=task.set_id, key=task.key)


def _stamped(fact: Fact, epoch: int) -> Fact:
    return replace(fact, epoch=epoch) if isinstance(fact, PartDone) else fact
