"""Ways of ending or stopping a life."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final, Literal, NamedTuple, get_args

from emasync.testing.crashdisk import Step
from emasync.testing.selftest.life import PATIENCE_S, Life, looks
from emasync.testing.selftest.scene import Scene
from emasync.testing.selftest.victim import Trap

FEWEST_KILLS: Final = 3
MOST_KILLS: Final = 12
"""Of one job; between two of them a life may do this part of the job, and as much again."""

FROZEN_S: Final = 0.3
"""How long a stopped process stands still: longer than the stall watch looks, shorter than anybody waits."""

EARLY_S: Final = 0.25
"""Within that a life opens its ledger, sets right what the one before left, and asks for its first objects."""

STEPS: Final[tuple[Step, ...]] = tuple(
    step for step in get_args(Step) if step not in ("retract", "discard", "close", "write_document")
)


_SELDOM: Final[dict[Step, int]] = {"sync": 1, "sync_folders": 3}
"""Steps that a life may take only so often."""


class Blow(NamedTuple):
    """What was done to a life.

    Attributes
    ----------
    kind : {"step", "bytes", "moment", "term", "worker"}
    where : str
        Step, or how far it had come.
    struck : bool
        It was still there to be struck.
    stops : int
        Times it had stood still before (SIGSTOP).
    """

    kind: Literal["step", "bytes", "moment", "term", "worker"]
    where: str
    struck: bool
    stops: int = 0

    def __str__(self) -> str:
        frozen = f", stopped {self.stops} times before" if self.stops else ""
        return f"{'killed' if self.struck else 'ended before'} {self.where}{frozen}"


class EndedError(Exception):
    """A life did not end as it should, whatever was done to it."""


def at_a_step(scene: Scene, random: Random) -> Blow:
    """SIGKILL before or after the n-th time of a named step."""
    steps = STEPS if scene.syncs else [step for step in STEPS if step != "sync"]
    step, when = random.choice(steps), random.choice(("before", "after"))
    small = len(scene.objects) // MOST_KILLS
    count = random.randint(1, _SELDOM.get(step) or max(4, 2 * small))
    process = scene.start(Trap(step, "before" if when == "before" else "after", count))
    process.join()
    return Blow("step", f"{when} {step}", _gone(scene, process, signal.SIGKILL))


def after_some_bytes(scene: Scene, random: Random) -> Blow:
    """SIGKILL once the archive has sent so much more."""
    process = _until_some_bytes(scene, random)
    process.kill()
    return Blow("bytes", "after some bytes", _gone(scene, process, signal.SIGKILL))


def after_a_moment(scene: Scene, random: Random) -> Blow:
    """SIGKILL while it opens, recovers, plans."""
    process = scene.start()
    process.join(random.uniform(0, EARLY_S))
    process.kill()
    return Blow("moment", "after a moment", _gone(scene, process, signal.SIGKILL))


def interrupted(scene: Scene, random: Random) -> Blow:
    """SIGTERM: nobody handles it here, the process is gone at once."""
    process = _until_some_bytes(scene, random)
    process.terminate()
    return Blow("term", "by SIGTERM", _gone(scene, process, signal.SIGTERM))


def frozen(scene: Scene, random: Random) -> Blow:
    """SIGSTOP: sockets and clocks go on without it. Later it is killed."""
    process = _until_some_bytes(scene, random)
    stops = 0
    if process.is_alive():
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(FROZEN_S)
            os.kill(process.pid, signal.SIGCONT)
            stops = 1
    until = scene.archive.bytes_sent + random.randint(0, scene.size_bytes // MOST_KILLS)
    _wait(scene, process, until)
    process.kill()
    return Blow("bytes", "after some bytes", _gone(scene, process, signal.SIGKILL), stops)


def a_worker(scene: Scene, random: Random) -> Blow:
    """SIGKILL to one of its workers: it gets another one and goes on, to its end."""
    process = _until_some_bytes(scene, random)
    workers = _children(process)
    if workers:
        with suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)
    scene.stopped(wholly=False)
    process.join()
    _gone(scene, process, 0)
    return Blow("worker", "a worker", bool(workers))


def _children(process: Life) -> Sequence[int]:
    """Processes that `process` started (Linux, proc(5); elsewhere none is known)."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(OSError):
        return [int(text) for text in path.read_text().split()]
    return ()


def _gone(scene: Scene, process: Life, by: int) -> bool:
    """Whether the process ended by that signal; else it came to its end before, in good order.

    Raises
    ------
    EndedError
        It hung, or it failed.
    """
    if process.exitcode is None:
        process.kill()
        process.join()
        raise EndedError(f"it did not end within {PATIENCE_S:.0f} s")
    scene.stopped()
    if process.exitcode not in (0, -by):
        raise EndedError(f"it ended with exit code {process.exitcode}")
    return process.exitcode != 0


def _until_some_bytes(scene: Scene, random: Random) -> Life:
    until = scene.archive.bytes_sent + random.randint(1, max(2, 2 * scene.size_bytes // MOST_KILLS))
    process = scene.start()
    _wait(scene, process, until)
    return process


def _wait(scene: Scene, process: Life, until_bytes: int) -> None:
    for _ in looks():
        if not process.is_alive() or scene.archive.bytes_sent >= until_bytes:
            return


Deed = Callable[[Scene, Random], Blow]

ALONE: Final[tuple[Deed, ...]] = (
    at_a_step,
    at_a_step,
    at_a_step,
    after_some_bytes,
    after_some_bytes,
    after_a_moment,
    frozen,
    interrupted,
)
WITH_WORKERS: Final[tuple[Deed, ...]] = (
    after_some_bytes,
    after_some_bytes,
    after_a_moment,
    frozen,
    interrupted,
    a_worker,
)  # traps are for one process
