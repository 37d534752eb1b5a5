"""A run that kills itself (SIGKILL) at the n-th time of a named step of law 1.

Usage: ``python killable.py MANIFEST ROOT [STEP WHEN COUNT]``; without a step it runs to its end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args

from emasync import api
from emasync.disk.interface import Sink
from emasync.disk.sink import LocalSink
from emasync.testing.crashdisk import CrashDisk, Step


def make_sink(arguments: list[str]) -> Callable[[Path], Sink]:
    if not arguments:
        return LocalSink
    step, when, count = arguments
    assert step in get_args(Step)
    assert when in ("before", "after")
    left = [int(count)]

    def die(_name: str) -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def open_sink(root: Path) -> Sink:
        disk = CrashDisk(root)
        disk.at(cast("Step", step), die, when="before" if when == "before" else "after")
        return disk

    return open_sink


def main() -> int:
    manifest, root, *step = sys.argv[1:]
    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        receipt = runner.run(api.arun(manifest, root=root, make_sink=make_sink(step)))
    return receipt.exit_code


if __name__ == "__main__":
    sys.exit(main())
