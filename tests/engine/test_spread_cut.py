"""A power cut while data are laid into a folder outside the root: law 1 holds in each of them."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.engine.desk import BASE, PART, Desk

from emasync.disk.sink import LocalSink
from emasync.disk.spread import SpreadSink
from emasync.ledger.thread import LedgerThread
from emasync.model.task import ObjectEntry
from emasync.testing.crashdisk import CrashDisk
from emasync.testing.fetcher import MemoryFetcher
from emasync.testing.watched_ledger import WatchedLedger

UNFINISHED = ".emasync/partial/t"
CUTS = 25


def objects() -> dict[str, bytes]:
    random = Random(3)
    made = {f"s/{number:03}": random.randbytes(number * 5) for number in range(60)}
    made |= {f"t/{number:03}": random.randbytes(number * 5) for number in range(60)}
    return made | {"s/large": random.randbytes(9 * PART + 77), "t/large": random.randbytes(9 * PART)}


def a_desk(root: Path) -> Desk:
    desk = Desk(root)
    desk.settings = replace(desk.settings, commit_objects=16, commit_bytes=8 * PART)
    desk.fetcher = MemoryFetcher({f"{BASE}/{key}": data for key, data in objects().items()})
    return desk


async def test_after_a_power_cut_all_bytes_are_identical(tmp_path: Path) -> None:
    desk, outside = a_desk(tmp_path / "first"), tmp_path / "outside"
    await desk.plan(*(ObjectEntry(key=key, size_bytes=len(data)) for key, data in objects().items()))
    disks = [
        await asyncio.to_thread(CrashDisk, desk.root),
        await asyncio.to_thread(lambda: CrashDisk(outside, partial_folder=UNFINISHED)),
    ]
    desk.wrap_sink = lambda _: SpreadSink(disks[0], {"d/s": disks[1]})
    moments: list[list[int]] = []
    ledgers: list[WatchedLedger] = []

    def moment() -> int:
        moments.append([len(disk.operations) for disk in disks])
        return len(moments) - 1

    def watch(inner: LedgerThread) -> WatchedLedger:
        ledgers.append(WatchedLedger(inner, desk.root / ".emasync", tmp_path / "copies", moment))
        return ledgers[0]

    desk.wrap_ledger = watch
    async with desk.opened() as engine:
        await ledgers[0].copy(synced=True)
        outcome = await engine.run()
    assert outcome.placed == len(objects())
    assert len(list((outside).glob("*"))) == 62, "61 files and the folder of the unfinished ones"
    for seed in range(CUTS):
        random = Random(seed)
        at_the_end = seed < 3
        cut = len(moments) - 1 if at_the_end else random.randrange(len(moments))
        kept = ledgers[0].copies[-1] if at_the_end else ledgers[0].after_a_cut(cut, random)
        again = a_desk(tmp_path / f"cut-{seed}")
        places = [again.root, tmp_path / f"outside-{seed}"]
        for disk, place, count in zip(disks, places, moments[cut], strict=True):
            await asyncio.to_thread(disk.materialise, place, count, seed, keep=random.choice([None, 0.0, 1.0]))
        await asyncio.to_thread(shutil.copytree, kept.folder, again.root / ".emasync", dirs_exist_ok=True)
        again.boot_id = "another boot"
        received = await finish(again, places[1], f"seed {seed}")
        assert not at_the_end or received == 0, "what was durable is gone"


def opened(root: Path, outside: Path) -> SpreadSink:
    sinks = LocalSink(root), LocalSink(outside, partial_folder=UNFINISHED)
    for sink in sinks:
        sink.write_whole([]).close()
    return SpreadSink(sinks[0], {"d/s": sinks[1]})


async def finish(desk: Desk, outside: Path, words: str) -> int:
    """The next run ends in identical bytes, with nothing left over; gives the bytes it fetched."""
    sink = await asyncio.to_thread(opened, desk.root, outside)
    desk.wrap_sink = lambda _: sink
    outcome = await desk.run()
    assert (outcome.stopped, outcome.failed) == (None, 0), f"{words}: {await desk.kinds()}"
    for key, data in objects().items():
        place = outside / key.removeprefix("s/") if key.startswith("s/") else desk.file(key)
        assert await asyncio.to_thread(place.read_bytes) == data, f"{words}: {key}"
    assert not desk.file("s").exists(), words
    assert [path for path in (*desk.partials(), *(outside / UNFINISHED).glob("*")) if path.is_file()] == [], words
    assert (await desk.run()).bytes_received == 0, words
    await asyncio.to_thread(sink.close)
    return outcome.bytes_received
