from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.disk.desk import Faulty, ShortWrites

from emasync.disk.interface import Sink
from emasync.disk.sink import LocalSink
from emasync.disk.system import System, rename_by_link, rename_by_look, rename_natively
from emasync.errors import DestinationError, ErrorKind, IntegrityError, MachineError

PARTIAL = ".emasync/partial"


def put(sink: Sink, destination: str, data: bytes = b"data", name: str = "p-0") -> None:
    partial = sink.reserve(name, len(data))
    partial.write(0, data)
    partial.seal(len(data))
    partial.close()
    sink.place(name, destination)


@pytest.mark.parametrize("call", ["create", "pwrite", "preallocate", "mkdir", "rename"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, ErrorKind.DISK_FULL),
        (errno.EDQUOT, ErrorKind.DISK_FULL),
        (errno.EACCES, ErrorKind.NO_PERMISSION),
        (errno.EROFS, ErrorKind.NO_PERMISSION),
        (errno.EIO, ErrorKind.DISK),
    ],
)
def test_the_machine_s_errors_stop_the_run(root: Path, call: str, number: int, kind: ErrorKind) -> None:
    sink = LocalSink(root, system=Faulty(call, number))

    def work() -> None:
        partial = sink.reserve("p-0", 2 << 20)
        try:
            partial.write(0, b"x")
        finally:
            partial.close()
        sink.place("p-0", "a/b")

    with pytest.raises(MachineError) as caught:
        work()
    assert caught.value.kind is kind
    assert str(root) in caught.value.message
    sink.close()


