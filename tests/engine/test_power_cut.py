"""A power cut: any subset of what was not synced is lost, any prefix of the ledger that is not shorter than its last
synced commit is kept. The next run must end in identical bytes."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.engine.desk import BASE, PART, Desk

from emasync.ledger.thread import LedgerThread
from emasync.model.task import ObjectEntry
from emasync.testing.crashdisk import CrashDisk
from emasync.testing.fetcher import MemoryFetcher
from emasync.testing.powercut import Wrote
from emasync.testing.watched_ledger import WatchedLedger

SMALL = 150
CONNECTIONS = 4
COMMIT_OBJECTS = 32
COMMIT_BYTES = 8 * PART


class Story:
    """A whole run, with everything that is needed to cut it anywhere."""

    def __init__(self, folder: Path) -> None:
        random = Random(3)
        self.objects = {f"s/{number:03}": random.randbytes(number * 5) for number in range(SMALL)}
        self.objects["large"] = random.randbytes(20 * PART + 77)
        self.objects["large2"] = random.randbytes(3 * PART)
        self.folder = folder
        self.desk = self.a_desk(folder / "first")
        self.disk: CrashDisk
        self.ledger: WatchedLedger

    def a_desk(self, root: Path) -> Desk:
        desk = Desk(root)
        desk.settings = replace(desk.settings, commit_objects=COMMIT_OBJECTS, commit_bytes=COMMIT_BYTES)
        desk.fetcher = MemoryFetcher({f"{BASE}/{key}": data for key, data in self.objects.items()})
        return desk

    async def happen(self) -> None:
        desk = self.desk
        await desk.plan(*(ObjectEntry(key=key, size_bytes=len(data)) for key, data in self.objects.items()))
        self.disk = await asyncio.to_thread(CrashDisk, desk.root)
        desk.wrap_sink = lambda _: self.disk

        def watch(inner: LedgerThread) -> WatchedLedger:
            state, copies = desk.root / ".emasync", self.folder / "copies"
            self.ledger = WatchedLedger(inner, state, copies, lambda: len(self.disk.operations))
            return self.ledger

        desk.wrap_ledger = watch
        async with desk.opened() as engine:
            await self.ledger.copy(synced=True)
            outcome = await engine.run()
        assert outcome.placed == len(self.objects)
        await asyncio.to_thread(self.disk.close)

    def cut(self, seed: int) -> tuple[Desk, int]:
        """What a cut leaves, and how many bytes had been fetched by then."""
        random = Random(seed)
        cut = random.randint(0, len(self.disk.operations))
        kept = self.ledger.after_a_cut(cut, random)
        desk = self.a_desk(self.folder / f"cut-{seed}")
        self.disk.materialise(desk.root, cut, seed, keep=random.choice([None, 0.0, 1.0]))
        shutil.copytree(kept.folder, desk.root / ".emasync", dirs_exist_ok=True)
        desk.boot_id = "another boot"
        fetched = sum(len(row.data) for row in self.disk.operations[:cut] if isinstance(row, Wrote))
        return desk, fetched


@pytest.fixture
async def story(tmp_path: Path) -> Story:
    story = await asyncio.to_thread(Story, tmp_path)
    await story.happen()
    return story


async def test_after_a_power_cut_all_bytes_are_identical_and_little_is_fetched_twice(story: Story) -> None:
    await check_cuts(story, range(40))


@pytest.mark.soak
async def test_after_any_power_cut(story: Story) -> None:
    await check_cuts(story, range(40, 400))


async def check_cuts(story: Story, seeds: range) -> None:
    total = sum(map(len, story.objects.values()))
    for seed in seeds:
        desk, fetched = await asyncio.to_thread(story.cut, seed)
        outcome = await desk.run()
        assert outcome.stopped is None, f"seed {seed}"
        assert outcome.failed == 0, f"seed {seed}: {await desk.kinds()}"
        assert await asyncio.to_thread(desk.content, story.objects) == story.objects, f"seed {seed}"
        assert desk.partials() == [], f"seed {seed}"
        twice = fetched + outcome.bytes_received - total
        assert twice <= COMMIT_BYTES + (CONNECTIONS + 2) * PART, f"seed {seed}: {twice} bytes were fetched twice"
        again = await desk.run()
        assert again.bytes_received == 0, f"seed {seed}"
