"""Runs that are killed or stopped anywhere, again and again: identical bytes, and little is fetched twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any, Final, get_args

from emasync.testing.archive import Archive
from emasync.testing.crashdisk import Step
from emasync.testing.memory import MemoryStore
from emasync.testing.selftest.stage import files_below
from emasync.testing.selftest.victim import Trap, live

CONNECTIONS: Final = 8
PART_BYTES: Final = 256 << 10
MOST_SMALL: Final = 512
"""Small objects that a kill may cost (``Settings.commit_objects``)."""

ROW_BYTES: Final = 500
"""Of a listing, at most."""

MOST_KILLS: Final = 4
"""Of one job."""

PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.002
FROZEN_S: Final = 0.7
"""How long a stopped process stands still: longer than the stall watch looks, shorter than anybody waits."""

FIRST_BYTES: Final = 64 << 10
"""Before that a kill meets nothing but imports."""

STEPS: Final[tuple[Step, ...]] = tuple(
    step for step in get_args(Step) if step not in ("retract", "discard", "close", "write_document")
)


@dataclass(frozen=True, slots=True)
class Job:
    """What is fetched, and in what weather.

    Attributes
    ----------
    name : str
    small, small_bytes : int
        Number and size of small objects.
    large_bytes : tuple of int
        Sizes of large ones: more than :attr:`Settings.small_object_bytes`.
    workers : int
    faults : mapping
        As for :meth:`Archive.start` (Any: JSON).
    """

    name: str
    small: int
    small_bytes: int
    large_bytes: tuple[int, ...]
    workers: int = 1
    faults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def objects(self) -> Mapping[str, bytes]:
        """Content by name; the same each time."""
        return _objects(self.small, self.small_bytes, self.large_bytes)

    def may_cost_bytes(self, lives: int, kills: int) -> int:
        """What may be sent beyond the objects: a listing a life; a part a connection and 512 small objects a kill."""
        listing_bytes = ROW_BYTES * (self.small + len(self.large_bytes) + 2)
        return lives * listing_bytes + kills * (CONNECTIONS * PART_BYTES + MOST_SMALL * self.small_bytes)


@cache
def _objects(small: int, small_bytes: int, large_bytes: tuple[int, ...]) -> Mapping[str, bytes]:
    random = Random(7)
    found = {f"small/{number // 100}/{number}": random.randbytes(small_bytes) for number in range(small)}
    return found | {f"large-{number}.bin": random.randbytes(size) for number, size in enumerate(large_bytes)}


_MIX: Final = {
    "job/d/*": [
        {"reset_after": 1_000, "probability": 0.01, "seed": 1},
        {"status": 503, "probability": 0.01, "seed": 2},
        {"close_after": 500, "probability": 0.01, "seed": 3},
    ]
}

JOBS: Final = (
    Job("many small", 3_000, 2_000, ()),
    Job("large in ranges", 20, 1_000, (24 * PART_BYTES + 123, 5 * PART_BYTES)),
    Job("mixed, bad weather", 1_500, 2_000, (16 * PART_BYTES + 7,), faults=_MIX),
    Job("mixed, two processes", 1_500, 2_000, (16 * PART_BYTES + 7,), workers=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """One job that was killed until it was allowed to end.

    Attributes
    ----------
    job : str
    seed : int
    how : tuple of str
        What happened to it, in order.
    kills, stops : int
        Times it was killed; times it stood still (SIGSTOP).
    again_bytes : int
        Sent by the archive beyond the objects, listings included.
    may_cost_bytes : int or None
        Bound of that; None in bad weather, which costs bytes by itself.
    wrong : str
        What must not be.
    """

    job: str
    seed: int
    how: tuple[str, ...]
    kills: int
    stops: int
    again_bytes: int
    may_cost_bytes: int | None
    wrong: str


class _Scene:
    """One job at its archive (mutable: it is killed and started again)."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job = job
        self.root = folder / "root"
        self.archive = Archive.start(
            MemoryStore({f"job/d/{name}": data for name, data in job.objects.items()}), faults=job.faults
        )
        self.manifest = folder / "manifest.yaml"
        policy = {"max_connections": CONNECTIONS, "part_size": "256KiB"}
        hosts = {"s3://job": policy, "127.0.0.1": policy}  # limits are those of the place that is asked
        self.manifest.write_text(
            json.dumps(
                {  # which is YAML
                    "version": 1,
                    "settings": {"hosts": hosts},
                    "mirrors": {"s3://job": f"{self.archive.url}/job"},
                    "datasets": [{"id": "d", "source": "bucket", "format": "raw", "url": "s3://job/d"}],
                }
            )
        )

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.job.objects.values()))

    def start(self, trap: Trap | None = None) -> ForkServerProcess:
        process = _context().Process(target=_live, args=(str(self.manifest), str(self.root), trap, self.job.workers))
        process.start()
        return process

    def wrong(self) -> str:
        """Whether something under a final name is not what it should be; that holds after every kill."""
        for name, data in files_below(self.root / "d").items():
            if self.job.objects.get(name) != data:
                return f"{name} is not whole under its final name"
        return ""

    def unfinished(self) -> str:
        """What is missing, or left over, when the job says that it is done."""
        found = files_below(self.root / "d").keys()
        if missing := sorted(self.job.objects.keys() - found):
            return f"{len(missing)} objects are missing, {missing[0]} first"
        left = list((self.root / ".emasync" / "partial").iterdir())
        return f"{len(left)} unfinished files are left over" if left else ""


