"""Two worker processes against real servers: bytes, limits, events, kills."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from emasync.api import RunOptions, Stopper, arun
from emasync.assembly import RunSpec, open_resources
from emasync.errors import InputError
from emasync.executors.processes import Crew, ProcessExecutor
from emasync.model.events import Event
from emasync.model.receipt import Receipt
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.peers import Nginx

EachLoop = Callable[[Coroutine[Any, Any, Any]], Any]

PART = 1 << 18
CONNECTIONS = 6
SMALL, SMALL_BYTES = 1_500, 2_000
LARGE_BYTES = 24 * PART + 123
MAY_COST_BYTES = CONNECTIONS * PART + 512 * SMALL_BYTES
"""One part a connection, 512 small objects: of all workers together."""

TWO = RunOptions(workers=2)
RUN = [sys.executable, "-m", "emasync", "run", "--workers", "2", "--quiet"]


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    random = Random(11)
    small = {f"small/{number // 100}/{number}": random.randbytes(SMALL_BYTES) for number in range(SMALL)}
    return {"a.bin": random.randbytes(LARGE_BYTES), "b.bin": random.randbytes(LARGE_BYTES), **small}


def described(url: str, **settings: Any) -> dict[str, Any]:
    hosts = {host: {"max_connections": CONNECTIONS, "part_size": "256KiB"} for host in ("s3://job", "127.0.0.1")}
    return {
        "version": 1,
        "settings": {"hosts": hosts, **settings},
        "mirrors": {"s3://job": f"{url}/job"},
        "datasets": [{"id": "d", "source": "bucket", "format": "raw", "url": "s3://job/d"}],
    }


def stored(objects: dict[str, bytes]) -> dict[str, bytes]:
    return {f"job/d/{name}": data for name, data in objects.items()}


def check(root: Path, objects: dict[str, bytes]) -> None:
    folder = root / "d"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == set(objects)
    assert [name for name, data in objects.items() if (folder / name).read_bytes() != data] == []
    assert list((root / ".emasync" / "partial").iterdir()) == []


def totals(receipt: Receipt) -> tuple[object, ...]:
    found = receipt.to_dict()
    return found["totals"]["objects"], found["totals"]["bytes_fetched"], found["datasets"]


def children(pid: int) -> list[int]:
    """Worker processes of a process (Linux); its threads and they may end meanwhile."""
    lists = [read(task / "children") for task in Path(f"/proc/{pid}/task").iterdir()]
    found = [child for text in lists for child in text.split()]
    return [int(child) for child in found if "emasync.executors.worker" in read(Path(f"/proc/{child}/cmdline"))]


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


# --- it works ------------------------------------------------------------------------------------------------------


def test_the_same_bytes_and_the_same_receipt(
    each_loop: EachLoop, archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path
) -> None:
    server = archive(stored(objects))
    receipt = each_loop(arun(described(server.url), root=tmp_path / "two", options=TWO))
    assert receipt.ok
    assert server.load.peak_in_flight <= CONNECTIONS
    assert server.counts()["GET", "object"] <= SMALL + 2 * 26
    check(tmp_path / "two", objects)
    alone = each_loop(arun(described(server.url), root=tmp_path / "one"))
    assert totals(alone) == totals(receipt)


async def test_workers_on_the_standard_loop(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server, settings = archive({f"job/{number}": b"x" * 99 for number in range(50)}), Settings(workers=2)
    told: list[Event] = []
    spec = RunSpec(root=tmp_path, state_dir=None, settings=settings)
    async with open_resources(spec, told.append) as resources:
        crew = Crew(workers=2, datasets=("d",), loop="asyncio")
        executor = ProcessExecutor(resources, settings, told.append, crew)

        async def planner(wake: Callable[[], None]) -> None:
            ledger = resources.ledger
            await ledger.call("begin_plan", "d", "0" * 64)
            set_id = await ledger.call("add_set", TaskSetSpec(dataset="d", base=f"{server.url}/job/", destination="d"))
            await ledger.call("add_entries", set_id, [ObjectEntry(key=str(n), size_bytes=99) for n in range(50)])
            wake()
            await ledger.call("finish_plan", "d")

        outcome = await executor.run(planner)
        own, all_of_them = resources.threads.statistics(), executor.disk()
    assert all_of_them.done > own.done, "the disks of the workers are seen"
    assert all_of_them.threads == own.threads, "theirs have ended"
    assert (outcome.stopped, outcome.placed, outcome.bytes_received) == (None, 50, 50 * 99)
    assert executor.statistics()[server.url].requests == 50
    check(tmp_path, {str(number): b"x" * 99 for number in range(50)})


async def test_real_files_of_a_real_server(nginx: Nginx, objects: dict[str, bytes], tmp_path: Path) -> None:
    folder = nginx.root / "executors"
    for name in list(objects)[:300]:
        path = folder / name
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(path.write_bytes, objects[name])
    chosen = {name: objects[name] for name in list(objects)[:300]}
    files = [{"url": f"{nginx.url}/executors/{name}", "path": name} for name in chosen]
    described_ = {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": {"max_connections": 4, "part_size": "256KiB"}}},
        "datasets": [{"id": "d", "source": "web", "files": files}],
    }
    assert (await arun(described_, root=tmp_path, options=TWO)).ok
    await asyncio.to_thread(check, tmp_path, chosen)


async def test_one_worker_apart_is_possible(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server = archive({"job/d/x": b"1"})
    assert (await arun(described(server.url), root=tmp_path, options=RunOptions(executor="processes"))).ok
    check(tmp_path, {"x": b"1"})


async def test_the_limit_of_a_host_is_that_of_all_workers(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server = archive({f"job/d/{number}": b"x" * number for number in range(400)}, latency_s=0.02)
    assert (await arun(described(server.url), root=tmp_path, options=TWO)).ok
    assert server.load.peak_in_flight == CONNECTIONS
    check(tmp_path, {str(number): b"x" * number for number in range(400)})


async def test_events_of_workers_reach_the_caller(archive: Callable[..., Archive], tmp_path: Path) -> None:
    names = [f"{number:03}" for number in range(60)]
    faults = {"job/d/007": [{"status": 404}], "job/d/01?": [{"status": 503, "times": 1}]}
    server = archive({f"job/d/{name}": b"x" for name in names}, faults=faults)
    told: list[Event] = []
    options = RunOptions(workers=2, objects=True)
    receipt = await arun(described(server.url), root=tmp_path, options=options, on_event=told.append)
    assert receipt.exit_code == 1
    counts = Counter(event.event for event in told)
    assert counts["object_done"] == 59
    assert counts["retry"] >= 1
    (failed,) = [event for event in told if event.event == "failed"]
    assert (failed.fields["dataset"], failed.fields["kind"]) == ("d", "not_found")
    (failure,) = receipt.datasets[0].failures
    assert failure.location.endswith("/007")
    assert receipt.to_dict()["totals"]["requests"] >= 60


async def test_files_that_are_there_are_adopted(
    archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path
) -> None:
    server = archive(stored(objects))
    for name, data in objects.items():
        path = tmp_path / "d" / name
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(path.write_bytes, data)
    refused = await arun(described(server.url), root=tmp_path, options=TWO)
    assert (refused.exit_code, refused.datasets[0].failed) == (1, len(objects))
    adopted = await arun(described(server.url), root=tmp_path, options=RunOptions(workers=2, adopt=True))
    assert adopted.ok
    assert ("GET", "object") not in server.counts() or server.counts()["GET", "object"] < 10


async def test_what_is_in_the_way_and_ours_is_removed(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """An object that changed at the source takes the place of the file that was fetched before."""
    old, new = {f"{n}": b"old" for n in range(40)}, {f"{n}": b"newer" for n in range(40)}
    assert (await arun(described(archive(stored(old)).url), root=tmp_path, options=TWO)).ok
    options = RunOptions(workers=2, refresh=True)
    assert (await arun(described(archive(stored(new)).url), root=tmp_path, options=options)).ok
    await asyncio.to_thread(check, tmp_path, new)


async def test_an_origin_that_is_gone_is_told_of_once(tmp_path: Path) -> None:
    files = [{"url": f"http://127.0.0.1:9/{number}"} for number in range(40)]
    described_ = {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": {"give_up_after": "1s", "max_connections": 4}}},
        "datasets": [{"id": "d", "source": "web", "files": files}],
    }
    told: list[Event] = []
    receipt = await arun(described_, root=tmp_path, options=TWO, on_event=told.append)
    assert receipt.exit_code == 1
    assert [event.fields["kind"] for event in told if event.event == "failed"] == ["unreachable"]


async def test_a_sink_of_ones_own_stays_here(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of the caller's own live in this process only"):
        await arun(described("http://127.0.0.1:9"), root=tmp_path, options=TWO, make_sink=lambda root: None)  # type: ignore[arg-type,return-value]  # never made


# --- stops ---------------------------------------------------------------------------------------------------------


async def test_a_stopper_stops_all_and_the_next_run_goes_on(
    archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path
) -> None:
    slow, stopper = archive(stored(objects), rate_bytes_per_s=500_000), Stopper()
    running = asyncio.create_task(arun(described(slow.url), root=tmp_path, options=TWO, stopper=stopper))
    await slow.until(lambda load: load.bytes_sent > 2_000_000)
    stopper.stop()
    receipt = await running
    assert receipt.exit_code == 3
    assert children(os.getpid()) == []
    fast = archive(stored(objects))
    assert (await arun(described(fast.url), root=tmp_path, options=TWO)).ok
    total = sum(map(len, objects.values()))
    assert slow.bytes_sent + fast.bytes_sent <= total + MAY_COST_BYTES + 2 * listing_bytes()
    check(tmp_path, objects)


async def test_a_cancelled_run_leaves_no_process(
    archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path
) -> None:
    slow = archive(stored(objects), rate_bytes_per_s=300_000)
    running = asyncio.create_task(arun(described(slow.url), root=tmp_path, options=TWO))
    await slow.until(lambda load: load.bytes_sent > 1_000_000)
    assert len(children(os.getpid())) == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert children(os.getpid()) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (await arun(described(archive(stored(objects)).url), root=tmp_path)).ok
    check(tmp_path, objects)


def test_a_worker_that_cannot_write_ends_the_run(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: it is the worker that meets it."""
    server = archive({"job/d/large.bin": bytes(12 << 20), **{f"job/d/{number}": b"x" for number in range(50)}})
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump(described(server.url)))
    script = 'ulimit -f 8192; exec "$@"'  # blocks of 1,024 bytes
    command: list[str | Path] = ["bash", "-c", script, "-", *RUN, manifest, "--root", tmp_path / "root"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert "ulimit -f" in (tmp_path / "root" / "receipt.json").read_text()
    assert subprocess.run(command[4:], check=False).returncode == 0
    assert (tmp_path / "root" / "d" / "large.bin").read_bytes() == bytes(12 << 20)


# --- kills ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
async def test_a_killed_worker_is_replaced(
    archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path, share: float
) -> None:
    server = archive(stored(objects), rate_bytes_per_s=4_000_000)
    told: list[Event] = []
    running = asyncio.create_task(arun(described(server.url), root=tmp_path, options=TWO, on_event=told.append))
    total = sum(map(len, objects.values()))
    await server.until(lambda load: load.bytes_sent > share * total)
    victims = children(os.getpid())
    os.kill(victims[0], signal.SIGKILL)
    receipt = await running
    assert receipt.ok
    (warning,) = [str(event.fields["message"]) for event in told if event.event == "warning"]
    assert f"worker process {victims[0]} was killed by signal 9" in warning
    check(tmp_path, objects)
    assert server.bytes_sent <= total + MAY_COST_BYTES + listing_bytes()


async def test_a_worker_that_always_dies_ends_the_run(
    archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path
) -> None:
    server = archive(stored(objects), rate_bytes_per_s=100_000)
    running = asyncio.create_task(arun(described(server.url), root=tmp_path, options=TWO))
    killed: set[int] = set()
    while not running.done():
        for pid in children(os.getpid()):
            if pid not in killed and len(killed) < 12:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.01)
    receipt = await running
    assert receipt.exit_code == 4
    assert receipt.stopped is not None
    assert "after 3 restarts within 60 s" in receipt.stopped
    assert children(os.getpid()) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_owner_takes_its_workers_along(
    archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path, seed: int
) -> None:
    """The next run begins at once; it waits for the workers' end by itself."""
    server = archive(stored(objects), rate_bytes_per_s=4_000_000)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump(described(server.url)))
    command: list[str | Path] = [*RUN, manifest, "--root", tmp_path / "root"]
    total = sum(map(len, objects.values()))
    until = Random(seed).uniform(0.1, 0.7) * total
    with subprocess.Popen(command) as process:
        for _ in polls(process):
            if server.bytes_sent > until:
                break
        workers = children(process.pid)
        process.kill()
    assert workers
    assert subprocess.run(command, check=False).returncode == 0
    assert [read(Path(f"/proc/{pid}/cmdline")) for pid in workers] == [""] * len(workers)  # gone, or reaped by nobody
    check(tmp_path / "root", objects)
    assert server.bytes_sent <= total + MAY_COST_BYTES + 2 * listing_bytes()


def test_ctrl_c_is_for_the_owner(archive: Callable[..., Archive], objects: dict[str, bytes], tmp_path: Path) -> None:
    server = archive(stored(objects), rate_bytes_per_s=300_000)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump(described(server.url)))
    command: list[str | Path] = [*RUN, manifest, "--root", tmp_path / "root"]
    with subprocess.Popen(command, start_new_session=True) as process:
        for _ in polls(process):
            if server.bytes_sent > 1_000_000:
                break
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 3


def polls(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Looks at the other process, a hundred seconds long at most."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended before its time"
        yield
        time.sleep(0.002)
    pytest.fail("nothing happened for 100 s")


def listing_bytes() -> int:
    """What listings cost."""
    return 400 * SMALL
