"""kill -9 at named steps and at random points: identical bytes in the end, and what is fetched twice is bounded.

Each kill is charged by the archive's own counts with what was sent before it and again after it: a part a connection
and 512 small objects at the most. A dozen points by default; ``pytest -m soak tests/integration/test_kill.py`` has
hundreds, and ``emasync selftest --full --kills 1000`` as many as one likes.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from emasync.testing.selftest.jobs import CONNECTIONS, JOBS, PART_BYTES, Job, pile
from emasync.testing.selftest.kills import kill
from emasync.testing.selftest.life import PATIENCE_S
from emasync.testing.selftest.scene import Scene
from emasync.testing.selftest.victim import Trap

CALM = Job("calm", partial(pile, 2_000, 2_000, (140 * PART_BYTES + 123,)))
SEEDS = 6

STEPS = [
    Trap(step, when, number)  # type: ignore[arg-type]  # as they stand here
    for step, numbers in {
        "reserve": (1, 700),
        "write": (3, 1_500),
        "seal": (1, 900),
        "place": (1, 1_500),
        "sync_folders": (2, 3),
        "sync": (1,),
    }.items()
    for when in ("before", "after")
    for number in numbers
]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(CALM, tmp_path) as scene:
        yield scene


@pytest.mark.parametrize("trap", STEPS[:: max(1, len(STEPS) // 6)], ids=str)
def test_killed_at_a_step(scene: Scene, trap: Trap) -> None:
    check_killed_at_step(scene, trap)


@pytest.mark.soak
@pytest.mark.parametrize("trap", STEPS, ids=str)
def test_killed_at_every_step(scene: Scene, trap: Trap) -> None:
    check_killed_at_step(scene, trap)


def check_killed_at_step(scene: Scene, trap: Trap) -> None:
    process = scene.start(trap)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "the step never came"
    scene.stopped()
    assert scene.wrong() == ""
    last = scene.start()
    last.join()
    assert last.exitcode == 0
    assert scene.unfinished() == ""
    assert scene.excess() == ""
    assert scene.archive.peak_in_flight <= CONNECTIONS


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_anywhere(seed: int, tmp_path: Path) -> None:
    check_killed_anywhere(seed, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEEDS, 60))
def test_killed_really_anywhere(seed: int, tmp_path: Path) -> None:
    check_killed_anywhere(seed, tmp_path)


def check_killed_anywhere(seed: int, folder: Path) -> None:
    job = JOBS[seed % len(JOBS)]
    killed = kill(Job(job.name, job.make, job.entry, job.wanted, job.workers), seed, folder)  # in clear weather
    assert killed.wrong == "", killed.how
    assert killed.kills > 0


def test_the_command_killed(scene: Scene) -> None:
    """As users run it, in a process of its own."""
    command = [sys.executable, "-m", "emasync", "run", str(scene.manifest), "--root", str(scene.root), "--quiet"]
    process = subprocess.Popen([*command, "--no-hooks"])
    scene.archive.wait_until(lambda load: load.bytes_sent > scene.size_bytes // 3, timeout_s=PATIENCE_S)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    scene.stopped()
    assert scene.wrong() == ""
    subprocess.run([*command, "--no-hooks"], check=True, timeout=PATIENCE_S)
    assert scene.unfinished() == ""
    assert scene.excess() == ""
    assert scene.losses()[0].size_bytes > 0, "something was on its way"
