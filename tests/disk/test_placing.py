from __future__ import annotations

import errno
import shutil
from collections import Counter
from pathlib import Path

import pytest
from tests.disk.desk import Faulty

from emasync.disk.interface import WholeFile
from emasync.disk.sink import LocalSink
from emasync.disk.system import System
from emasync.errors import DestinationError, EmasyncError, ErrorKind, MachineError

PARTIAL = ".emasync/partial"


def wrote(sink: LocalSink, count: int) -> None:
    sink.write_whole([WholeFile(f"p-{number}", (b"%d" % number,), len(str(number))) for number in range(count)]).close()


def kinds(errors: list[EmasyncError | None]) -> list[ErrorKind | None]:
    return [None if error is None else error.kind for error in errors]


REFUSED = {
    "taken": ErrorKind.DESTINATION_EXISTS,
    "d/taken": ErrorKind.DESTINATION_EXISTS,
    "d": ErrorKind.NAME_CLASH,
    "taken/x": ErrorKind.NAME_CLASH,
    "link": ErrorKind.DESTINATION_EXISTS,
    "link/x": ErrorKind.UNSAFE_NAME,
    "d/link/deeper/x": ErrorKind.UNSAFE_NAME,
    ".emasync": ErrorKind.UNSAFE_NAME,
    ".emasync/x": ErrorKind.UNSAFE_NAME,
    f"{PARTIAL}/x": ErrorKind.UNSAFE_NAME,
    "../x": ErrorKind.UNSAFE_NAME,
    "d/../x": ErrorKind.UNSAFE_NAME,
    "/etc/x": ErrorKind.UNSAFE_NAME,
    "d//x": ErrorKind.UNSAFE_NAME,
    "d/": ErrorKind.UNSAFE_NAME,
    "d/.": ErrorKind.UNSAFE_NAME,
    "d/..": ErrorKind.UNSAFE_NAME,
    "d/a\nb": ErrorKind.UNSAFE_NAME,
    "d/" + "x" * 256: ErrorKind.UNSAFE_NAME,
    "": ErrorKind.UNSAFE_NAME,
    "/".join(["y" * 100] * 40): ErrorKind.UNSAFE_NAME,
}


