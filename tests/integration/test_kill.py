"""kill -9 at named steps and at random points: the next run ends in identical bytes and fetches little twice.

Fifteen points by default; ``pytest -m soak tests/integration/test_kill.py`` runs the hundred.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import yaml

from emasync.testing import Archive
from emasync.testing.stores import MemoryStore

SMALL = 5_000
SMALL_BYTES = 2_000
PART = 1 << 20
LARGE_BYTES = 40 * PART + 12_345
CONNECTIONS = 8

MAY_COST_BYTES = CONNECTIONS * PART + 512 * SMALL_BYTES
"""One part a connection, 512 small objects."""

VICTIM = [sys.executable, "-m", "emasync.testing.selftest.victim"]

STEPS = [
    (step, when, count)
    for step, counts in {
        "reserve": (1, 700),
        "write": (3, 2_000),
        "seal": (1, 900),
        "place": (1, 1_500),
        "sync_folders": (2, 3),
        "sync": (1,),
    }.items()
    for when in ("before", "after")
    for count in counts
]


class Job:
    """The mixed job: one large ranged file and many small objects, served by an archive."""

    def __init__(self, archive: Archive, objects: dict[str, bytes], folder: Path) -> None:
        self.archive = archive
        self.objects = objects
        self.root = folder / "root"
        self.manifest = folder / "manifest.yaml"
        self.manifest.write_text(
            yaml.safe_dump(
                {
                    "version": 1,
                    "settings": {"hosts": {"s3://job": {"max_connections": CONNECTIONS, "part_size": "1MiB"}}},
                    "mirrors": {"s3://job": f"{archive.url}/job"},
                    "datasets": [{"id": "d", "source": "bucket", "format": "raw", "url": "s3://job/d"}],
                }
            )
        )

    @property
    def total_bytes(self) -> int:
        return sum(map(len, self.objects.values()))

    def start(self, *step: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*VICTIM, self.manifest, self.root, *map(str, step)])

    def finish(self) -> None:
        assert self.start().wait(100) == 0

    def check(self) -> None:
        folder = self.root / "d"
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == set(self.objects)
        wrong = [name for name, data in self.objects.items() if (folder / name).read_bytes() != data]
        assert wrong == []
        assert list((self.root / ".emasync" / "partial").iterdir()) == []

    def final_files_are_whole(self) -> None:
        folder = self.root / "d"
        for path in folder.rglob("*") if folder.is_dir() else ():
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                assert path.read_bytes() == self.objects[name], f"{name} is not whole under its final name"


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    random = Random(7)
    found = {f"small/{number // 100}/{number}": random.randbytes(SMALL_BYTES) for number in range(SMALL)}
    return {"large.bin": random.randbytes(LARGE_BYTES), **found}


@pytest.fixture
def job(archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path) -> Job:
    store = MemoryStore({f"job/d/{name}": data for name, data in objects.items()})
    return Job(archive(store), objects, tmp_path)


@pytest.mark.parametrize(("step", "when", "count"), STEPS[:: max(1, len(STEPS) // 8)])
def test_killed_at_a_step(job: Job, step: str, when: str, count: int) -> None:
    check_killed_at_step(job, step, when, count)


@pytest.mark.soak
@pytest.mark.parametrize(("step", "when", "count"), STEPS)
def test_killed_at_every_step(job: Job, step: str, when: str, count: int) -> None:
    check_killed_at_step(job, step, when, count)


def check_killed_at_step(job: Job, step: str, when: str, count: int) -> None:
    assert job.start(step, when, count).wait(100) == -9, "the step never came"
    job.final_files_are_whole()
    job.finish()
    job.check()
    assert job.archive.bytes_sent <= job.total_bytes + MAY_COST_BYTES + listing_bytes(job)


@pytest.mark.parametrize("seed", range(7))
def test_killed_anywhere(job: Job, seed: int) -> None:
    check_killed_anywhere(job, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(7, 83))
def test_killed_really_anywhere(job: Job, seed: int) -> None:
    check_killed_anywhere(job, seed)


def check_killed_anywhere(job: Job, seed: int) -> None:
    """Kill once the archive has sent a random share of the job; up to three times."""
    random = Random(seed)
    kills = random.randint(1, 3)
    for _ in range(kills):
        until = job.archive.bytes_sent + random.randint(0, job.total_bytes // kills)
        process = job.start()
        for _ in polls():
            if process.poll() is not None or job.archive.bytes_sent >= until:
                break
        process.kill()
        process.wait()
        job.final_files_are_whole()
    job.finish()
    job.check()
    assert job.archive.bytes_sent <= job.total_bytes + kills * (MAY_COST_BYTES + listing_bytes(job))


def polls() -> Iterator[None]:
    """Looks at the other process, a hundred seconds long at most."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        yield
        time.sleep(0.002)
    pytest.fail("nothing happened for 100 s")


def listing_bytes(job: Job) -> int:
    """What listings cost: a kill may repeat a page of them."""
    return 3 * 400 * SMALL
