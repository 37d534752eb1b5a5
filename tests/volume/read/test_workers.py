"""Threads, forked and spawned processes, tasks: no hangs, no wrong bytes, nothing touched after the end."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.volume.read.desk import Array, CountedFiles, Stored, store, voxels
from tests.volume.read.opened import opened_root, read_blocks

from emasync.errors import FormatError, InputError
from emasync.formats.decoding import decoder_for
from emasync.volume.cache import ChunkCache
from emasync.volume.orientation import orient
from emasync.volume.planning import ReadSizes
from emasync.volume.reading import DirectEngine
from emasync.volume.threads import Threads
from emasync.volume.volume import Volume

SHAPE, CHUNKS, BLOCK = (64, 64, 64), (16, 16, 16), (20, 24, 28)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return store(tmp_path_factory.mktemp("workers"), voxels(SHAPE), CHUNKS, files="one", crcs=True)


def always_in_threads(volume: Volume) -> Volume:
    """As if each chunk took long."""
    engine: Any = volume._engine
    engine.reader.chunk_s = 1.0
    engine.reader.note_chunk = lambda _: None
    return volume


def starts(seed: int, count: int) -> list[list[int]]:
    found: list[list[int]] = np.random.default_rng(seed).integers(0, np.subtract(SHAPE, BLOCK), (count, 3)).tolist()
    return found


def expected(data: Array, start: list[int]) -> Array:
    return data[tuple(slice(at, at + size) for at, size in zip(start, BLOCK, strict=True))]


def require_right(volume: Volume, data: Array, seed: int, count: int = 20) -> int:
    wanted = starts(seed, count)
    for start in wanted:
        np.testing.assert_array_equal(volume.read(start, BLOCK), expected(data, start))
    for start, block in zip(wanted, volume.read_many(wanted, BLOCK), strict=True):
        np.testing.assert_array_equal(block, expected(data, start))
    return seed


@pytest.mark.parametrize("cache_bytes", [0, 40_000, 10_000_000])
def test_threads_share_a_volume(stored: Stored, cache_bytes: int) -> None:
    volume = always_in_threads(stored.volume(cache_bytes=cache_bytes, threads=3))

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda seed: require_right(volume, stored.data, seed), range(12)))

    assert done == list(range(12))


def in_child(work: Callable[[], object], deadline_s: float = 60) -> int:
    """Exit code of a forked child that does `work`; a child that hangs is killed, and fails."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    watch = threading.Timer(deadline_s, os.kill, (child, 9))
    watch.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        watch.cancel()


def test_a_forked_child_reads_what_its_parent_has_open(stored: Stored) -> None:
    volume = always_in_threads(stored.volume(cache_bytes=10_000_000, threads=3))
    require_right(volume, stored.data, 1)

    assert in_child(lambda: require_right(volume, stored.data, 2)) == 0
    require_right(volume, stored.data, 3)


def test_a_child_forked_while_others_read_takes_over_no_lock_of_theirs(stored: Stored) -> None:
    volume = always_in_threads(stored.volume(cache_bytes=40_000, threads=3))
    stopped = threading.Event()

    def read_on() -> None:
        seed = 0
        while not stopped.is_set():
            require_right(volume, stored.data, seed, 2)
            seed += 1

    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(read_on) for _ in range(3)]
        try:
            codes = [in_child(lambda: require_right(volume, stored.data, 7, 3)) for _ in range(8)]
        finally:
            stopped.set()
        assert codes == [0] * 8
        assert [one.exception() for one in busy] == [None] * 3