@pytest.fixture
def outside(root: Path, tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    (outside / "deeper").mkdir(parents=True)
    (root / "d").mkdir(parents=True)
    (root / "taken").write_bytes(b"the user's")
    (root / "d/taken").write_bytes(b"the user's")
    (root / "link").symlink_to(outside)
    (root / "d/link").symlink_to(outside)
    return outside


@pytest.mark.parametrize("destination", REFUSED)
@pytest.mark.parametrize("where", ["first", "in a run"])
def test_what_place_refuses_place_many_refuses(
    sink: LocalSink, root: Path, outside: Path, destination: str, where: str
) -> None:
    wrote(sink, 3)
    pairs = [("p-0", "d/a"), ("p-1", destination), ("p-2", "d/b")]
    if where == "first":
        pairs = pairs[1:]
    assert kinds(sink.place_many(pairs)) == [None, REFUSED[destination], None][-len(pairs) :]
    with pytest.raises(DestinationError) as caught:
        sink.place("p-1", destination)
    assert caught.value.kind is REFUSED[destination]
    assert (root / "d/b").read_bytes() == b"2"
    assert (root / "taken").read_bytes() == (root / "d/taken").read_bytes() == b"the user's"
    assert [path for path in outside.rglob("*") if not path.is_dir()] == []
    assert "p-1" in set(sink.partials())


@pytest.mark.parametrize("destination", ["a", "d/a", "d/e/f/a", "d/with space", "d/ü", "d/trailing.", "d/.hidden"])
def test_what_place_takes_place_many_takes(sink: LocalSink, root: Path, destination: str) -> None:
    wrote(sink, 2)
    assert sink.place_many([("p-0", destination), ("p-1", destination + "2")]) == [None, None]
    assert (root / destination).read_bytes() == b"0"
    assert (root / (destination + "2")).read_bytes() == b"1"


@pytest.mark.parametrize("name", ["../p-0", "a/b", ".p", ""])
def test_a_bad_name_of_an_unfinished_file_is_refused(sink: LocalSink, name: str) -> None:
    wrote(sink, 1)
    assert kinds(sink.place_many([("p-0", "d/a"), (name, "d/b")])) == [None, ErrorKind.UNSAFE_NAME]


def test_what_lies_beside_the_partial_folder_is_not_moved(sink: LocalSink, root: Path) -> None:
    wrote(sink, 1)
    (root / ".emasync/state").write_bytes(b"the ledger")
    assert kinds(sink.place_many([("p-0", "d/a"), ("../state", "d/b")])) == [None, ErrorKind.UNSAFE_NAME]
    assert (root / ".emasync/state").read_bytes() == b"the ledger"


def test_a_path_is_no_longer_for_the_files_before_it(sink: LocalSink) -> None:
    wrote(sink, 2)
    deep = "/".join(["x" * 98] * 40)
    assert kinds(sink.place_many([("p-0", f"{deep}/a"), ("p-1", f"{deep}/{'b' * 90}")])) == [
        None,
        ErrorKind.UNSAFE_NAME,
    ]


def test_a_kept_folder_that_vanished_is_made_again(sink: LocalSink, root: Path) -> None:
    wrote(sink, 4)
    assert sink.place_many([("p-0", "a/b/0")]) == [None]
    shutil.rmtree(root / "a")
    assert sink.place_many([("p-1", "a/b/1"), ("p-2", "a/b/2"), ("p-3", "c/3")]) == [None] * 3
    assert sorted(path.name for path in root.rglob("?") if path.is_file()) == ["1", "2", "3"]


def test_an_unfinished_file_that_is_gone_stops_the_run(sink: LocalSink, root: Path) -> None:
    wrote(sink, 3)
    sink.discard("p-1")
    with pytest.raises(MachineError, match="is gone"):
        sink.place_many([("p-0", "d/0"), ("p-1", "d/1"), ("p-2", "d/2")])
    assert (root / "d/0").read_bytes() == b"0"
    assert list(sink.partials()) == ["p-2"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, ErrorKind.DISK_FULL), (errno.EACCES, ErrorKind.NO_PERMISSION), (errno.EIO, ErrorKind.DISK)],
)
def test_the_machine_s_errors_stop_the_run(root: Path, number: int, kind: ErrorKind) -> None:
    sink = LocalSink(root, system=Faulty("rename", number))
    wrote(sink, 2)
    with pytest.raises(MachineError) as caught:
        sink.place_many([("p-0", "d/0"), ("p-1", "d/1")])
    assert caught.value.kind is kind
    assert str(root) in caught.value.message
    sink.close()


class Synced(System):
    """Counts calls, and remembers which folders were synced."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.synced: set[Path] = set()

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        self.calls[f"open {name}"] += 1
        return super().open(name, flags, dir_fd, mode)

    def stat(self, name: str, dir_fd: int) -> object:  # type: ignore[override]  # never asked for
        raise AssertionError(name)

    def fsync(self, fd: int) -> None:
        self.synced.add(Path(f"/proc/self/fd/{fd}").readlink())
        super().fsync(fd)


def test_a_folder_is_opened_once_for_a_run_of_files(root: Path) -> None:
    system = Synced()
    sink = LocalSink(root, system=system)
    wrote(sink, 50)
    sink.place_many([(f"p-{number}", f"a/b/{number}") for number in range(50)])
    assert system.calls["open a"] == system.calls["open b"] == 2, "found missing, made"
    sink.close()


def test_every_folder_that_changed_is_synced_with_the_next_batch(root: Path) -> None:
    system = Synced()
    sink = LocalSink(root, system=system)
    wrote(sink, 4)
    sink.sync_folders()
    system.synced.clear()
    wrote(sink, 4)
    sink.sync_folders()
    assert system.synced == {root / PARTIAL}
    system.synced.clear()
    sink.place_many([("p-0", "a/0"), ("p-1", "b/1"), ("p-2", "a/2")])
    sink.sync_folders()
    assert system.synced == {root, root / "a", root / "b", root / PARTIAL}
    system.synced.clear()
    sink.discard("p-3")
    sink.sync_folders()
    with pytest.raises(MachineError):
        sink.place_many([("p-3", "a/3")])
    wrote(sink, 1)
    sink.sync_folders()
    system.synced.clear()
    with pytest.raises(MachineError):
        sink.place_many([("p-0", "a/4"), ("p-9", "b/9")])
    sink.sync_folders()
    assert root / "a" in system.synced, "what was placed before the error counts"
    sink.close()