def test_a_full_disk_at_reservation_leaves_nothing(root: Path) -> None:
    sink = LocalSink(root, system=Faulty("preallocate", errno.ENOSPC))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(MachineError):
        sink.reserve("p-0", 2 << 20)
    assert list(sink.partials()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2, "root's partial folder only"
    sink.close()


OTHER_CALLS: dict[str, Callable[[LocalSink], object]] = {
    "open": lambda sink: sink.read_final("x", 0, 1),
    "open folder": lambda sink: sink.stat("folder/x"),
    "unlink": lambda sink: sink.discard("q-0"),
    "stat": lambda sink: sink.stat("x"),
    "rename back": lambda sink: sink.retract("x", "q-1"),
    "create": lambda sink: sink.write_document("x.json", b"{}"),
}


@pytest.mark.parametrize("call", OTHER_CALLS)
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_an_ailing_disk_is_named_wherever_it_shows(root: Path, call: str, number: int) -> None:
    system = Faulty("none", number)
    sink = LocalSink(root, system=system)
    put(sink, "x")
    sink.reserve("q-0", None).close()
    system.call = call
    with pytest.raises(MachineError) as caught:
        OTHER_CALLS[call](sink)
    assert caught.value.kind is ErrorKind.DISK
    assert system.calls == 1
    sink.close()


def test_reopening_on_an_ailing_disk(root: Path) -> None:
    system = Faulty("none", errno.EIO)
    sink = LocalSink(root, system=system)
    sink.reserve("p-0", None).close()
    system.call = "open"
    with pytest.raises(MachineError):
        sink.reopen("p-0")
    sink.close()


def test_giving_blocks_back_may_fail_too(root: Path) -> None:
    sink = LocalSink(root, system=Faulty("truncate", errno.EIO))
    partial = sink.reserve("p-0", 2 << 20)
    with pytest.raises(MachineError, match="cannot seal"):
        partial.seal(0)
    partial.close()
    sink.close()


def test_reading_an_unfinished_file_may_fail(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int, _size: int, _offset: int) -> bytes:
        raise OSError(errno.EIO, "broken")

    sink = LocalSink(root)
    partial = sink.reserve("p-0", None)
    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(MachineError, match="cannot read"):
        partial.read(0, 1)
    partial.close()
    sink.close()


def test_a_name_taken_and_freed_at_once_counts_as_taken(root: Path) -> None:
    system = Faulty("rename", errno.EEXIST)
    sink = LocalSink(root, system=system)
    with pytest.raises(DestinationError) as caught:
        put(sink, "x")
    assert caught.value.kind is ErrorKind.DESTINATION_EXISTS
    sink.close()


def test_a_file_taken_away_while_it_is_taken_back(root: Path) -> None:
    system = Faulty("none", errno.ENOENT)
    sink = LocalSink(root, system=system)
    put(sink, "x")
    system.call = "rename back"
    system.error = FileNotFoundError(errno.ENOENT, "gone")
    with pytest.raises(IntegrityError, match="not there"):
        sink.retract("x", "p-1")
    sink.close()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_filesystems_without_preallocation_do_without(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class Libc:
        @staticmethod
        def fallocate(*_arguments: object) -> int:
            ctypes.set_errno(number)
            return -1

    monkeypatch.setattr("emasync.disk.system._libc", Libc)
    sink = LocalSink(root)
    put(sink, "x", b"x" * (2 << 20))
    assert sink.stat("x") is not None
    sink.close()


def test_a_disk_too_full_for_the_file_says_so_before_the_first_byte(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Libc:
        @staticmethod
        def fallocate(*_arguments: object) -> int:
            ctypes.set_errno(errno.ENOSPC)
            return -1

    monkeypatch.setattr("emasync.disk.system._libc", Libc)
    sink = LocalSink(root)
    with pytest.raises(MachineError) as caught:
        sink.reserve("p-0", 2 << 20)
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert list(sink.partials()) == []
    sink.close()


class InMemory(System):
    """A filesystem of memory."""

    def __init__(self) -> None:
        super().__init__()
        self.preallocated = 0

    def filesystem_type(self, path: str) -> str:
        return "tmpfs"

    def preallocate(self, fd: int, size_bytes: int) -> bool:
        self.preallocated += size_bytes
        return super().preallocate(fd, size_bytes)


def test_no_memory_is_taken_before_it_is_written(root: Path) -> None:
    system = InMemory()
    sink = LocalSink(root, system=system)
    put(sink, "x", b"x" * (2 << 20))
    assert system.preallocated == 0
    assert (root / "x").stat().st_size == 2 << 20
    sink.close()


def test_a_file_larger_than_the_memory_left_is_refused_before_the_first_byte(root: Path) -> None:
    sink = LocalSink(root, system=InMemory())
    with pytest.raises(MachineError) as caught:
        sink.reserve("p-0", 1 << 60)
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert list(sink.partials()) == []
    sink.close()


def test_a_system_library_without_exclusive_rename(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.disk.system._libc", object)
    sink = LocalSink(root)
    put(sink, "x", b"1")
    with pytest.raises(DestinationError):
        put(sink, "x", b"2")
    assert (root / "x").read_bytes() == b"1"
    sink.close()


def test_names_the_filesystem_cannot_hold(root: Path) -> None:
    for number in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
        sink = LocalSink(root, system=Faulty("rename", number))
        with pytest.raises(DestinationError) as caught:
            put(sink, "x")
        assert caught.value.kind is ErrorKind.UNSAFE_NAME
        sink.close()


def test_another_filesystem_is_named_as_such(root: Path) -> None:
    sink = LocalSink(root, system=Faulty("rename", errno.EXDEV))
    with pytest.raises(MachineError, match="another filesystem"):
        put(sink, "x")
    sink.close()


@pytest.mark.parametrize("operation", ["seal", "sync"])
def test_a_failed_sync_is_never_tried_again(root: Path, operation: str) -> None:
    system = Faulty("fdatasync", errno.EIO)
    sink = LocalSink(root, system=system)
    partial = sink.reserve("p-0", None)
    act = partial.sync if operation == "sync" else (lambda: partial.seal(0))
    with pytest.raises(MachineError) as caught:
        act()
    assert caught.value.kind is ErrorKind.SYNC_FAILED
    system.call = "none"
    with pytest.raises(MachineError):
        act()
    assert system.calls == 1
    partial.close()
    sink.close()


def test_a_failed_folder_sync_is_never_tried_again(root: Path) -> None:
    system = Faulty("fsync", errno.EIO)
    sink = LocalSink(root, system=system)
    put(sink, "a/x")
    with pytest.raises(MachineError) as caught:
        sink.sync_folders()
    assert caught.value.kind is ErrorKind.SYNC_FAILED
    system.call = "none"
    put(sink, "b/x")
    with pytest.raises(MachineError):
        sink.sync_folders()
    assert system.calls == 1
    sink.close()


def test_a_root_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MachineError):
        LocalSink(tmp_path / "file")


def test_short_writes_go_on(root: Path) -> None:
    sink = LocalSink(root, system=ShortWrites())
    buffer = bytearray(b"0123456789")
    partial = sink.reserve("p-0", 10)
    partial.write(0, buffer)
    assert partial.read(0, 10) == b"0123456789"
    buffer.append(0)  # no view of it is left open
    partial.close()
    sink.close()


def test_a_document_that_could_not_be_written_leaves_the_old_one(root: Path) -> None:
    system = Faulty("none", errno.ENOSPC)
    sink = LocalSink(root, system=system)
    sink.write_document("a.json", b"old")
    for call in ("pwrite", "fdatasync"):
        system.call = call
        with pytest.raises(MachineError):
            sink.write_document("a.json", b"new")
        assert (root / "a.json").read_bytes() == b"old"
        assert list(sink.partials()) == []
    system.call = "none"
    sink.write_document("a.json", b"new")
    assert (root / "a.json").read_bytes() == b"new"
    sink.close()


def unsupported(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("links", [True, False])
def test_exclusive_rename_falls_back(root: Path, number: int, links: bool) -> None:
    asked: list[str] = []

    def native(old: str, old_fd: int, new: str, new_fd: int) -> None:
        asked.append("native")
        raise unsupported(number)

    def no_links(old: str, old_fd: int, new: str, new_fd: int) -> None:
        asked.append("link")
        raise unsupported(errno.EOPNOTSUPP)

    sink = LocalSink(root, system=System((native, rename_by_link if links else no_links, rename_by_look)))
    put(sink, "a", b"1")
    assert list(sink.partials()) == []
    put(sink, "b", b"2")
    assert (root / "a").read_bytes() == b"1"
    with pytest.raises(DestinationError) as caught:
        put(sink, "a", b"3")
    assert caught.value.kind is ErrorKind.DESTINATION_EXISTS
    assert (root / "a").read_bytes() == b"1"
    if links:
        assert asked == ["native"], "what works is remembered"
    sink.close()


def test_a_bad_name_does_not_spoil_the_native_rename(root: Path) -> None:
    asked: list[str] = []

    def native(old: str, old_fd: int, new: str, new_fd: int) -> None:
        asked.append(new)
        if new == "a?b":  # as FAT does, whatever the call
            raise unsupported(errno.EINVAL)
        rename_natively(old, old_fd, new, new_fd)

    def refuse(old: str, old_fd: int, new: str, new_fd: int) -> None:
        raise unsupported(errno.EINVAL)

    sink = LocalSink(root, system=System((native, refuse)))
    with pytest.raises(DestinationError):
        put(sink, "a?b")
    put(sink, "good")
    assert asked == ["a?b", "good"]
    sink.close()