def test_locks_that_are_held_when_a_process_forks_are_free_in_the_child(stored: Stored) -> None:
    volume = stored.volume(cache_bytes=10_000_000, threads=2)
    require_right(volume, stored.data, 1)
    engine: Any = volume._engine
    reader = engine.reader

    with reader.cache._lock, reader.threads._lock, reader.files.files._lock:
        assert in_child(lambda: require_right(volume, stored.data, 2) and None, deadline_s=20) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes_read_opened_volumes(tmp_path: Path, method: str) -> None:
    volume, data = opened_root(tmp_path)
    assert volume.read((0, 0, 0), (4, 4, 4)).shape == (4, 4, 4)  # the parent has files open, and chunks in its cache
    wanted = [[0, 0, 0], [7, 9, 11], [20, 3, 14]]

    # commands that other tests ran in this process may have left their handlers, which children would go on living with
    with multiprocessing.get_context(method).Pool(2, signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
        found = pool.starmap_async(read_blocks, [(volume, wanted), (volume, wanted[::-1])]).get(timeout=60)

    for blocks, order in zip(found, (wanted, wanted[::-1]), strict=True):
        for block, (z, y, x) in zip(blocks, order, strict=True):
            np.testing.assert_array_equal(block, data[z : z + 10, y : y + 10, x : x + 10])


def test_tensorstore_is_refused_in_a_forked_child(tmp_path: Path) -> None:
    volume, data = opened_root(tmp_path, engine="tensorstore")
    np.testing.assert_array_equal(volume[:], data)

    def refused() -> None:
        with pytest.raises(InputError, match="use engine='direct'"):
            volume.read((0, 0, 0), (4, 4, 4))

    assert in_child(refused) == 0


class GatedFiles(CountedFiles):
    """Stops at a read until it is let go on."""

    def __init__(self, root: str, stop_at: int) -> None:
        super().__init__(root)
        self.stop_at = stop_at
        self.arrived, self.released = threading.Event(), threading.Event()

    def read(self, path: str, start: int, size_bytes: int) -> bytes:
        data = super().read(path, start, size_bytes)
        if len(self.reads) == self.stop_at:
            self.arrived.set()
            assert self.released.wait(60)
        return data


def gated(stored: Stored, stop_at: int) -> tuple[Volume, GatedFiles]:
    files = GatedFiles(str(stored.root), stop_at)
    engine = DirectEngine(
        stored.array,
        files,
        decoder_for(stored.array.layout),
        cache=ChunkCache(0),
        threads=Threads(1),
        sizes=ReadSizes(most_gap_bytes=0, most_bytes=0),  # chunk by chunk
    )
    return Volume(stored.array, engine, orient(stored.array)), files


class SlowFiles(CountedFiles):
    """Reads of which none ends before four have begun, as those of a far away disk may be."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.four = threading.Barrier(4)

    def read(self, path: str, start: int, size_bytes: int) -> bytes:
        if len(self.reads) >= 2:
            self.four.wait(60)
        return super().read(path, start, size_bytes)


def test_reads_that_wait_for_the_storage_wait_together(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((32, 32, 40)), (8, 32, 8))  # 20 chunks
    files = SlowFiles(str(tmp_path))
    layout = stored.array.layout
    engine = DirectEngine(stored.array, files, decoder_for(layout), cache=ChunkCache(0), threads=Threads(2))
    volume = Volume(stored.array, engine, orient(stored.array))
    volume.read((0, 0, 0), (1, 1, 9))  # two reads, alone
    engine.reader.note_read(1.0)

    np.testing.assert_array_equal(volume[:], stored.data)


async def test_tasks_read_batches(stored: Stored) -> None:
    volume = stored.volume(cache_bytes=10_000_000, threads=2)
    wanted = starts(4, 6)

    one, other = await asyncio.gather(volume.aread_many(wanted, BLOCK), volume.aread_many(wanted[::-1], BLOCK))

    np.testing.assert_array_equal(one, other[::-1])
    np.testing.assert_array_equal(one[0], expected(stored.data, wanted[0]))


async def test_a_cancelled_batch_ends_before_its_task_does(stored: Stored) -> None:
    volume, files = gated(stored, stop_at=3)
    out = np.zeros((1, *SHAPE), "u2")
    task = asyncio.create_task(volume.aread_many([(0, 0, 0)], SHAPE, out=out))
    await asyncio.to_thread(files.arrived.wait, 60)

    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()  # a thread still writes into out
    files.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(files.reads) == 3
    assert np.count_nonzero(out) <= 3 * np.prod(CHUNKS)


def test_an_error_in_one_thread_ends_the_others_and_is_raised(stored: Stored, tmp_path: Path) -> None:
    other = store(tmp_path, stored.data, CHUNKS)
    (tmp_path / "set/a/9").write_bytes(b"rubbish")
    volume = always_in_threads(other.volume(cache_bytes=10_000_000, threads=3))

    for _ in range(3):  # what failed is not kept, and nobody waits for it
        with pytest.raises(FormatError, match="set/a/9"):
            volume[:]
    np.testing.assert_array_equal(volume[32:], stored.data[32:])


def test_chunks_decoded_at_once_are_decoded_once(stored: Stored) -> None:
    volume = stored.volume(cache_bytes=10_000_000)
    barrier = threading.Barrier(4)

    def read(_: int) -> Array:
        barrier.wait(60)
        return volume.read((0, 0, 0), (16, 16, 16))

    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(read, range(4)))

    assert len(stored.reads) == 1
    for block in blocks:
        np.testing.assert_array_equal(block, stored.data[:16, :16, :16])


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_volumes_that_are_gone_leave_no_descriptor_open(stored: Stored) -> None:
    stored.opened.clear()
    gc.collect()
    before = descriptors()
    volume = stored.volume()
    volume[:]
    assert descriptors() > before

    stored.opened.clear()
    del volume
    gc.collect()

    assert descriptors() == before
