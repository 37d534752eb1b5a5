from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typing_extensions import Buffer

from emasync.disk.interface import FileFacts, Sink
from emasync.disk.partial import LocalPartial
from emasync.disk.sink import LocalSink
from emasync.disk.system import System, rename_by_link, rename_by_look, rename_natively
from emasync.errors import DestinationError, ErrorKind, IntegrityError, MachineError

PARTIAL = ".emasync/partial"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def sink(root: Path) -> Iterator[LocalSink]:
    sink = LocalSink(root)
    yield sink
    sink.close()


def put(sink: Sink, destination: str, data: bytes = b"data", name: str = "p-0") -> None:
    partial = sink.reserve(name, len(data))
    partial.write(0, data)
    partial.seal(len(data))
    partial.close()
    sink.place(name, destination)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# --- the way of a file ---


def test_a_file_goes_from_partial_to_final(sink: LocalSink, root: Path) -> None:
    partial = sink.reserve("p-0", 6)
    partial.write(3, b"def")
    partial.write(0, memoryview(bytearray(b"abc")))
    assert list(sink.partials()) == ["p-0"]
    partial.seal(6)
    assert partial.read(1, 100) == b"bcdef"
    partial.close()
    sink.place("p-0", "set/deep/file.bin")
    sink.sync_folders()
    assert (root / "set/deep/file.bin").read_bytes() == b"abcdef"
    assert list(sink.partials()) == []
    facts = sink.stat("set/deep/file.bin")
    assert facts == FileFacts(6, (root / "set/deep/file.bin").stat().st_mtime_ns)
    assert sink.read_final("set/deep/file.bin", 2, 3) == b"cde"


def test_reserving_again_discards_what_was_there(sink: LocalSink) -> None:
    old = sink.reserve("p-0", None)
    old.write(0, b"old bytes")
    new = sink.reserve("p-0", None)
    old.write(0, b"late")
    assert new.read(0, 10) == b""
    old.close()
    new.close()


def test_reopening_goes_on(sink: LocalSink) -> None:
    first = sink.reserve("p-0", 4)
    first.write(0, b"ab")
    first.close()
    again = sink.reopen("p-0")
    assert again is not None
    again.write(2, b"cd")
    again.seal(4)
    again.close()
    assert sink.reopen("p-1") is None


def test_a_wrong_size_is_not_sealed(sink: LocalSink) -> None:
    partial = sink.reserve("p-0", 4)
    partial.write(0, b"abc")
    for size in (2, 4):
        with pytest.raises(IntegrityError) as caught:
            partial.seal(size)
        assert caught.value.kind is ErrorKind.SIZE_MISMATCH
    partial.seal(3)
    partial.close()


def test_an_empty_file_is_a_file(sink: LocalSink, root: Path) -> None:
    put(sink, "empty", b"")
    assert (root / "empty").read_bytes() == b""


def test_preallocated_files_do_not_look_complete(sink: LocalSink, root: Path) -> None:
    partial = sink.reserve("p-0", 4 << 20)
    path = root / PARTIAL / "p-0"
    assert path.stat().st_size == 0
    if not path.stat().st_blocks:
        pytest.skip("this filesystem does not preallocate")
    assert path.stat().st_blocks * 512 >= 4 << 20
    partial.write(0, b"x" * 100)
    partial.seal(100)
    assert path.stat().st_blocks * 512 < 1 << 20, "blocks beyond the end are given back"
    partial.close()


def test_retract_brings_a_final_file_back(sink: LocalSink, root: Path) -> None:
    put(sink, "a/x", b"good")
    sink.retract("a/x", "p-7")
    assert sink.stat("a/x") is None
    again = sink.reopen("p-7")
    assert again is not None
    again.write(0, b"best")
    again.seal(4)
    again.close()
    sink.place("p-7", "a/x")
    assert (root / "a/x").read_bytes() == b"best"


def test_retracting_what_is_not_there(sink: LocalSink) -> None:
    with pytest.raises(IntegrityError, match="is not there"):
        sink.retract("a/x", "p-7")


def test_discard_removes_and_forgives(sink: LocalSink) -> None:
    sink.discard("p-0")
    sink.reserve("p-0", None).close()
    sink.discard("p-0")
    sink.discard("p-0")
    assert list(sink.partials()) == []


def test_partials_of_a_new_root(sink: LocalSink, root: Path) -> None:
    assert list(sink.partials()) == []
    assert not (root / ".emasync").exists(), "looking makes nothing"


def test_placing_a_partial_that_is_gone(sink: LocalSink) -> None:
    with pytest.raises(MachineError, match="gone") as caught:
        sink.place("p-0", "a/b")
    assert caught.value.location == "a/b"


def test_reading_past_the_end_and_nothing(sink: LocalSink) -> None:
    put(sink, "x", b"abc")
    assert sink.read_final("x", 2, 5) == b"c"
    assert sink.read_final("x", 9, 5) == b""
    with pytest.raises(IntegrityError):
        sink.read_final("y", 0, 1)


# --- nothing of the user is replaced, nothing leaves the root ---


