"""What a worker of a data loader costs in memory: forked, over an index that its parent opened."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import emasync
from emasync.volume.volume import Volume

WORKERS = 4
BLOCKS = 8
SIDE = 128
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, bytes.

    Attributes
    ----------
    own : int
        Pages that nobody else has: what one more worker costs.
    share : int
        The same, and its part of those that several have.
    """

    own: int
    share: int


def memory_here() -> Memory:
    """Of this process; Linux tells (``proc_pid_smaps_rollup``)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory((kib["Private_Clean"] + kib["Private_Dirty"]) << 10, kib["Pss"] << 10)


def _work(volume: Volume, seed: int, answer: Connection) -> None:
    """Read some blocks and keep none; the memory of the last is reused, as a data loader does."""
    random, room = np.random.default_rng(seed), np.empty((SIDE,) * 3, volume.dtype)
    before = memory_here()
    for start in random.integers(0, np.array(volume.shape) - SIDE + 1, (BLOCKS, 3)).tolist():
        volume.read(start, (SIDE,) * 3, out=room)
    answer.send((before, memory_here()))
    answer.recv()  # all read at one time, and are measured while all are there


def worker_memory(root: Path, dataset: str) -> dict[str, float]:
    """MiB of each of four workers, before and after they read; medians."""
    volume = emasync.open_volume(root, dataset, cache_bytes=0, threads=1)
    context = multiprocessing.get_context("fork")
    pairs = [context.Pipe() for _ in range(WORKERS)]
    workers = [context.Process(target=_work, args=(volume, seed, answer)) for seed, (_, answer) in enumerate(pairs)]
    for worker in workers:
        worker.start()
    found: list[tuple[Memory, Memory]] = [end.recv() for end, _ in pairs]
    for end, _ in pairs:
        end.send(None)
    for worker in workers:
        worker.join()
    return {
        f"{dataset}, a forked worker, {what}, MiB": float(np.median(values)) / _MIB
        for what, values in (
            ("pages of its own before reading", [before.own for before, _ in found]),
            ("pages of its own after reading", [after.own for _, after in found]),
            ("with its share of common pages", [after.share for _, after in found]),
        )
    }