def _live(manifest: str, root: str, trap: Trap | None, workers: int) -> None:
    os._exit(live(manifest, root, trap, workers))  # what the fork server left behind is not this process's to end


@cache
def _context() -> ForkServerContext:
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["emasync.testing.selftest.victim", "emasync.api.moving"])
    return context


def kill(job: Job, seed: int, folder: Path) -> Killed:
    """Kill `job` some times, let it end, and look at what it left.

    Parameters
    ----------
    job : Job
    seed : int
        Decides when and how.
    folder : Path
        Empty; for root and manifest.
    """
    random, how, wrong = Random(seed), list[str](), ""
    folder.mkdir(parents=True, exist_ok=True)
    scene = _Scene(job, folder)
    try:
        for _ in range(random.randint(1, MOST_KILLS)):
            how.append(_once(scene, random))
            wrong = wrong or scene.wrong()
        last = scene.start()
        last.join(PATIENCE_S)
        if last.exitcode is None:
            last.kill()
            wrong = wrong or f"it did not end within {PATIENCE_S:.0f} s"
        elif last.exitcode != 0:
            wrong = wrong or f"it ended with exit code {last.exitcode}"
        wrong = wrong or scene.wrong() or scene.unfinished()
        again_bytes = scene.archive.bytes_sent - scene.size_bytes
    finally:
        scene.archive.close()
    kills = sum(text.startswith("killed") for text in how)
    bound = None if job.faults else job.may_cost_bytes(len(how) + 1, kills)
    if bound is not None and again_bytes > bound:
        wrong = wrong or f"{again_bytes} bytes were fetched again, {bound} may be"
    return Killed(
        job=job.name,
        seed=seed,
        how=tuple(how),
        kills=kills,
        stops=sum(text.startswith("stopped") for text in how),
        again_bytes=max(0, again_bytes),
        may_cost_bytes=bound,
        wrong=wrong,
    )


def _once(scene: _Scene, random: Random) -> str:
    """Let one process live until something happens to it; says what."""
    deed = random.choice(_DEEDS[scene.job.workers > 1])
    return deed(scene, random)


def _at_a_step(scene: _Scene, random: Random) -> str:
    step, when = random.choice(STEPS), random.choice(("before", "after"))
    few = step in ("sync", "sync_folders", "seal") and not scene.job.small
    count = random.randint(1, 3 if few else max(2, scene.job.small // 2))
    process = scene.start(Trap(step, "before" if when == "before" else "after", count))
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
    died = process.exitcode == -signal.SIGKILL
    return f"killed {when} {step} {count}" if died else f"ended before {step} {count}"


def _after_some_bytes(scene: _Scene, random: Random) -> str:
    process = _until_some_bytes(scene, random)
    died = process.is_alive()
    process.kill()
    process.join()
    return f"killed after {scene.archive.bytes_sent} bytes" if died else "ended before its kill"


def _freeze(scene: _Scene, random: Random) -> str:
    """SIGSTOP: sockets and clocks go on without it. Then it goes on, to its end or to a kill."""
    process = _until_some_bytes(scene, random)
    if not process.is_alive() or process.pid is None:
        return "ended before its stop"
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(FROZEN_S)
        os.kill(process.pid, signal.SIGCONT)
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        return "stopped, and hung"
    return f"stopped for {FROZEN_S} s"


def _interrupt(scene: _Scene, random: Random) -> str:
    """SIGTERM: nobody handles it here, the process is gone at once."""
    process = _until_some_bytes(scene, random)
    died = process.is_alive()
    process.terminate()
    process.join()
    return f"killed by SIGTERM after {scene.archive.bytes_sent} bytes" if died else "ended before its kill"


def _until_some_bytes(scene: _Scene, random: Random) -> ForkServerProcess:
    until = scene.archive.bytes_sent + FIRST_BYTES + random.randint(0, scene.size_bytes // 2)
    process = scene.start()
    for _ in _looks():
        if not process.is_alive() or scene.archive.bytes_sent >= until:
            break
    return process


def _looks() -> Iterator[None]:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        yield
        time.sleep(LOOK_S)


Deed = Callable[[_Scene, Random], str]

_DEEDS: Final[dict[bool, tuple[Deed, ...]]] = {
    False: (_at_a_step, _at_a_step, _after_some_bytes, _after_some_bytes, _freeze),
    True: (_after_some_bytes, _after_some_bytes, _freeze, _interrupt),  # traps are for one process
}
