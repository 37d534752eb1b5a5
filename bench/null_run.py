"""The same run without its guarantees: no ledger, no checks, no syncs. What they cost is the difference.

``python bench/null_run.py MANIFEST --root DIR``: plans and fetches with emasync's own planner, engine and transport,
over a ledger that remembers nothing but the queue, a CRC that is not computed, and a disk that is never synced. It is a
yardstick and nothing else: a run that is interrupted starts again.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop

from emasync.api.options import RunOptions, load
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.disk.sink import LocalSink
from emasync.disk.syncing import SyncWay
from emasync.engine import receiver, sealing
from emasync.engine.engine import Engine
from emasync.ledger.interface import Admission, OpenSet, PlanState
from emasync.manifest.manifest import Manifest
from emasync.model.task import ObjectEntry, Task, TaskSetSpec
from emasync.plan.compile import compile_datasets
from emasync.plan.guards import Guard, Room
from emasync.plan.tools import PlanTools, SinkDocuments
from emasync.registry import LAYOUTS
from emasync.settings import Settings
from emasync.sources.interface import SourceContext


@dataclass(slots=True)
class Shelf:
    """A task set and what is left of it."""

    spec: TaskSetSpec
    left: deque[Task] = field(default_factory=deque)


class NullLedger:
    """A queue with the face of a ledger (:class:`~emasync.ledger.interface.LedgerCalls`); forgets what it leased."""

    def __init__(self) -> None:
        self._shelves: list[Shelf] = []
        self._answers: dict[str, Callable[..., Any]] = {  # Any: as the door of the real one
            "begin_plan": lambda *_, **__: PlanState(complete=False, resumed=False),
            "add_set": self._add_set,
            "add_entries": self._add_entries,
            "open_sets": self._open_sets,
            "lease": self._lease,
            "set_finished": lambda *_: False,
            "unfinished": frozenset,
            "tallies": list,
            "leftovers": lambda *_: [],
            "last_epoch": lambda: 0,
            "generation": lambda *_: 0,
            "seal_rows": lambda *_: 0,
        }

    async def call(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Answer by name; what has no answer is forgotten, functions of the real ledger too."""
        answer = self._answers.get(method) if isinstance(method, str) else None
        return None if answer is None else answer(*args, **kwargs)

    def _add_set(self, spec: TaskSetSpec) -> int:
        self._shelves.append(Shelf(spec))
        return len(self._shelves) - 1

    def _add_entries(self, set_id: int, entries: Sequence[ObjectEntry], _cursor: str | None = None) -> Admission:
        shelf = self._shelves[set_id]
        shelf.left += (Task(shelf.spec, set_id, entry.key, entry.path, entry.size_bytes) for entry in entries)
        return Admission(added=len(entries), kept=0)

    def _open_sets(self) -> list[OpenSet]:
        return [
            OpenSet(set_id=number, spec=shelf.spec, pending=len(shelf.left))
            for number, shelf in enumerate(self._shelves)
            if shelf.left
        ]

    def _lease(self, set_id: int, limit: int) -> list[Task]:
        left = self._shelves[set_id].left
        return [left.popleft() for _ in range(min(limit, len(left)))]


def without_checks() -> None:
    """Compute no CRC: this process measures what they cost."""
    sealing.crc32c_of = receiver.crc32c_of = lambda *_: 0


async def fetch(manifest: Manifest, spec: RunSpec) -> int:
    """Fetch everything; gives the number of objects."""

    def unsynced(root: Path) -> LocalSink:
        return LocalSink(root, sync_ways=(SyncWay.NOTHING,))

    async with open_resources(spec, lambda _: None, make_sink=unsynced) as resources:
        ledger = NullLedger()
        engine = Engine(
            fetcher=resources.fetcher,
            sink=resources.sink,
            ledger=ledger,
            threads=resources.threads,
            settings=spec.settings,
            on_event=lambda _: None,
            place=resources.place,
        )
        tools = tools_for(resources, ledger, manifest, spec.settings)

        async def planner(wake: Callable[[], None]) -> None:
            await compile_datasets(list(manifest.datasets), replace(tools, wake=wake))

        outcome = await engine.run(planner)
        if outcome.stopped is not None:
            raise outcome.stopped
        return outcome.placed


def tools_for(resources: Resources, ledger: NullLedger, manifest: Manifest, settings: Settings) -> PlanTools:
    """What the planner works with; no guard says no."""
    return PlanTools(
        context=SourceContext(fetcher=resources.fetcher, settings=settings, on_event=lambda _: None),
        ledger=ledger,
        layout=LAYOUTS.load(manifest.layout.kind)(),
        documents=SinkDocuments(resources.sink),
        guard=Guard(
            max_total_bytes=None,
            reserve_bytes=0,
            measure=lambda: Room(free_bytes=1 << 62, free_inodes=None, unfinished_bytes=0),
        ),
        wake=lambda: None,
    )


def main() -> int:
    """Run; exit code 0 when something was fetched."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("manifest", type=Path)
    options.add_argument("--root", type=Path, required=True)
    options.add_argument("--quiet", action="store_true", help="accepted, as by emasync run")
    given = options.parse_args()
    manifest = load(given.manifest)
    settings = RunOptions().settings(manifest.settings)
    without_checks()
    spec = RunSpec(root=manifest.root_for(given.root), state_dir=manifest.state_dir_for(), settings=settings)
    return 0 if uvloop.run(fetch(manifest, spec)) else 1


if __name__ == "__main__":
    sys.exit(main())