def test_existing_files_are_not_replaced(sink: LocalSink, root: Path) -> None:
    (root / "x").write_bytes(b"the user's")
    with pytest.raises(DestinationError) as caught:
        put(sink, "x", b"ours")
    assert caught.value.kind is ErrorKind.DESTINATION_EXISTS
    assert (root / "x").read_bytes() == b"the user's"
    assert list(sink.partials()) == ["p-0"]


def test_a_dangling_link_is_not_replaced_either(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    (root / "x").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DestinationError) as caught:
        put(sink, "x")
    assert caught.value.kind is ErrorKind.DESTINATION_EXISTS
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_in_the_way_is_a_name_clash(sink: LocalSink) -> None:
    put(sink, "a/b")
    with pytest.raises(DestinationError) as caught:
        put(sink, "a")
    assert caught.value.kind is ErrorKind.NAME_CLASH


def test_a_file_where_a_folder_is_needed_is_a_name_clash(sink: LocalSink) -> None:
    put(sink, "a")
    for destination in ("a/b", "a/b/c"):
        with pytest.raises(DestinationError) as caught:
            put(sink, destination)
        assert caught.value.kind is ErrorKind.NAME_CLASH


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_no_link_below_the_root_is_followed(sink: LocalSink, root: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (outside / "b/c").mkdir(parents=True)
    (outside / "secret").write_bytes(b"secret")
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(outside)
    with pytest.raises(DestinationError) as caught:
        put(sink, "a/b/c/x")
    assert caught.value.kind is ErrorKind.UNSAFE_NAME
    with pytest.raises(DestinationError):
        sink.write_document("a/b/c/x.json", b"{}")
    assert sink.stat(f"{link}/secret") is None
    with pytest.raises(DestinationError):
        sink.read_final(f"{link}/secret", 0, 6)
    assert sorted(path.name for path in outside.rglob("*")) == ["b", "c", "secret"]


def test_a_folder_replaced_by_a_link_while_it_is_kept_open(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    put(sink, "a/b/x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "a/b").rename(root / "a/moved")
    (root / "a/b").symlink_to(outside)
    put(sink, "a/b/y")
    assert list(outside.iterdir()) == []
    assert (root / "a/moved/y").exists(), "the folder that was opened, wherever it went"


def test_a_final_link_is_neither_read_nor_statted_nor_retracted(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "x").symlink_to(tmp_path / "secret")
    assert sink.stat("x") is None
    with pytest.raises(IntegrityError):
        sink.read_final("x", 0, 6)
    with pytest.raises(IntegrityError):
        sink.retract("x", "p-0")


def test_a_planted_partial_link_is_not_written_through(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"keep")
    (root / PARTIAL).mkdir(parents=True)
    (root / PARTIAL / "p-0").symlink_to(target)
    assert sink.reopen("p-0") is None
    partial = sink.reserve("p-0", None)
    partial.write(0, b"ours")
    partial.close()
    assert target.read_bytes() == b"keep"


def test_a_partial_with_a_second_name_is_not_written_on(sink: LocalSink, root: Path) -> None:
    put(sink, "x", b"final")
    os.link(root / "x", root / PARTIAL / "p-0")
    assert sink.reopen("p-0") is None


def test_pipes_and_folders_do_not_hold_us_up(sink: LocalSink, root: Path) -> None:
    (root / PARTIAL / "dir").mkdir(parents=True)
    os.mkfifo(root / PARTIAL / "pipe")
    os.mkfifo(root / "pipe")
    assert sink.reopen("pipe") is None
    assert sink.reopen("dir") is None
    assert sink.stat("pipe") is None
    for name in ("pipe", ".emasync"):
        with pytest.raises(IntegrityError):
            sink.read_final(name, 0, 1)


@pytest.mark.parametrize(
    "destination",
    ["", "/etc/x", "../x", "a/../x", "a/./x", "a//x", "a/", "a\0b", "a\nb", "x" * 256, "\ud800", "d/" * 2001 + "x"],
)
def test_unsafe_destinations_are_refused(sink: LocalSink, destination: str) -> None:
    sink.reserve("p-0", None).close()
    calls: list[Callable[[], object]] = [
        lambda: sink.place("p-0", destination),
        lambda: sink.stat(destination),
        lambda: sink.read_final(destination, 0, 1),
        lambda: sink.retract(destination, "p-1"),
        lambda: sink.write_document(destination, b""),
    ]
    for call in calls:
        with pytest.raises(DestinationError) as caught:
            call()
        assert caught.value.kind is ErrorKind.UNSAFE_NAME


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a\0"])
def test_unsafe_partial_names_are_refused(sink: LocalSink, name: str) -> None:
    calls: list[Callable[[str], object]] = [lambda name: sink.reserve(name, 1), sink.reopen, sink.discard]
    for call in calls:
        with pytest.raises(DestinationError):
            call(name)


@pytest.mark.parametrize("destination", [".emasync/state.sqlite", ".emasync", ".emasync/partial/p-9"])
def test_objects_are_not_placed_among_our_own_files(sink: LocalSink, destination: str) -> None:
    with pytest.raises(DestinationError, match="own"):
        put(sink, destination)


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    sink = LocalSink(tmp_path / "root")
    put(sink, "a/x")
    assert (tmp_path / "disk/a/x").read_bytes() == b"data"
    sink.close()


def test_a_folder_removed_meanwhile_is_made_again(sink: LocalSink, root: Path) -> None:
    put(sink, "a/b/x")
    (root / "a/b/x").unlink()
    (root / "a/b").rmdir()
    (root / "a").rmdir()
    put(sink, "a/b/y")
    put(sink, "a/c/y", name="p-1")
    assert (root / "a/b/y").exists()
    assert (root / "a/c/y").exists()
    sink.sync_folders()


# --- machine trouble ---


class Faulty(System):
    """Fails one kind of call with one error number."""

    def __init__(self, call: str, number: int) -> None:
        super().__init__()
        self.error = OSError(number, os.strerror(number))
        self.calls = 0
        self.call = call

    def fail(self, call: str) -> None:
        if call == self.call:
            self.calls += 1
            raise self.error

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        if flags & os.O_CREAT:
            self.fail("create")
        return super().open(name, flags, dir_fd, mode)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self.fail("pwrite")
        return super().pwrite(fd, data, offset)

    def preallocate(self, fd: int, size_bytes: int) -> bool:
        self.fail("preallocate")
        return super().preallocate(fd, size_bytes)

    def fdatasync(self, fd: int) -> None:
        self.fail("fdatasync")
        super().fdatasync(fd)

    def fsync(self, fd: int) -> None:
        self.fail("fsync")
        super().fsync(fd)

    def mkdir(self, name: str, dir_fd: int) -> None:
        if name != ".emasync":
            self.fail("mkdir")
        super().mkdir(name, dir_fd)

    def rename_exclusive(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        self.fail("rename")
        super().rename_exclusive(old, old_fd, new, new_fd)


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
    before = open_descriptors()
    with pytest.raises(MachineError):
        sink.reserve("p-0", 2 << 20)
    assert list(sink.partials()) == []
    assert open_descriptors() <= before + 2, "root's partial folder only"
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


class ShortWrites(System):
    """Writes at most three bytes a call."""

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        return super().pwrite(fd, memoryview(data)[:3], offset)


def test_short_writes_go_on(root: Path) -> None:
    sink = LocalSink(root, system=ShortWrites())
    buffer = bytearray(b"0123456789")
    partial = sink.reserve("p-0", 10)
    partial.write(0, buffer)
    assert partial.read(0, 10) == b"0123456789"
    buffer.append(0)  # no view of it is left open
    partial.close()
    sink.close()


# --- descriptors ---


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


# --- renames on lesser filesystems ---


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
    put(sink, "b", b"2")
    assert (root / "a").read_bytes() == b"1"
    assert (root / "a").stat().st_nlink == 1
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


# --- documents ---


def test_documents_are_replaced_whole(sink: LocalSink, root: Path) -> None:
    sink.write_document("metadata/set/a.json", b"one, and longer")
    sink.write_document("metadata/set/a.json", b"two")
    sink.write_document("receipt.json", b"")
    assert (root / "metadata/set/a.json").read_bytes() == b"two"
    assert (root / "receipt.json").read_bytes() == b""
    assert list((root / PARTIAL).iterdir()) == []


def test_long_documents_come_in_pieces(sink: LocalSink, root: Path) -> None:
    sink.write_document("checksums/set.tsv", (f"row {number}\n".encode() for number in range(1000)))
    lines = (root / "checksums/set.tsv").read_text().splitlines()
    assert lines == [f"row {number}" for number in range(1000)]

    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sink.write_document("checksums/set.tsv", breaks())
    assert (root / "checksums/set.tsv").read_text().splitlines() == lines


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


def test_documents_replace_no_link_and_no_folder(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"keep")
    (root / "a.json").symlink_to(tmp_path / "target")
    (root / "b.json").mkdir()
    for name, kind in (("a.json", ErrorKind.UNSAFE_NAME), ("b.json", ErrorKind.NAME_CLASH)):
        with pytest.raises(DestinationError) as caught:
            sink.write_document(name, b"{}")
        assert caught.value.kind is kind
    assert (tmp_path / "target").read_bytes() == b"keep"
    assert (root / "a.json").is_symlink()


# --- facts ---


def test_free_space_is_what_the_user_may_use(sink: LocalSink, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = os.statvfs(root)
    assert 0 < sink.free_bytes() <= facts.f_blocks * facts.f_frsize
    assert sink.free_inodes() is None or sink.free_inodes() > 0  # type: ignore[operator]  # asked twice

    class NoInodes:
        f_files = 0
        f_favail = 0

    monkeypatch.setattr(os, "fstatvfs", lambda _fd: NoInodes)
    assert sink.free_inodes() is None


def test_the_sink_is_a_sink(sink: LocalSink) -> None:
    as_sink: Sink = sink
    assert as_sink.free_bytes() > 0
