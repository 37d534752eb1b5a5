from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.lock import RootLock, break_lock, read_owner
from emasync.ledger.machine import boot_id, host_name

from .conftest import StillClock

HOLD = """
import sys
from pathlib import Path
from emasync.ledger.lock import RootLock
from emasync.model.clock import SystemClock
with RootLock.acquire(Path(sys.argv[1]), SystemClock()):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(state_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_running_owner_is_named(tmp_path: Path, clock: StillClock) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(MachineError) as caught:
            RootLock.acquire(tmp_path, clock)
        assert caught.value.kind is ErrorKind.ROOT_LOCKED
        assert f"process {process.pid} on {host_name()}" in caught.value.message
        assert "--break-lock" in caught.value.message
        process.communicate("")
    assert read_owner(tmp_path) is None
    RootLock.acquire(tmp_path, clock).release()


def test_a_killed_owner_is_taken_over(tmp_path: Path, clock: StillClock) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        owner = read_owner(tmp_path)
        assert owner is not None
        assert owner.gone()
    with RootLock.acquire(tmp_path, clock) as lock:
        assert lock.taken_over == owner
        assert read_owner(tmp_path) == lock.owner
        assert (lock.owner.pid, lock.owner.host) == (os.getpid(), host_name())
        assert "held" in repr(lock)
    assert "released" in repr(lock)
    lock.release()


def test_a_broken_lock_belongs_to_the_next(tmp_path: Path, clock: StillClock) -> None:
    with holder(tmp_path) as process:
        owner = break_lock(tmp_path)
        assert owner is not None
        assert owner.pid == process.pid
        with RootLock.acquire(tmp_path, clock):
            process.communicate("")
            with pytest.raises(MachineError, match=f"process {os.getpid()} "):
                RootLock.acquire(tmp_path, clock)
    assert break_lock(tmp_path / "none") is None


def test_the_file_that_was_opened_may_be_replaced_meanwhile(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, times = fcntl.flock, list[int]()

    def replaced_once(number: int, operation: int) -> None:
        flock(number, operation)
        times.append(number)
        if len(times) < 3:
            (tmp_path / "run.lock").unlink()
        if len(times) == 2:
            (tmp_path / "run.lock").write_bytes(b"")

    monkeypatch.setattr(fcntl, "flock", replaced_once)
    with RootLock.acquire(tmp_path, clock):
        assert len(times) == 3
        assert read_owner(tmp_path) is not None


def write(tmp_path: Path, **changes: object) -> None:
    fields = {"host": host_name(), "pid": os.getpid(), "boot_id": boot_id(), "started_s": 1.0, **changes}
    (tmp_path / "run.lock").write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("changes", "stale"),
    [({}, False), ({"boot_id": "earlier"}, True), ({"pid": 2**22 + 1}, True), ({"host": "elsewhere"}, False)],
)
def test_without_kernel_locks_the_text_decides(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], stale: bool
) -> None:
    def unsupported(_number: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    write(tmp_path, **changes)
    if stale:
        RootLock.acquire(tmp_path, clock).release()
    else:
        with pytest.raises(MachineError, match="in use by process"):
            RootLock.acquire(tmp_path, clock)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"host": 1}', '{"host": "h", "pid": "x", "boot_id": 1, "started_s": 0}']
)
def test_an_illegible_lock_is_nobodys(tmp_path: Path, clock: StillClock, text: str) -> None:
    (tmp_path / "run.lock").write_text(text)
    assert read_owner(tmp_path) is None
    RootLock.acquire(tmp_path, clock).release()


def test_a_folder_that_cannot_hold_a_lock_is_named(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.lock").mkdir()
    with pytest.raises(MachineError, match="cannot take the run lock") as caught:
        RootLock.acquire(tmp_path, clock)
    assert caught.value.kind is ErrorKind.NO_PERMISSION
    assert read_owner(tmp_path) is None

    def broken(_number: int, _operation: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(MachineError, match="broken"):
        RootLock.acquire(tmp_path / "other", clock)
