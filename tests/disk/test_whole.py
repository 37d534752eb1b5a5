from __future__ import annotations

import errno
import os
import resource
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.disk.desk import Faulty, ShortWrites, open_descriptors
from typing_extensions import Buffer

from emasync.disk.interface import WholeFile
from emasync.disk.sink import LocalSink
from emasync.disk.syncing import SyncWay
from emasync.disk.system import System
from emasync.errors import DestinationError, ErrorKind, IntegrityError, MachineError
from emasync.testing.crashdisk import CrashDisk

PARTIAL = ".emasync/partial"
WAYS = tuple(SyncWay)
REAL_WAYS = (SyncWay.EACH, SyncWay.TOGETHER, SyncWay.WHOLE)


def whole_files(bodies: Sequence[bytes], first: int = 0) -> list[WholeFile]:
    return [WholeFile(f"p-{number}", (body,), len(body)) for number, body in enumerate(bodies, first)]


def bodies_of(count: int) -> list[bytes]:
    return [bytes([number % 251]) * (number * 37) for number in range(count)]


class Counting(System):
    """A disk that writes down which sync it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def start_writeback(self, fd: int) -> None:
        self.asked.append("writeback")
        super().start_writeback(fd)

    def fdatasync(self, fd: int) -> None:
        self.asked.append("fdatasync")

    def syncfs(self, fd: int) -> None:
        self.asked.append("syncfs")


# --- writing ---


@pytest.mark.parametrize("way", WAYS)
def test_files_arrive_byte_for_byte(root: Path, way: SyncWay) -> None:
    sink = LocalSink(root, sync_ways=(way,))
    bodies = bodies_of(40)
    batch = sink.write_whole(
        [
            WholeFile(f"p-{number}", (body[:7], memoryview(bytearray(body))[7:]), len(body))
            for number, body in enumerate(bodies)
        ]
    )
    batch.sync()
    batch.close()
    assert batch.errors == [None] * 40
    assert sink.place_many([(f"p-{number}", f"d/{number % 3}/x{number}") for number in range(40)]) == [None] * 40
    assert [(root / f"d/{number % 3}/x{number}").read_bytes() for number in range(40)] == bodies
    assert list(sink.partials()) == []
    sink.close()


def test_short_writes_go_on(root: Path) -> None:
    sink = LocalSink(root, system=ShortWrites())
    numbers = array("I", range(5))
    batch = sink.write_whole([WholeFile("p-0", (b"0123456789", numbers, b"end"), 10 + 20 + 3)])
    batch.close()
    assert batch.errors == [None]
    assert (root / PARTIAL / "p-0").read_bytes() == b"0123456789" + numbers.tobytes() + b"end"
    numbers.append(0)  # no view of it is left open
    sink.close()


def test_an_older_partial_of_that_name_is_discarded(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"outside")
    sink.write_whole(whole_files([b"older and longer"])).close()
    (root / PARTIAL / "p-1").symlink_to(outside)
    batch = sink.write_whole(whole_files([b"new", b"ours"]))
    batch.close()
    assert batch.errors == [None, None]
    assert (root / PARTIAL / "p-0").read_bytes() == b"new"
    assert not (root / PARTIAL / "p-1").is_symlink()
    assert outside.read_bytes() == b"outside"


def test_a_partial_folder_that_is_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / ".emasync").mkdir(parents=True)
    (root / PARTIAL).symlink_to(tmp_path / "outside")
    sink = LocalSink(root)
    with pytest.raises(DestinationError):
        sink.write_whole(whole_files([b"x"]))
    assert list((tmp_path / "outside").iterdir()) == []
    sink.close()


@pytest.mark.parametrize("name", ["../p", "a/b", "", ".hidden", "..", "nul\0", "x" * 256])
def test_a_bad_name_is_the_file_s_own_fault(sink: LocalSink, root: Path, name: str) -> None:
    batch = sink.write_whole([WholeFile("p-0", (b"1",), 1), WholeFile(name, (b"2",), 1), WholeFile("p-2", (b"3",), 1)])
    batch.sync()
    batch.close()
    assert batch.errors[0] is None
    assert isinstance(batch.errors[1], DestinationError)
    assert batch.errors[2] is None
    assert sorted(sink.partials()) == ["p-0", "p-2"]
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == ["p-0", "p-2"]


def test_a_name_the_filesystem_cannot_hold(root: Path) -> None:
    sink = LocalSink(root, system=Faulty("create", errno.ENAMETOOLONG))
    batch = sink.write_whole(whole_files([b"1"]))
    batch.close()
    assert isinstance(batch.errors[0], DestinationError)
    sink.close()


@pytest.mark.parametrize("size_bytes", [2, 4])
def test_pieces_of_another_total_are_dropped(sink: LocalSink, size_bytes: int) -> None:
    before = open_descriptors()
    batch = sink.write_whole([WholeFile("p-0", (b"1", b"23"), size_bytes), *whole_files([b"x"], 1)])
    batch.sync()
    batch.close()
    (wrong, right) = batch.errors
    assert isinstance(wrong, IntegrityError)
    assert wrong.kind is ErrorKind.SIZE_MISMATCH
    assert right is None
    assert list(sink.partials()) == ["p-1"]
    assert open_descriptors() <= before + 2, "the partial folder only"


@pytest.mark.parametrize("call", ["create", "pwrite"])
@pytest.mark.parametrize("way", [SyncWay.TOGETHER, SyncWay.WHOLE])
@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, ErrorKind.DISK_FULL), (errno.EIO, ErrorKind.DISK), (errno.EROFS, ErrorKind.NO_PERMISSION)],
)
def test_the_machine_s_errors_stop_the_run(root: Path, call: str, way: SyncWay, number: int, kind: ErrorKind) -> None:
    system = Faulty("none", number)
    sink = LocalSink(root, system=system, sync_ways=(way,))
    sink.write_whole(whole_files([b"first"])).close()
    before = open_descriptors()
    system.call = call
    with pytest.raises(MachineError) as caught:
        sink.write_whole(whole_files([b"x"] * 3, 1))
    assert caught.value.kind is kind
    assert str(root / PARTIAL / "p-1") in caught.value.message
    assert system.calls == 1
    assert open_descriptors() == before
    sink.close()


class FullAfter(System):
    """Has room for so many files."""

    def __init__(self, files: int) -> None:
        super().__init__()
        self.files = files

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self.files -= 1
        if self.files < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().pwrite(fd, data, offset)


@pytest.mark.parametrize("way", [SyncWay.TOGETHER, SyncWay.WHOLE])
def test_a_disk_that_fills_up_in_a_batch_leaves_nothing_open(root: Path, way: SyncWay) -> None:
    sink = LocalSink(root, system=FullAfter(3), sync_ways=(way,))
    sink.write_whole(whole_files([b"x"])).close()
    before = open_descriptors()
    with pytest.raises(MachineError) as caught:
        sink.write_whole(whole_files([b"x"] * 5, 1))
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert open_descriptors() == before
    assert set(sink.partials()) >= {"p-0", "p-1", "p-2"}, "left to be discarded"
    sink.close()


# --- syncing ---


@pytest.mark.parametrize(
    ("way", "asked"),
    [
        (SyncWay.NOTHING, []),
        (SyncWay.EACH, ["fdatasync"] * 3),
        (SyncWay.TOGETHER, ["writeback"] * 3 + ["fdatasync"] * 3),
        (SyncWay.WHOLE, ["syncfs"]),
    ],
)
def test_what_each_way_asks_for(root: Path, way: SyncWay, asked: list[str]) -> None:
    system = Counting()
    sink = LocalSink(root, system=system, sync_ways=(way,))
    batch = sink.write_whole(whole_files([b"1", b"2", b"3"]))
    assert system.asked == []
    batch.sync()
    assert system.asked == asked
    batch.sync()
    assert system.asked == asked, "there is nothing new"
    batch.close()
    sink.close()


def test_batches_are_synced_at_the_price_of_one(root: Path) -> None:
    for way, asked in ((SyncWay.WHOLE, ["syncfs"]), (SyncWay.TOGETHER, ["writeback"] * 3 + ["fdatasync"] * 3)):
        system = Counting()
        sink = LocalSink(root, system=system, sync_ways=(way,))
        batches = [sink.write_whole(whole_files([b"x"], number)) for number in range(3)]
        sink.sync_batches(batches)
        assert system.asked == asked
        for batch in batches:
            batch.sync()
            batch.close()
        assert system.asked == asked
        sink.close()


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """This process may open 256 files, so a sink keeps 64."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    yield 64
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_more_files_than_descriptors_are_synced_on_the_way(root: Path, few_descriptors: int) -> None:
    system = Counting()
    sink = LocalSink(root, system=system, sync_ways=(SyncWay.EACH,))
    before = open_descriptors()
    batches = [sink.write_whole(whole_files([b"x"] * 40, 40 * number)) for number in range(4)]
    assert open_descriptors() <= before + few_descriptors + 2 * 17
    assert system.asked
    sink.sync_batches(batches)
    assert len(system.asked) == 160, "each of them once"
    for batch in batches:
        batch.close()
    asked = len(system.asked)
    batch = sink.write_whole(whole_files([b"x"] * 40, 200))
    assert len(system.asked) == asked, "what was closed makes room"
    batch.close()
    sink.close()


