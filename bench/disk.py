"""What small and large files cost on the way to the disk, in each of the ways there are.

``python bench/disk.py small --root /dev/shm/x`` microseconds a file of 64 KiB: kernel calls alone, each way to sync.
``python bench/disk.py hops --root /dev/shm/x`` the same inline on a uvloop that receives data, and from threads.
``python bench/disk.py large --root /dev/shm/x`` one file in pieces of 1 MiB, with and without early write-back.

Each root is emptied before and removed afterwards. One JSON object a line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from emasync.disk.interface import WholeFile
from emasync.disk.sink import LocalSink
from emasync.disk.syncing import SyncWay
from emasync.disk.system import System, rename_by_link, rename_natively
from emasync.disk.writers import WriterPool

SIZE_BYTES = 64 << 10
BODY = os.urandom(SIZE_BYTES)
MIB = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

SENDER = """
import socket, sys
data = bytes(1 << 18)
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    try:
        while True:
            connection.sendall(data)
    except OSError:
        pass
"""


@contextmanager
def fresh(root: Path) -> Iterator[Path]:
    """An empty folder, on a disk with nothing left to write."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    os.sync()
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def report(**values: object) -> None:
    """One line of JSON, floats rounded."""
    print(json.dumps({key: round(value, 2) if isinstance(value, float) else value for key, value in values.items()}))


def us(seconds: float, files: int) -> float:
    """Microseconds a file."""
    return seconds / files * 1e6


# --- small files -------------------------------------------------------------------------------------------------


def kernel_alone(root: Path, files: int) -> None:
    """Create, write, close, rename; one ``sync`` at the end (none in memory)."""
    with fresh(root):
        (root / "p").mkdir()
        (root / "f").mkdir()
        partial, final = os.open(root / "p", os.O_RDONLY), os.open(root / "f", os.O_RDONLY)
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        for number in range(files):
            name = f"p-{number}"
            fd = os.open(name, _CREATE, 0o666, dir_fd=partial)
            os.pwrite(fd, BODY, 0)
            os.close(fd)
            os.rename(name, f"c{number}", src_dir_fd=partial, dst_dir_fd=final)
        cpu_s, written_s = time.process_time() - cpu_s, time.perf_counter() - begin_s
        os.sync()
        whole_s = time.perf_counter() - begin_s
        os.close(partial)
        os.close(final)
    report(
        what="kernel alone", cpu_us=us(cpu_s, files), unsynced_us=us(written_s, files), with_sync_us=us(whole_s, files)
    )


def in_batches(root: Path, files: int, batch_files: int, way: SyncWay | None) -> None:
    """Law 1 but for the ledger."""
    with fresh(root):
        sink = LocalSink(root, sync_ways=None if way is None else (way,))
        spent_s = [0.0, 0.0, 0.0]
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        for start in range(0, files, batch_files):
            numbers = range(start, min(start + batch_files, files))
            points_s = [time.perf_counter()]
            batch = sink.write_whole([WholeFile(f"p-{number}", (BODY,), SIZE_BYTES) for number in numbers])
            points_s.append(time.perf_counter())
            batch.sync()
            batch.close()
            points_s.append(time.perf_counter())
            errors = sink.place_many([(f"p-{number}", f"d/s0/c{number}") for number in numbers])
            points_s.append(time.perf_counter())
            spent_s = [sum(pair) for pair in zip(spent_s, map(float.__rsub__, points_s, points_s[1:]), strict=True)]
            if any(errors) or any(batch.errors):
                raise SystemExit(str(errors))
        sink.sync_folders()
        whole_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
        sink.close()
    write_s, sync_s, place_s = spent_s
    report(
        what=f"batches of {batch_files}, {way or 'chosen'}",
        cpu_us=us(cpu_s, files),
        wall_us=us(whole_s, files),
        write_us=us(write_s, files),
        sync_us=us(sync_s, files),
        place_us=us(place_s, files),
    )


