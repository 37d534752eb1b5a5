"""One run a root: a lock file that says who holds it (law 13)."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.machine import boot_id, host_name, process_alive
from emasync.model.clock import Clock

FILE_NAME: Final = "run.lock"

_MAX_BYTES: Final = 4096
_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
"""What filesystems without locks answer; there the file's text decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who holds a root.

    Attributes
    ----------
    host : str
    pid : int
    boot_id : str
        Of the host, when the run began.
    started_s : float
        Seconds since 1970-01-01 UTC.
    """

    host: str
    pid: int
    boot_id: str
    started_s: float

    @classmethod
    def here(cls, clock: Clock) -> Owner:
        """Owner that stands for the calling process."""
        return cls(host=host_name(), pid=os.getpid(), boot_id=boot_id(), started_s=clock.time_s())

    def gone(self) -> bool:
        """Whether this owner is known to run no more: an earlier boot of this machine, or a process that ended.

        Of another machine nothing is known.
        """
        here = host_name()
        if self.host != here:
            return False
        return self.boot_id != boot_id() or not process_alive(self.pid)


@final
class RootLock:
    """The right to run on one root, held until :meth:`release`.

    The kernel's lock (``flock(2)``) decides and ends with its process, also after ``kill -9``; the text says who it
    is. Where the filesystem has no locks, the text decides: an owner of an earlier boot or whose process ended is
    taken over.
    """

    def __init__(self, path: Path, descriptor: int, owner: Owner, *, taken_over: Owner | None) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        self.owner = owner
        self.taken_over = taken_over

    def __repr__(self) -> str:
        state = "released" if self._descriptor is None else "held"
        return f"<RootLock {self._path} {state} by {self.owner.host}:{self.owner.pid}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @classmethod
    def acquire(cls, state_dir: Path, clock: Clock) -> RootLock:
        """Take the lock of the root whose state lies in `state_dir` (made when it is not there).

        Raises
        ------
        MachineError
            ``root_locked``: another run goes on; the message names its host and process. ``no_permission``.
        """
        path = state_dir / FILE_NAME
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            descriptor = _open_current(path)
        except BlockingIOError:
            raise _locked(path, read_owner(state_dir)) from None
        except OSError as error:
            raise MachineError(
                f"{path}: cannot take the run lock ({error}); check the folder's permissions",
                kind=ErrorKind.NO_PERMISSION,
            ) from error
        found = _parse(os.pread(descriptor.number, _MAX_BYTES, 0))
        if found is not None and not descriptor.kernel_lock and not found.gone():
            os.close(descriptor.number)
            raise _locked(path, found)
        owner = Owner.here(clock)
        _write(descriptor.number, json.dumps(asdict(owner)).encode())
        return cls(path, descriptor.number, owner, taken_over=found)

    def fileno(self) -> int | None:
        """Descriptor of the lock, for child processes to inherit: it is held until the last of them is gone, too."""
        return self._descriptor

    def release(self) -> None:
        """Give the lock up; a second time nothing happens. The file stays, empty: removing it would race."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.ftruncate(descriptor, 0)
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Opened:
    number: int
    kernel_lock: bool


def _open_current(path: Path) -> _Opened:
    """Open and lock the file that has the name now: :func:`break_lock` may have put another one in its place."""
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            kernel_lock = _flock(number)
            if _same_file(number, path):
                return _Opened(number, kernel_lock)
        except BaseException:
            os.close(number)
            raise
        os.close(number)


def _flock(number: int) -> bool:
    """Lock without waiting; whether the filesystem has locks at all."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _same_file(number: int, path: Path) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(number)
    return (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)


def _write(number: int, data: bytes) -> None:
    os.ftruncate(number, 0)
    os.pwrite(number, data, 0)


def _parse(data: bytes) -> Owner | None:
    """What a lock file says; None for nothing, or nothing legible."""
    try:
        fields = json.loads(data)
        return Owner(
            host=str(fields["host"]),
            pid=int(fields["pid"]),
            boot_id=str(fields["boot_id"]),
            started_s=float(fields["started_s"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def read_owner(state_dir: Path) -> Owner | None:
    """Who holds (or held, and did not release) the lock; None when nobody does."""
    try:
        with (state_dir / FILE_NAME).open("rb") as file:
            return _parse(file.read(_MAX_BYTES))
    except OSError:
        return None


def break_lock(state_dir: Path) -> Owner | None:
    """Take the lock away from whoever holds it, on the user's word; gives who that was.

    The holder, if it lives, is not stopped: it keeps a file that has no name any more.
    """
    owner = read_owner(state_dir)
    (state_dir / FILE_NAME).unlink(missing_ok=True)
    return owner


def _locked(path: Path, owner: Owner | None) -> MachineError:
    who = f"process {owner.pid} on {owner.host}" if owner is not None else "another process"
    return MachineError(
        f"{path}: this root is in use by {who}; wait for it or stop it. If it surely runs no more, use --break-lock",
        kind=ErrorKind.ROOT_LOCKED,
    )