def test_where_syncfs_will_do_more_files_than_descriptors_are_closed(root: Path, few_descriptors: int) -> None:
    system = Counting()
    sink = LocalSink(root, system=system, sync_ways=(SyncWay.TOGETHER, SyncWay.WHOLE))
    batch = sink.write_whole(whole_files([b"x"] * 100))
    assert system.asked == []
    batch.sync()
    assert system.asked == ["syncfs"]
    batch.close()
    sink.close()


def test_small_batches_that_are_synced_together_count_together(root: Path) -> None:
    system = Counting()
    sink = LocalSink(root, system=system, sync_ways=(SyncWay.TOGETHER, SyncWay.WHOLE))
    for _ in range(8):
        batches = [sink.write_whole(whole_files([b"x"] * 4, 4 * number)) for number in range(4)]
        sink.sync_batches(batches)
        for batch in batches:
            batch.close()
    assert 2 <= system.asked.count("syncfs") <= 6
    assert 2 * 16 <= system.asked.count("fdatasync") <= 6 * 16
    sink.close()


@pytest.mark.parametrize(
    ("way", "call"), [(SyncWay.EACH, "fdatasync"), (SyncWay.TOGETHER, "fdatasync"), (SyncWay.WHOLE, "syncfs")]
)
def test_a_failed_sync_is_never_tried_again_and_spoils_every_later_one(root: Path, way: SyncWay, call: str) -> None:
    system = Faulty("none", errno.EIO)
    sink = LocalSink(root, system=system, sync_ways=(way,))
    batch, other = sink.write_whole(whole_files([b"1"])), sink.write_whole(whole_files([b"2"], 1))
    system.call = call
    with pytest.raises(MachineError) as caught:
        batch.sync()
    assert caught.value.kind is ErrorKind.SYNC_FAILED
    system.call = "none"
    later = sink.write_whole(whole_files([b"3"], 2))
    for spoilt in (batch, other, later):
        with pytest.raises(MachineError) as caught:
            spoilt.sync()
        assert caught.value.kind is ErrorKind.SYNC_FAILED
        spoilt.close()
    assert system.calls == 1
    sink.close()


