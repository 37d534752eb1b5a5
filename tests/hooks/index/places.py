"""Roots that a test fills itself, indexed by the hook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from emasync.disk.sink import LocalSink
from emasync.hooks.index.hook import IndexHook
from emasync.hooks.interface import DatasetFacts, HookContext, HookReport
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.events import ignore_event
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.interface import ChunkPlaces, IndexedArray


def run_hook(root: Path, *facts: DatasetFacts, hurry: Callable[[], bool] = lambda: False) -> HookReport:
    """Index datasets of a root with the ledger that is there, which is an empty one where none is."""
    ledger = SqliteLedger.open(root / ".emasync", root=root, clock=SystemClock())
    sink = LocalSink(root)
    try:
        context = HookContext(
            root=root,
            state_dir=root / ".emasync",
            sink=sink,
            ledger=ledger,
            datasets=facts,
            all_datasets=facts,
            on_event=ignore_event,
            hurry=hurry,
        )
        return IndexHook().run(context)
    finally:
        sink.close()
        ledger.close(clean=True)


def indexed(root: Path, **facts: object) -> tuple[DatasetIndex, HookReport]:
    """The index of the dataset ``d`` in the folder of that name."""
    report = run_hook(root, DatasetFacts(id="d", folder="d", **facts))  # type: ignore[arg-type]  # of a test
    return open_index(root, "d"), report


def arrays(index: DatasetIndex) -> dict[tuple[str, str, int], IndexedArray]:
    """All arrays by asset, path and scale."""
    return {(array.asset, array.path, array.scale): array for array in index.arrays()}


def all_places(array: IndexedArray) -> ChunkPlaces:
    """Places of all chunks."""
    return array.chunks.find(np.arange(np.prod(array.grid_shape, dtype=np.int64)))
