from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emasync.disk.folders import Folders
from emasync.disk.system import System
from emasync.errors import MachineError

WAIT_S = 60


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Watched(System):
    """Tells of calls before they happen."""

    def __init__(self) -> None:
        super().__init__()
        self.before_mkdir: Callable[[str], None] = lambda _name: None
        self.before_open: Callable[[str], None] = lambda _name: None
        self.before_fsync: Callable[[int], None] = lambda _fd: None
        self.synced: list[str] = []

    def mkdir(self, name: str, dir_fd: int) -> None:
        self.before_mkdir(name)
        super().mkdir(name, dir_fd)

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        self.before_open(name)
        return super().open(name, flags, dir_fd, mode)

    def fsync(self, fd: int) -> None:
        self.before_fsync(fd)
        self.synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        super().fsync(fd)


@pytest.fixture
def system() -> Watched:
    return Watched()


@pytest.fixture
def folders(root: Path, system: Watched) -> Iterator[Folders]:
    folders = Folders(str(root), system, limit=4)
    yield folders
    folders.close()


def test_only_a_few_stay_open(folders: Folders, root: Path) -> None:
    before = descriptors()
    for number in range(20):
        with folders.borrow(f"a/{number}", create=True) as fd:
            assert os.fstat(fd).st_ino == (root / "a" / str(number)).stat().st_ino
    assert len(folders) == 4
    assert descriptors() - before <= 4


def test_the_most_recent_stay_open(folders: Folders, system: Watched) -> None:
    for name in ("a", "b", "c", "d", "a", "e"):
        with folders.borrow(name, create=True):
            pass
    opened: list[str] = []
    system.before_open = opened.append
    for name in ("a", "e", "b"):
        with folders.borrow(name):
            pass
    assert opened == ["b"]


def test_a_folder_in_use_outlives_its_eviction(folders: Folders) -> None:
    with folders.borrow("kept", create=True) as fd:
        inode = os.fstat(fd).st_ino
        for number in range(10):
            with folders.borrow(f"f{number}", create=True):
                pass
        folders.forget()
        assert os.fstat(fd).st_ino == inode
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_folder_in_use_outlives_close(root: Path) -> None:
    before = descriptors()
    folders = Folders(str(root), System())
    with folders.borrow("a", create=True) as fd, folders.borrow("") as base:
        folders.close()
        os.fstat(fd)
        os.fstat(base)
    assert descriptors() == before


def test_closing_while_a_folder_is_being_opened(root: Path, system: Watched) -> None:
    before = descriptors()
    folders = Folders(str(root), system)
    (root / "a").mkdir()
    system.before_open = lambda _name: folders.close()
    with pytest.raises(ValueError, match="closed"):
        folders.borrow("a")
    assert descriptors() == before


def test_two_threads_open_the_same_folder(folders: Folders, system: Watched, root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    barrier = threading.Barrier(2)

    def meet(name: str) -> None:
        if name == "b":
            barrier.wait(WAIT_S)

    system.before_open = meet
    before = descriptors()

    def borrow() -> int:
        with folders.borrow("a/b") as fd:
            return os.fstat(fd).st_ino

    with folders.borrow("a"), ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(borrow), pool.submit(borrow)
        assert first.result(WAIT_S) == second.result(WAIT_S)
    assert descriptors() == before + 2, "a and b, once each"


def test_many_threads_and_few_descriptors(folders: Folders, root: Path) -> None:
    def visit(number: int) -> None:
        path = f"x/{number % 9}/{number % 4}"
        with folders.borrow(path, create=True) as fd:
            assert os.fstat(fd).st_ino == (root / path).stat().st_ino
        folders.touch(path)
        if number % 7 == 0:
            folders.sync()
        if number % 11 == 0:
            folders.forget()

    before = descriptors()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(400)))
    folders.forget()
    assert descriptors() <= before


def test_sync_takes_new_folders_and_their_parents_once(folders: Folders, system: Watched) -> None:
    with folders.borrow("a/b", create=True):
        pass
    folders.touch("a/b")
    folders.sync()
    assert system.synced == ["root", "a", "b"]
    folders.sync()
    assert system.synced == ["root", "a", "b"]


def test_sync_forgives_folders_that_are_gone_or_replaced(folders: Folders, root: Path, system: Watched) -> None:
    for name in ("gone", "replaced"):
        with folders.borrow(name, create=True):
            pass
        folders.touch(name)
    folders.forget()
    (root / "gone").rmdir()
    (root / "replaced").rmdir()
    (root / "replaced").symlink_to(root)
    folders.sync()
    assert system.synced == ["root"]


def test_a_folder_that_cannot_be_opened_fails_the_sync_for_good(folders: Folders, system: Watched) -> None:
    with folders.borrow("a", create=True):
        pass
    folders.touch("a")
    folders.forget()

    def refuse(_name: str) -> None:
        raise OSError(24, "too many open files")

    system.before_open = refuse
    with pytest.raises(MachineError, match="ulimit"):
        folders.sync()
    system.before_open = lambda _name: None
    with pytest.raises(MachineError):
        folders.sync()


def test_a_sync_waits_for_one_that_took_its_work(folders: Folders, system: Watched) -> None:
    with folders.borrow("a", create=True):
        pass
    folders.sync()
    folders.touch("a")
    syncing, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def hold(_fd: int) -> None:
        syncing.set()
        assert go_on.wait(WAIT_S)
        order.append("synced")

    def second_sync() -> None:
        folders.sync()
        order.append("second returned")

    system.before_fsync = hold
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(folders.sync)
        assert syncing.wait(WAIT_S)
        second = pool.submit(second_sync)
        go_on.set()
        first.result(WAIT_S)
        second.result(WAIT_S)
    assert order == ["synced", "second returned"]


def test_making_and_marking_are_one_step(folders: Folders, system: Watched) -> None:
    # whoever finds "a", places a file in it and syncs must find the root marked: its sync waits for this lock
    held: list[bool] = []
    system.before_mkdir = lambda _name: held.append(folders._touch_lock.locked())
    with folders.borrow("a", create=True):
        pass
    assert held == [True]
    assert folders._touched == {""}


def test_a_parent_that_vanishes_for_good_is_the_machine_s_trouble(
    folders: Folders, system: Watched, root: Path
) -> None:
    def remove(name: str) -> None:
        if name == "b":
            (root / "a").rmdir()

    system.before_mkdir = remove
    with pytest.raises(MachineError, match="make folder"):
        folders.borrow("a/b", create=True)


def test_a_component_that_vanishes_while_it_is_judged(
    folders: Folders, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_bytes(b"")

    def gone(_self: System, name: str, dir_fd: int) -> os.stat_result:
        raise FileNotFoundError(2, "gone")

    monkeypatch.setattr(System, "stat", gone)
    with pytest.raises(Exception, match="file where a folder is needed"):
        folders.borrow("a/b")