def one_by_one(root: Path, files: int) -> None:
    """The way of large files, taken by small ones."""
    with fresh(root):
        sink = LocalSink(root)
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        for number in range(files):
            partial = sink.reserve(f"p-{number}", SIZE_BYTES)
            partial.write(0, BODY)
            partial.seal(SIZE_BYTES)
            partial.close()
            sink.place(f"p-{number}", f"d/s0/c{number}")
        sink.sync_folders()
        whole_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
        sink.close()
    report(what="one by one", cpu_us=us(cpu_s, files), wall_us=us(whole_s, files))


def renames(root: Path, files: int) -> None:
    """Ways to rename without replacing, and rename as it is."""
    system = System()
    for name, call in {
        "renameat2": rename_natively,
        "link, unlink": rename_by_link,
        "rename, replacing": system.rename,
    }.items():
        with fresh(root):
            folder = os.open(root, os.O_RDONLY)
            for number in range(files):
                os.close(os.open(f"p-{number}", _CREATE, dir_fd=folder))
            begin_s = time.perf_counter()
            for number in range(files):
                call(f"p-{number}", folder, f"c{number}", folder)
            report(what=name, wall_us=us(time.perf_counter() - begin_s, files))
            os.close(folder)


def small(given: argparse.Namespace) -> None:
    """All ways for small files."""
    renames(given.root, given.files)
    kernel_alone(given.root, given.files)  # once more below: memory that nobody had before is dearer
    kernel_alone(given.root, given.files)
    for batch_files in given.batch:
        for way in (None, SyncWay.EACH, SyncWay.TOGETHER, SyncWay.WHOLE):
            in_batches(given.root, given.files, batch_files, way)
    one_by_one(given.root, given.files)
    kernel_alone(given.root, given.files)


# --- hops: who writes while a loop receives ----------------------------------------------------------------------


class Receiver(asyncio.BufferedProtocol):
    """Takes bytes and spends some Python on them, as a wire does; holds at most two hops' worth."""

    def __init__(self, hop_bytes: int) -> None:
        self.hop_bytes = hop_bytes
        self.held_bytes = 0
        self.transport: asyncio.Transport
        self._buffer = bytearray(SIZE_BYTES)
        self._enough = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # create_server's promise

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  # the protocol's signature
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Some Python a call."""
        self.held_bytes += nbytes
        for _ in range(200):
            pass
        if self.held_bytes >= self.hop_bytes:
            self._enough.set()
        if self.held_bytes >= 2 * self.hop_bytes:
            self.transport.pause_reading()

    async def take(self) -> None:
        """Wait for a hop's worth."""
        while self.held_bytes < self.hop_bytes:
            self._enough.clear()
            await self._enough.wait()
        self.held_bytes -= self.hop_bytes
        self.transport.resume_reading()


async def write_hop(sink: LocalSink, pool: WriterPool | None, threads: int, numbers: range) -> float:
    """Write and place so many files, inline or split over threads; gives the seconds that took."""
    begin_s = time.perf_counter()
    if pool is None:
        put(sink, numbers)
    else:
        await asyncio.gather(*(pool.submit(put, sink, numbers[start::threads]) for start in range(threads)))
    return time.perf_counter() - begin_s


def put(sink: LocalSink, numbers: range) -> None:
    """Law 1 but for the sync and the ledger."""
    batch = sink.write_whole([WholeFile(f"p-{number}", (BODY,), SIZE_BYTES) for number in numbers])
    batch.close()
    sink.place_many([(f"p-{number}", f"d/s0/c{number}") for number in numbers])


async def receiving(root: Path, files: int, hop_files: int, threads: int) -> dict[str, object]:
    """Files received over one connection and written in hops; one hop is under way while the next one comes in."""
    receiver = Receiver(hop_files * SIZE_BYTES)
    server = await asyncio.get_running_loop().create_server(lambda: receiver, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, str(port), stderr=subprocess.DEVNULL)
    await receiver.take()
    pool = WriterPool(threads) if threads else None
    sink = LocalSink(root, sync_ways=(SyncWay.NOTHING,))
    before, begin_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    writing: asyncio.Task[float] | None = None
    longest_s = 0.0
    for start in range(0, files, hop_files):
        await receiver.take()
        if writing is not None:
            longest_s = max(longest_s, await writing)
        writing = asyncio.create_task(write_hop(sink, pool, threads, range(start, start + hop_files)))
    if writing is not None:
        await writing
    after, whole_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - begin_s
    sender.kill()
    await sender.wait()
    server.close()
    sink.close()
    if pool is not None:
        await pool.aclose()
    return {
        "what": f"{threads or 'no'} threads, hops of {hop_files}",
        "wall_us": us(whole_s, files),
        "cpu_us": us(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, files),
        "system_us": us(after.ru_stime - before.ru_stime, files),
        "switches": round((after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw) / files, 2),
        "longest_hop_ms": longest_s * 1e3,
    }


