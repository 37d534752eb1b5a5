from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from emasync.disk.crc import crc32c_of
from emasync.disk.interface import Partial, WrittenBatch
from emasync.disk.pace import WriterPlace
from emasync.disk.sink import LocalSink
from emasync.disk.writers import WriterPool
from emasync.engine.committer import Committer, Note, Release
from emasync.engine.digests import Findings
from emasync.engine.sealing import LargeObjectDone, Outcome, SmallObject
from emasync.errors import EmasyncError, ErrorKind, MachineError
from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import Fact, PartDone, Sealed
from emasync.model.digest import Digest, Validator
from emasync.model.task import Task, TaskKey, TaskSetSpec


class Journal:
    """A ledger that only remembers what it was told, in one list with what the disk did."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.facts: list[Fact] = []
        self.rows: list[SealedRow] = []
        self.batches: list[list[TaskKey]] = []
        self.placed: list[TaskKey] = []
        self.durable = 3

    async def call(self, method: str | Callable[[Any], Any], *args: Any, **options: Any) -> Any:
        if method == "last_epoch":
            return self.durable
        if method == "set_durable_epoch":
            self.steps.append(f"durable {args[0]}")
            return None
        if method == "seal_rows":
            rows: Sequence[SealedRow] = args[0]
            self.rows += rows
            self.batches.append([row.key for row in rows])
            self.steps.append(f"ledger {len(rows)} sealed, epoch {args[1]}")
            return len(self.batches) - 1
        if method == "place_rows":
            refused = [key for _, key in args[1]]
            self.placed += [key for key in self.batches[args[0]] if key not in refused]
            self.steps.append(f"ledger {len(self.batches[args[0]]) - len(refused)} placed, {len(refused)} refused")
            return None
        assert method == "record"
        facts: Sequence[Fact] = args[0]
        self.facts += facts
        self.steps.append("ledger " + "+".join(type(fact).__name__ for fact in facts))
        if options.get("durable"):
            self.steps[-1] += " durable"
        return None


class WatchedPartial:
    def __init__(self, inner: Partial, steps: list[str]) -> None:
        self.name = inner.name
        self.write = inner.write
        self.read = inner.read
        self.close = inner.close
        self._inner = inner
        self._steps = steps

    def seal(self, size_bytes: int) -> None:
        self._inner.seal(size_bytes)
        self._steps.append("fdatasync")

    def sync(self) -> None:
        self._inner.sync()
        self._steps.append("fdatasync unfinished")


class WatchedSink:
    """A local sink that writes its steps into the journal."""

    spread = False

    def __init__(self, root: Path, journal: Journal) -> None:
        self._inner = LocalSink(root)
        self._steps = journal.steps
        self.stat = self._inner.stat
        self.has_folder = self._inner.has_folder
        self.read_final = self._inner.read_final
        self.scan_final = self._inner.scan_final
        self.discard = self._inner.discard
        self.reopen = self._inner.reopen
        self.retract = self._inner.retract
        self.partials = self._inner.partials
        self.write_whole = self._inner.write_whole
        self.write_document = self._inner.write_document
        self.free_bytes = self._inner.free_bytes
        self.free_inodes = self._inner.free_inodes
        self.close = self._inner.close

    def reserve(self, name: str, size_bytes: int | None, destination: str = "") -> WatchedPartial:
        return WatchedPartial(self._inner.reserve(name, size_bytes, destination), self._steps)

    def sync_batches(self, batches: Sequence[WrittenBatch]) -> None:
        self._inner.sync_batches(batches)
        self._steps.append("sync")

    def place(self, name: str, destination: str) -> None:
        self._inner.place(name, destination)
        self._steps.append("rename")

    def place_many(self, pairs: Sequence[tuple[str, str]]) -> list[EmasyncError | None]:
        errors = self._inner.place_many(pairs)
        self._steps.append("rename")
        return errors

    def sync_folders(self) -> None:
        self._inner.sync_folders()
        self._steps.append("folders")


def task_for(key: str) -> Task:
    return Task(TaskSetSpec(dataset="d", base="https://example.org/", destination="d"), 1, key)


off = asyncio.to_thread
"""Tests drive the disk by hand; the loop must not notice."""


def small(key: str, data: bytes, *promised: Digest) -> SmallObject:
    body = memoryview(data)
    return SmallObject(task_for(key), body, body, Validator(), promised)


class Bench:
    def __init__(self, root: Path, max_objects: int = 512, max_bytes: int = 1 << 20) -> None:
        self.root = root
        self.journal = Journal()
        self.sink = WatchedSink(root, self.journal)
        self.threads = WriterPool(2)
        self.outcomes: list[Outcome] = []
        self.returned: list[memoryview] = []
        self.committer = Committer(
            sink=self.sink,
            ledger=self.journal,
            threads=self.threads,
            checks="published",
            max_objects=max_objects,
            max_bytes=max_bytes,
            give_back=self.returned.append,
            place=WriterPlace(),
            on_outcome=self.outcomes.append,
            on_committed=lambda: None,
            linger_s=3600,
        )

    async def add(self, item: SmallObject) -> None:
        await self.committer.room()
        self.committer.add(item)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.committer.run())
        try:
            yield bench
        finally:
            bench.committer.close()
    await bench.threads.aclose()
    await off(bench.sink.close)


async def test_every_file_goes_through_the_steps_of_law_one_in_order(tmp_path: Path) -> None:
    async with running(await off(Bench, tmp_path)) as bench:
        await bench.add(small("a/x", b"hello"))

    assert bench.journal.steps == [
        "sync",
        "ledger 1 sealed, epoch 4",
        "rename",
        "ledger 1 placed, 0 refused",
        "folders",
        "durable 5",
    ]
    assert (tmp_path / "d/a/x").read_bytes() == b"hello"
    assert [outcome.error for outcome in bench.outcomes] == [None]
    sealed = bench.journal.rows[0]
    assert (sealed.size_bytes, sealed.crc32c, sealed.verified) == (5, crc32c_of(b"hello"), "computed")
    assert bench.returned == [b"hello"]


async def test_what_arrives_together_is_committed_together(tmp_path: Path) -> None:
    bench = await off(Bench, tmp_path)
    for number in range(20):
        await bench.add(small(str(number), b"x" * number))

    async with running(bench):
        pass

    assert bench.journal.steps[:4] == [
        "sync",
        "ledger 20 sealed, epoch 4",
        "rename",
        "ledger 20 placed, 0 refused",
    ]


async def test_what_comes_while_a_batch_is_on_its_way_waits_for_company_too(tmp_path: Path) -> None:
    bench, on_its_way, go_on = await off(Bench, tmp_path, 64), Event(), Event()
    sync_batches = bench.sink.sync_batches

    def slow(batches: Sequence[WrittenBatch]) -> None:
        on_its_way.set()
        go_on.wait()
        sync_batches(batches)

    bench.sink.sync_batches = slow  # type: ignore[method-assign]  # a slow disk is another disk
    async with running(bench):
        for number in range(16):  # half of what may wait: enough for a batch
            await bench.add(small(str(number), b"x"))
        await off(on_its_way.wait)
        await bench.add(small("late", b"x"))
        go_on.set()
        while len(bench.outcomes) < 16:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await bench.add(small("later", b"x"))

    assert [len(batch) for batch in bench.journal.batches] == [16, 2]


async def test_intake_waits_while_half_of_what_a_crash_may_cost_is_queued(tmp_path: Path) -> None:
    bench = await off(Bench, tmp_path, 4)
    await bench.add(small("1", b""))
    await bench.add(small("2", b""))
    third = asyncio.create_task(bench.add(small("3", b"")))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not third.done()
    assert repr(bench.committer) == "<Committer epoch 0, 2 objects waiting, busy False>"

    async with running(bench):
        await third

    assert len(bench.outcomes) == 3
    assert bench.committer.idle


async def test_what_is_on_its_way_counts_as_queued(tmp_path: Path) -> None:
    """It will arrive whatever is full then: together that may not be more than a crash may cost."""
    bench = await off(Bench, tmp_path, 8)
    bench.committer.expect(2, 20)
    await bench.add(small("1", b""))
    after_one = bench.committer.full
    await bench.add(small("2", b""))
    assert (after_one, bench.committer.full) == (False, True), "two are here and two are coming: half of eight"

    bytes_bench = await off(Bench, tmp_path, 8, 100)
    bytes_bench.committer.expect(1, 20)
    await bytes_bench.add(small("3", b"x" * 29))
    assert not bytes_bench.committer.full
    bytes_bench.committer.expect(-1, -20)
    await bytes_bench.add(small("4", b""))
    assert not bytes_bench.committer.full
    bytes_bench.committer.expect(1, 21)
    await bytes_bench.add(small("5", b""))
    assert bytes_bench.committer.full


async def test_a_wrong_digest_places_nothing_and_the_others_go_on(tmp_path: Path) -> None:
    async with running(await off(Bench, tmp_path)) as bench:
        await bench.add(small("bad", b"hello", Digest("md5", "0" * 32)))
        await bench.add(small("good", b"hello"))

    ended = {outcome.task.key: outcome.error for outcome in bench.outcomes}
    assert ended["good"] is None
    assert ended["bad"] is not None
    assert ended["bad"].kind is ErrorKind.CHECKSUM_MISMATCH
    assert not (tmp_path / "d/bad").exists()
    assert list((tmp_path / ".emasync/partial").iterdir()) == []


async def test_a_foreign_file_is_not_replaced_but_an_equal_one_will_do(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/other").write_bytes(b"mine!")
    (tmp_path / "d/same").write_bytes(b"hello")

    async with running(await off(Bench, tmp_path)) as bench:
        await bench.add(small("other", b"hello"))
        await bench.add(small("same", b"hello"))

    ended = {outcome.task.key: outcome.error for outcome in bench.outcomes}
    assert ended["same"] is None
    assert ended["other"] is not None
    assert ended["other"].kind is ErrorKind.DESTINATION_EXISTS
    assert (tmp_path / "d/other").read_bytes() == b"mine!"
    assert bench.journal.placed == ["same"]
    assert list((tmp_path / ".emasync/partial").iterdir()) == []


def part(start: int, stop: int) -> PartDone:
    return PartDone(set_id=1, key="big", generation=0, start=start, stop=stop, crc32c=0)


async def test_parts_are_told_at_once_and_durable_after_their_sync(tmp_path: Path) -> None:
    bench = await off(Bench, tmp_path)
    partial = await off(bench.sink.reserve, "p", 10)
    await off(partial.write, 0, b"0123456789")
    await bench.committer.submit(Note(fact=part(0, 10), partial=partial))
    bench.committer.submit_now(Release(partial))

    async with running(bench):
        pass

    assert bench.journal.steps == ["ledger PartDone", "fdatasync unfinished", "folders", "durable 5"]
    told = bench.journal.facts[0]
    assert isinstance(told, PartDone)
    assert told.epoch == 4
    with pytest.raises(ValueError, match="closed"):
        partial.write(0, b"x")


async def test_a_finished_large_object_is_sealed_and_placed(tmp_path: Path) -> None:
    bench = await off(Bench, tmp_path)
    partial = await off(bench.sink.reserve, "p", 3)
    await off(partial.write, 0, b"abc")
    findings = Findings(crc32c=9, verified="published")
    await bench.committer.submit(
        LargeObjectDone(
            task=task_for("big"), partial=partial, size_bytes=3, validator=Validator(), findings=findings, generation=0
        )
    )

    async with running(bench):
        pass

    assert (tmp_path / "d/big").read_bytes() == b"abc"
    sealed = bench.journal.facts[0]
    assert isinstance(sealed, Sealed)
    assert (sealed.crc32c, sealed.verified) == (9, "published")


async def test_a_large_object_of_the_wrong_size_is_not_sealed(tmp_path: Path) -> None:
    bench = await off(Bench, tmp_path)
    partial = await off(bench.sink.reserve, "p", 3)
    await off(partial.write, 0, b"ab")
    findings = Findings(crc32c=9, verified="computed")
    await bench.committer.submit(
        LargeObjectDone(
            task=task_for("big"), partial=partial, size_bytes=3, validator=Validator(), findings=findings, generation=0
        )
    )

    async with running(bench):
        pass

    assert [outcome.error.kind for outcome in bench.outcomes if outcome.error] == [ErrorKind.SIZE_MISMATCH]
    assert not (tmp_path / "d/big").exists()


async def test_a_disk_that_cannot_sync_stops_everything(tmp_path: Path) -> None:
    bench = await off(Bench, tmp_path)

    def broken() -> None:
        raise MachineError("no", kind=ErrorKind.SYNC_FAILED)

    bench.sink.sync_folders = broken  # type: ignore[method-assign]  # a disk that fails is another disk
    with pytest.raises(ExceptionGroup) as caught:
        async with running(bench):
            await bench.add(small("a", b"x"))

    assert caught.group_contains(MachineError)
    await bench.threads.aclose()


async def test_a_part_is_recorded_before_its_connection_goes_on_and_synced_when_there_is_enough(tmp_path: Path) -> None:
    async with running(await off(Bench, tmp_path, 512, 40)) as bench:
        partial = await off(bench.sink.reserve, "p", 40)
        await off(partial.write, 0, b"0" * 40)
        await bench.committer.tell_part(part(0, 10), partial)
        assert bench.journal.steps == ["ledger PartDone"]
        await bench.committer.tell_part(part(10, 40), partial)
        while "durable 4" not in bench.journal.steps:
            await asyncio.sleep(0)
        bench.committer.submit_now(Release(partial))

    assert bench.journal.steps[:5] == [
        "ledger PartDone",
        "ledger PartDone",
        "fdatasync unfinished",
        "folders",
        "durable 4",
    ]
    assert [fact.epoch for fact in bench.journal.facts if isinstance(fact, PartDone)] == [4, 4]
