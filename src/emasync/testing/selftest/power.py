"""Simulated power cuts: the next run has to end in identical bytes, and may fetch little twice.

Of what was not synced any subset is lost; of the ledger any prefix behind its last sync is kept.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Self

from emasync.assembly import Resources, RunSpec, open_resources
from emasync.engine.endings import EngineOutcome
from emasync.engine.engine import Engine
from emasync.ledger.interface import LedgerCalls
from emasync.model.events import ignore_event
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.settings import KIB, Settings
from emasync.testing.archive import Archive
from emasync.testing.crashdisk import CrashDisk
from emasync.testing.memory import MemoryStore
from emasync.testing.powercut import Wrote
from emasync.testing.selftest.stage import files_below
from emasync.testing.watched_ledger import WatchedLedger

PART_BYTES: Final = 64 * KIB
CONNECTIONS: Final = 4
COMMIT_OBJECTS: Final = 32
COMMIT_BYTES: Final = 8 * PART_BYTES
MAY_COST_BYTES: Final = COMMIT_BYTES + (CONNECTIONS + 2) * PART_BYTES
"""What was not durable yet, and what was on its way."""

POLICY: Final = {"part_bytes": PART_BYTES, "max_connections": CONNECTIONS}
SETTINGS: Final = Settings(
    small_object_bytes=16 * KIB,
    commit_objects=COMMIT_OBJECTS,
    commit_bytes=COMMIT_BYTES,
    hosts={"127.0.0.1": POLICY},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One power cut and what came after it.

    Attributes
    ----------
    seed : int
    operations : int
        That the disk had done.
    again_bytes : int
        Fetched twice.
    wrong : str
        What must not be.
    """

    seed: int
    operations: int
    again_bytes: int
    wrong: str


def _small() -> dict[str, bytes]:
    random = Random(3)
    return {f"s/{number:03}": random.randbytes(number * 40) for number in range(150)}


def _large() -> dict[str, bytes]:
    random = Random(4)
    return {"large": random.randbytes(20 * PART_BYTES + 77), "large2": random.randbytes(3 * PART_BYTES)}


POWER_JOBS: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = {
    "small": _small,
    "large in ranges": _large,
    "mixed": lambda: _small() | _large(),
}
"""Objects by the shape of the job."""

WEATHER: Final = {
    "b/*": [
        {"reset_after": 1_000, "probability": 0.02, "seed": 1},
        {"close_after": 500, "probability": 0.02, "seed": 2},
        {"short_body": 300, "probability": 0.02, "seed": 3},
        {"status": 503, "probability": 0.02, "seed": 4},
    ]
}


class PowerCuts:
    """One whole run over a disk that remembers, to be cut anywhere; use :meth:`record` first.

    Parameters
    ----------
    folder : Path
        Empty.
    shape : str
        Of :data:`POWER_JOBS`.
    """

    def __init__(self, folder: Path, shape: str = "mixed") -> None:
        self._folder = folder
        self._objects = POWER_JOBS[shape]()
        self._archive: Archive | None = None
        self._disk: CrashDisk | None = None
        self._ledger: WatchedLedger | None = None

    def __enter__(self) -> Self:
        store = MemoryStore({f"b/{name}": data for name, data in self._objects.items()})
        self._archive = Archive.start(store, faults=WEATHER)
        asyncio.run(self._record())
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    async def _record(self) -> None:
        def make_sink(root: Path) -> CrashDisk:
            self._disk = CrashDisk(root)
            return self._disk

        spec = RunSpec(root=self._folder / "first", state_dir=None, settings=SETTINGS)
        async with open_resources(spec, ignore_event, make_sink=make_sink) as resources:
            disk = self._recorded()[0]
            self._ledger = WatchedLedger(
                resources.ledger, resources.state_dir, self._folder / "copies", lambda: len(disk.operations)
            )
            await self._plan(resources)
            await self._ledger.copy(synced=True)
            await _move(resources, self._ledger)

    async def _plan(self, resources: Resources) -> None:
        base = f"{self._archive.url}/b" if self._archive is not None else ""
        ledger = resources.ledger
        await ledger.call("begin_plan", "d", "0" * 64)
        set_id = await ledger.call("add_set", TaskSetSpec(dataset="d", base=base, destination="d"))
        entries = [ObjectEntry(key=name, size_bytes=len(data)) for name, data in self._objects.items()]
        await ledger.call("add_entries", set_id, entries)
        await ledger.call("finish_set", set_id)
        await ledger.call("finish_plan", "d")

    def _recorded(self) -> tuple[CrashDisk, WatchedLedger | None]:
        assert self._disk is not None  # noqa: S101 - set when the root was opened
        return self._disk, self._ledger

    def cut(self, seed: int) -> Cut:
        """Cut the power where `seed` says, run again, compare."""
        disk, ledger = self._recorded()
        assert ledger is not None  # noqa: S101 - set when the run was recorded
        random, root = Random(seed), self._folder / f"cut-{seed}"
        cut = random.randint(0, len(disk.operations))
        kept = ledger.after_a_cut(cut, random)
        disk.materialise(root, cut, seed, keep=random.choice([None, 0.0, 1.0]))
        shutil.copytree(kept.folder, root / ".emasync", dirs_exist_ok=True)
        fetched = sum(len(row.data) for row in disk.operations[:cut] if isinstance(row, Wrote))
        outcome = asyncio.run(_resume(root))
        again_bytes = max(0, fetched + outcome.bytes_received - sum(map(len, self._objects.values())))
        wrong = self._wrong(root, outcome)
        shutil.rmtree(root)
        if not wrong and again_bytes > MAY_COST_BYTES:
            wrong = f"{again_bytes} bytes were fetched again, {MAY_COST_BYTES} may be"
        return Cut(seed=seed, operations=cut, again_bytes=again_bytes, wrong=wrong)

    def _wrong(self, root: Path, outcome: EngineOutcome) -> str:
        if outcome.stopped is not None or outcome.failed:
            return f"the next run did not finish: {outcome.stopped or f'{outcome.failed} failed'}"
        found = files_below(root / "d")
        if found != self._objects:
            return f"{len(found)} files, not all of them identical"
        left = list((root / ".emasync" / "partial").iterdir())
        return f"{len(left)} unfinished files are left over" if left else ""


async def _resume(root: Path) -> EngineOutcome:
    async with open_resources(RunSpec(root=root, state_dir=None, settings=SETTINGS), ignore_event) as resources:
        return await _move(resources, resources.ledger)


async def _move(resources: Resources, ledger: LedgerCalls) -> EngineOutcome:
    engine = Engine(
        fetcher=resources.fetcher,
        sink=resources.sink,
        ledger=ledger,
        threads=resources.threads,
        place=resources.place,
        settings=SETTINGS,
        on_event=ignore_event,
    )
    return await engine.run()
