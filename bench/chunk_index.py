"""How fast chunks come into an index: those that the ledger lists one by one, and those of an HDF5 file.

    python bench/chunk_index.py [--chunks 1000000]

Names of chunks are those of a Zarr array with a file a chunk, all of them fetched; the HDF5 file has one dataset.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np

from emasync.disk.sink import LocalSink
from emasync.formats.hdf5.format import Hdf5Format
from emasync.hooks.index.listed_objects import Members
from emasync.hooks.local import LocalFile
from emasync.ledger.batch import SealedRow
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.grid import ChunkGrid
from emasync.model.task import ObjectEntry, TaskSetSpec

LISTED_AT_ONCE = 1_000
LEASED_AT_ONCE = 256


def processor_s() -> float:
    """Of this process and those that it waited for: other work on the machine makes no difference."""
    return sum(os.times()[:4])


def filled(folder: Path, grid: ChunkGrid) -> SqliteLedger:
    """A ledger that lists every chunk of a grid, and knows that it is on disk."""
    ledger = SqliteLedger.open(folder, root=folder, clock=SystemClock())
    ledger.begin_plan("d", "00")
    set_id = ledger.add_set(TaskSetSpec(dataset="d", base="https://example.org/", destination="d"))
    keys = iter(sorted(grid.destination(number) for number in range(len(grid))))
    while part := list(islice(keys, LISTED_AT_ONCE)):
        ledger.add_entries(set_id, [ObjectEntry(key, 65_536) for key in part])
    ledger.finish_set(set_id)
    ledger.finish_plan("d")
    while tasks := ledger.lease(set_id, LEASED_AT_ONCE):
        rows = [SealedRow(set_id, task.key, 65_536, 7) for task in tasks]
        ledger.place_rows(ledger.seal_rows(rows, 1))
    ledger.set_durable_epoch(1)
    return ledger


def listed(chunks: int, folder: Path) -> tuple[int, float]:
    """Chunks, and seconds for their states and checksums."""
    side = round(chunks ** (1 / 3))
    grid = ChunkGrid(start=(0, 0, 0), shape=(side, side, side), prefix="s0/", separator="/")
    ledger = filled(folder, grid)
    array: Any = SimpleNamespace(grid=grid, folder="d")  # Any: of an array of a tree, what is looked at
    began_s = processor_s()
    members = Members({"d/s0": array}, lambda _: None)
    for block in ledger.listed_blocks("d"):
        members.take(block)
    members.flush()
    present = sum(int((states == 0).sum()) for states in members.objects["d/s0"].states(1))
    took_s = processor_s() - began_s
    ledger.close(clean=True)
    return present, took_s


def of_hdf5(chunks: int, folder: Path) -> tuple[int, float]:
    """Chunks, and seconds for their places, the process that reads them included."""
    side = round(chunks**0.5)
    with h5py.File(folder / "x.h5", "w") as file:
        data = file.create_dataset("data", (side, side * 16), np.uint8, chunks=(1, 16))
        for row in range(side):
            data[row] = 1
    sink = LocalSink(folder)
    began_s = processor_s()
    (array,) = Hdf5Format().describe(LocalFile(sink, "x.h5", (folder / "x.h5").stat().st_size, 0)).arrays
    took_s = processor_s() - began_s
    sink.close()
    return 0 if array.table is None else int((array.table.sizes > 0).sum()), took_s


def main() -> None:
    """Print one line a way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=1_000_000)
    wanted = parser.parse_args().chunks
    ways: dict[str, Callable[[int, Path], tuple[int, float]]] = {"listed": listed, "hdf5": of_hdf5}
    for name, way in ways.items():
        with TemporaryDirectory() as folder:
            chunks, took_s = way(wanted, Path(folder))
        print(f"{name}: {chunks:,} chunks in {took_s:.2f} s of the processor, {chunks / took_s:,.0f} a second")


if __name__ == "__main__":
    main()
