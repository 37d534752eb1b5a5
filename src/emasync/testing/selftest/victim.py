"""A run that kills itself (SIGKILL) at the n-th time of a named step of law 1, or runs to its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from emasync import api
from emasync.disk.interface import Sink
from emasync.testing.crashdisk import CrashDisk, Step


class Trap(NamedTuple):
    """Where a run ends.

    Attributes
    ----------
    step : Step
    when : {"before", "after"}
    number : int
        At which time.
    """

    step: Step
    when: Literal["before", "after"]
    number: int


def make_sink(trap: Trap) -> Callable[[Path], Sink]:
    """Opens a root for writing that kills the process in the trap."""
    left = [trap.number]

    def die(_name: str) -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def open_sink(root: Path) -> Sink:
        disk = CrashDisk(root)
        disk.at(trap.step, die, when=trap.when)
        return disk

    return open_sink


def live(manifest: str, root: str, trap: Trap | None = None, workers: int = 1) -> int:
    """Run a manifest to its end, or into a trap; gives the exit code."""
    options = api.RunOptions(hooks=False, workers=workers, executor="processes" if workers > 1 else None)
    sink = None if trap is None else make_sink(trap)
    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        receipt = runner.run(api.arun(manifest, root=root, options=options, make_sink=sink))
    return receipt.exit_code
