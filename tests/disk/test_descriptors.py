from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from tests.disk.desk import open_descriptors
from typing_extensions import Buffer

from emasync.disk.interface import Sink
from emasync.disk.partial import LocalPartial
from emasync.disk.sink import LocalSink
from emasync.disk.system import System
from emasync.errors import ErrorKind, MachineError

PARTIAL = ".emasync/partial"


def put(sink: Sink, destination: str, data: bytes = b"data", name: str = "p-0") -> None:
    partial = sink.reserve(name, len(data))
    partial.write(0, data)
    partial.seal(len(data))
    partial.close()
    sink.place(name, destination)


class SlowWrite(System):
    """Holds a write until told."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = threading.Event()
        self.go_on = threading.Event()

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self.writing.set()
        assert self.go_on.wait(60)
        return super().pwrite(fd, data, offset)


def test_close_waits_for_the_write_under_way(root: Path) -> None:
    system = SlowWrite()
    sink = LocalSink(root, system=system)
    partial = sink.reserve("p-0", 4)
    before = open_descriptors()
    thread = threading.Thread(target=partial.write, args=(0, b"late"))
    thread.start()
    assert system.writing.wait(60)
    partial.close()
    with pytest.raises(ValueError, match="closed"):
        partial.write(0, b"more")
    stranger = os.open(root, os.O_RDONLY)  # would get the number of a descriptor closed too early
    system.go_on.set()
    thread.join()
    os.close(stranger)
    assert (root / PARTIAL / "p-0").read_bytes() == b"late"
    assert open_descriptors() == before - 1
    sink.close()


@pytest.mark.parametrize("act", ["write", "read", "seal", "sync"])
def test_a_closed_partial_refuses(sink: LocalSink, act: str) -> None:
    partial = sink.reserve("p-0", None)
    partial.close()
    partial.close()
    calls = {
        "write": lambda: partial.write(0, b""),
        "read": lambda: partial.read(0, 1),
        "seal": lambda: partial.seal(0),
        "sync": partial.sync,
    }
    with pytest.raises(ValueError, match="closed"):
        calls[act]()
    assert "closed=True" in repr(partial)


def test_close_gives_everything_back(root: Path) -> None:
    before = open_descriptors()
    sink = LocalSink(root)
    for number in range(20):
        put(sink, f"folder-{number}/x")
    sink.sync_folders()
    assert "folders=" in repr(sink)
    sink.close()
    sink.close()
    assert open_descriptors() == before
    with pytest.raises(ValueError, match="closed"):
        sink.stat("x")


def test_a_late_error_of_close_is_told(root: Path) -> None:
    class LateError(System):
        def close(self, fd: int) -> None:
            super().close(fd)
            raise OSError(errno.EDQUOT, "quota")

    partial = LocalPartial("p", os.open(os.devnull, os.O_RDWR), LateError(), shown="p")
    with pytest.raises(MachineError) as caught:
        partial.close()
    assert caught.value.kind is ErrorKind.DISK_FULL


def test_a_closed_sink_leaves_nothing_open(root: Path) -> None:
    before = open_descriptors()
    sink = LocalSink(root)
    sink.reserve("p-0", None).write(0, b"data")
    sink.reserve("p-1", 5).close()
    assert sink.reopen("p-1") is not None
    sink.close()
    assert open_descriptors() == before
    assert (root / PARTIAL / "p-0").read_bytes() == b"data"


def test_a_closed_sink_waits_for_the_write_under_way(root: Path) -> None:
    before = open_descriptors()
    system = SlowWrite()
    sink = LocalSink(root, system=system)
    thread = threading.Thread(target=sink.reserve("p-0", 4).write, args=(0, b"late"))
    thread.start()
    assert system.writing.wait(60)
    sink.close()
    system.go_on.set()
    thread.join()
    assert (root / PARTIAL / "p-0").read_bytes() == b"late"
    assert open_descriptors() == before


def test_a_large_file_is_on_its_way_to_the_disk_before_its_end(root: Path) -> None:
    class Fast(System):
        """Takes everything at once and writes nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.written_bytes = 0
            self.begun_at: list[int] = []

        def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
            self.written_bytes += memoryview(data).nbytes
            return memoryview(data).nbytes

        def start_writeback(self, fd: int) -> None:
            self.begun_at.append(self.written_bytes >> 20)

    system = Fast()
    sink = LocalSink(root, system=system)
    piece = bytes(1 << 20)
    for number, size_mib in enumerate((63, 200)):
        system.written_bytes = 0
        partial = sink.reserve(f"p-{number}", None)
        for offset_mib in reversed(range(size_mib)):  # parts come in any order
            partial.write(offset_mib << 20, piece)
        partial.close()
    assert system.begun_at == [64, 96, 128, 160, 192]
    sink.close()