def hops(given: argparse.Namespace) -> None:
    """All of them, with uvloop."""
    import uvloop  # noqa: PLC0415  # only here

    for hop_files in (16, 64, 128):
        for threads in (0, 1, 2, 16):
            runs = []
            for _ in range(given.repeat):
                with fresh(given.root), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runs.append(runner.run(receiving(given.root, given.files, hop_files, threads)))
            report(**min(runs, key=lambda run: run["wall_us"]))


# --- large files -------------------------------------------------------------------------------------------------


def large_file(
    root: Path, size_bytes: int, what: str, write: Callable[[LocalSink, memoryview], tuple[float, float]]
) -> None:
    """Time of one file."""
    piece = memoryview(bytearray(os.urandom(MIB)))
    with fresh(root):
        sink = LocalSink(root)
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        written_s, sealed_s = write(sink, piece)
        whole_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
        sink.close()
    pieces = size_bytes // MIB
    report(
        what=what,
        gib_s=size_bytes / (1 << 30) / whole_s,
        write_us=us(written_s, pieces),
        seal_ms=sealed_s * 1e3,
        cpu_us=us(cpu_s, pieces),
    )


def large(given: argparse.Namespace) -> None:
    """Kernel calls alone against an unfinished file."""
    pieces = given.mib

    def through_sink(sink: LocalSink, piece: memoryview) -> tuple[float, float]:
        partial = sink.reserve("p-0", pieces * MIB)
        begin_s = time.perf_counter()
        for number in range(pieces):
            partial.write(number * MIB, piece)
        written_s = time.perf_counter() - begin_s
        partial.seal(pieces * MIB)
        partial.close()
        return written_s, time.perf_counter() - begin_s - written_s

    def each_piece() -> None:
        """What an unfinished file adds to a write, without the write's own weight."""
        with fresh(given.root):
            sink = LocalSink(given.root)
            partial = sink.reserve("p-0", None)
            fd = os.open(given.root / "plain", os.O_WRONLY | os.O_CREAT)
            times_us = []
            for write in (lambda: os.pwrite(fd, b"x", 0), lambda: partial.write(0, b"x")):
                begin_s = time.perf_counter()
                for _ in range(10_000):
                    write()
                times_us.append(us(time.perf_counter() - begin_s, 10_000))
            os.close(fd)
            sink.close()
        report(what="one byte", kernel_us=times_us[0], unfinished_file_us=times_us[1])

    def kernel(_sink: LocalSink, piece: memoryview) -> tuple[float, float]:
        fd = os.open(given.root / "plain", os.O_WRONLY | os.O_CREAT)
        begin_s = time.perf_counter()
        for number in range(pieces):
            os.pwrite(fd, piece, number * MIB)
        written_s = time.perf_counter() - begin_s
        os.fdatasync(fd)
        os.close(fd)
        return written_s, time.perf_counter() - begin_s - written_s

    each_piece()
    for _ in range(2):
        large_file(given.root, pieces * MIB, "kernel alone", kernel)
        large_file(given.root, pieces * MIB, "unfinished file", through_sink)


def main() -> None:
    """Parse the command line, measure, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("small", "hops", "large"))
    options.add_argument("--root", type=Path, required=True, help="emptied and removed!")
    options.add_argument("--files", type=int, default=8192)
    options.add_argument("--batch", type=int, nargs="*", default=[128])
    options.add_argument("--repeat", type=int, default=3, help="hops: the fastest of so many")
    options.add_argument("--mib", type=int, default=4096)
    given = options.parse_args()
    {"small": small, "hops": hops, "large": large}[given.what](given)


if __name__ == "__main__":
    main()