def test_a_batch_of_another_kind_is_no_batch(sink: LocalSink, tmp_path: Path) -> None:
    stranger = CrashDisk(tmp_path / "other").write_whole(whole_files([b"x"]))
    with pytest.raises(TypeError):
        sink.sync_batches([stranger])
    stranger.close()


def test_the_way_is_chosen_by_what_it_costs(root: Path) -> None:
    class Slow(Counting):
        """syncfs waits for somebody else's data."""

        def filesystem_type(self, path: str) -> str:
            assert path == str(root / PARTIAL)
            return "ext4"

        def kernel(self) -> tuple[str, str]:
            return "Linux", "6.1.0"

        def syncfs(self, fd: int) -> None:
            threading.Event().wait(0.05)
            super().syncfs(fd)

    system = Slow()
    sink = LocalSink(root, system=system)
    for _ in range(20):
        batch = sink.write_whole(whole_files([b"x"] * 16))
        batch.sync()
        batch.close()
    assert system.asked.count("syncfs") == 2, "tried twice, then left alone"
    sink.close()


def test_in_memory_nothing_is_synced(root: Path) -> None:
    class Memory(Counting):
        def filesystem_type(self, path: str) -> str:
            return "tmpfs"

    system = Memory()
    sink = LocalSink(root, system=system)
    batch = sink.write_whole(whole_files([b"x"] * 16))
    before = open_descriptors()
    batch.sync()
    assert system.asked == []
    batch.close()
    assert open_descriptors() == before, "no file was open, the folder is kept"
    sink.close()


def test_small_batches_keep_nothing_open_where_syncfs_is_cheaper(root: Path) -> None:
    class Slow(Counting):
        def fdatasync(self, fd: int) -> None:
            threading.Event().wait(0.005)
            super().fdatasync(fd)

    system = Slow()
    sink = LocalSink(root, system=system, sync_ways=(SyncWay.TOGETHER, SyncWay.WHOLE))
    for _ in range(6):
        batches = [sink.write_whole(whole_files([b"x"] * 4, 4 * number)) for number in range(4)]
        sink.sync_batches(batches)
        for batch in batches:
            batch.close()
    before = open_descriptors()
    batch = sink.write_whole(whole_files([b"x"] * 4))
    assert open_descriptors() == before
    batch.close()
    sink.close()


def test_the_kernel_s_own_calls(root: Path) -> None:
    system = System()
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    system.syncfs(fd)
    system.start_writeback(fd)
    os.close(fd)
    system.start_writeback(-1)  # a hint
    with pytest.raises(OSError, match="syncfs"):
        system.syncfs(-1)
    assert system.filesystem_type("/proc") in {"proc", "unknown"}
    assert system.kernel()[0] == os.uname().sysname


# --- descriptors ---


def test_a_server_may_tell_on_close_that_it_lost_the_bytes(root: Path) -> None:
    class Late(System):
        armed = False

        def close(self, fd: int) -> None:
            super().close(fd)
            if self.armed:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    for way in (SyncWay.EACH, SyncWay.WHOLE):
        system = Late()
        sink = LocalSink(root, system=system, sync_ways=(way,))
        sink.write_whole(whole_files([b"x"])).close()
        before = open_descriptors()
        system.armed = True
        with pytest.raises(MachineError):
            sink.write_whole(whole_files([b"x", b"y"], 1)).close()
        system.armed = False
        assert open_descriptors() == before
        sink.close()


def test_a_closed_batch_is_forgotten(sink: LocalSink) -> None:
    for number in range(3):
        sink.write_whole(whole_files([b"x"], number)).close()
    assert not sink._whole._open


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_open(root: Path, way: SyncWay) -> None:
    before = open_descriptors()
    sink = LocalSink(root, sync_ways=(way,))
    sink.write_whole(whole_files([b"x"] * 5)).close()
    left = sink.write_whole(whole_files([b"x"] * 5, 5))
    sink.place_many([(f"p-{number}", f"d{number}/x") for number in range(5)])
    sink.close()
    left.close()
    assert open_descriptors() == before


def test_a_closed_batch_is_not_synced(sink: LocalSink) -> None:
    batch = sink.write_whole(whole_files([b"x"]))
    batch.close()
    batch.close()
    with pytest.raises(ValueError, match="closed"):
        batch.sync()


class Held(System):
    """Stops in one call until told to go on."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.call = call
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.fds: list[os.stat_result] = []

    def hold(self, call: str, fd: int) -> None:
        if call == self.call:
            self.reached.set()
            assert self.go_on.wait(60)
            self.fds.append(os.fstat(fd))

    def fdatasync(self, fd: int) -> None:
        self.hold("fdatasync", fd)

    def syncfs(self, fd: int) -> None:
        self.hold("syncfs", fd)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self.hold("pwrite", fd)
        return super().pwrite(fd, data, offset)


@pytest.mark.parametrize(
    ("way", "call"), [(SyncWay.EACH, "fdatasync"), (SyncWay.WHOLE, "syncfs"), (SyncWay.EACH, "pwrite")]
)
def test_closing_waits_for_the_thread_that_is_at_work(root: Path, way: SyncWay, call: str) -> None:
    before = open_descriptors()
    system = Held(call)
    sink = LocalSink(root, system=system, sync_ways=(way,))

    def work() -> None:
        batch = sink.write_whole(whole_files([b"1", b"2"]))
        if call != "pwrite":
            batch.sync()

    thread = threading.Thread(target=work)
    thread.start()
    assert system.reached.wait(60)
    sink.close()
    strangers = [os.open("/dev/null", os.O_RDONLY) for _ in range(4)]  # would get the numbers closed too early
    system.go_on.set()
    thread.join()
    for stranger in strangers:
        os.close(stranger)
    device = root.stat().st_dev
    assert system.fds
    assert all(facts.st_dev == device for facts in system.fds)
    assert [(root / PARTIAL / f"p-{number}").read_bytes() for number in range(2)] == [b"1", b"2"]
    assert open_descriptors() == before


# --- power cuts ---

SEEDS = range(15)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def cuts(tmp_path: Path) -> Callable[..., list[dict[str, bytes]]]:
    def make(disk: CrashDisk, **options: float) -> list[dict[str, bytes]]:
        found = []
        for seed in SEEDS:
            target = tmp_path / f"cut-{len(list(tmp_path.iterdir()))}"
            disk.materialise(target, len(disk.operations), seed, **options)
            found.append(files(target))
        return found

    return make


Cuts = Callable[..., list[dict[str, bytes]]]


@pytest.mark.parametrize("way", REAL_WAYS)
def test_what_is_synced_survives_and_what_is_not_may_be_lost(tmp_path: Path, cuts: Cuts, way: SyncWay) -> None:
    disk = CrashDisk(tmp_path / "root", sync_ways=(way,))
    bodies = [bytes([number]) * 10_000 for number in range(6)]
    kept, lost = disk.write_whole(whole_files(bodies[:3])), None
    kept.sync()
    assert disk.place_many([(f"p-{number}", f"d/x{number}") for number in range(3)]) == [None] * 3
    disk.sync_folders()
    lost = disk.write_whole(whole_files(bodies[3:], 3))
    assert disk.place_many([(f"p-{number}", f"d/x{number}") for number in range(3, 6)]) == [None] * 3
    disk.sync_folders()
    found = cuts(disk)
    for left in found:
        assert [left[f"d/x{number}"] for number in range(3)] == bodies[:3]
    assert any(left[f"d/x{number}"] != bodies[number] for left in found for number in range(3, 6))
    assert all(not any(left["d/x4"]) for left in cuts(disk, keep=0))
    kept.close()
    lost.close()
    disk.close()


@pytest.mark.parametrize("way", REAL_WAYS)
def test_a_name_survives_only_with_its_folder(tmp_path: Path, cuts: Cuts, way: SyncWay) -> None:
    disk = CrashDisk(tmp_path / "root", sync_ways=(way,))
    batch = disk.write_whole(whole_files([b"whole"]))
    batch.sync()
    batch.close()
    disk.place_many([("p-0", "new/folder/x")])
    assert all("new/folder/x" not in left for left in cuts(disk, keep=0))
    disk.sync_folders()
    assert all(left["new/folder/x"] == b"whole" for left in cuts(disk))
    disk.close()


def test_the_crash_disk_stops_between_files(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path / "root")

    def stop(name: str) -> None:
        if name == "p-2":
            raise KeyboardInterrupt

    disk.at("reserve", stop)
    with pytest.raises(KeyboardInterrupt):
        disk.write_whole(whole_files([b"x"] * 5))
    assert sorted(disk.partials()) == ["p-0", "p-1"]
    batch = disk.write_whole(whole_files([b"x", b"y"]))
    disk.at("seal", stop)
    batch.sync()
    disk.at("place", lambda name: stop({"d/1": "p-2"}.get(name, name)))
    with pytest.raises(KeyboardInterrupt):
        disk.place_many([("p-0", "d/0"), ("p-1", "d/1")])
    assert disk.stat("d/0") is not None
    assert disk.counts["seal"] == 2
    batch.close()
    disk.close()
