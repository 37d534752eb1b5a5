"""One unfinished file: its descriptor lives as long as its last user (law 5)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import final

from typing_extensions import Buffer

from emasync.disk.faults import sync_failed, translate
from emasync.disk.system import System
from emasync.errors import ErrorKind, IntegrityError, MachineError

_READ_BYTES = 16 << 20
"""Most that one read asks for: the kernel's answer is bounded by the file, Python's buffer only by this."""

WRITEBACK_FROM_BYTES = 64 << 20
"""Smaller files leave it to the kernel when their pages go to the disk."""
WRITEBACK_STEP_BYTES = 32 << 20
"""Larger ones begin to be written back each time so much has come.

Measured on ext4 (2 GiB in pieces of 1 MiB, 400 MiB/s coming in): the final fdatasync takes 10-20 ms instead of 0.9 s,
and the whole 6.3 s instead of 7.4 s, as the disk works while the network does. Steps of 8 and 32 MiB do alike.
"""


def read_at(fd: int, offset: int, size_bytes: int) -> bytes:
    """Read up to `size_bytes` bytes at `offset`; less at the end of the file only."""
    pieces = []
    while size_bytes > 0:
        piece = os.pread(fd, min(size_bytes, _READ_BYTES), offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        size_bytes -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def write_at(system: System, fd: int, offset: int, data: Buffer) -> int:
    """Write all of `data` at `offset`, going on after short writes, copying nothing; gives its size in bytes."""
    with memoryview(data) as view, view.cast("B") as flat:
        done = system.pwrite(fd, flat, offset)
        while done < flat.nbytes:
            with flat[done:] as rest:
                done += system.pwrite(fd, rest, offset + done)
    return done


@final
class LocalPartial:
    """An unfinished file of a :class:`~emasync.disk.sink.LocalSink`. Thread safe.

    Parameters
    ----------
    name : str
        In the partial folder.
    fd : int
        Open for reading and writing; owned from now on.
    system : System
    shown : str
        Path for messages.
    reserved_bytes : int
        Preallocated; what the sealed file does not need is given back.
    on_close : callable, optional
        Told once, when this one is closed.
    """

    __slots__ = (
        "_closed",
        "_fd",
        "_lock",
        "_on_close",
        "_reserved",
        "_shown",
        "_sync_error",
        "_system",
        "_users",
        "_writeback_left",
        "name",
    )

    def __init__(
        self,
        name: str,
        fd: int,
        system: System,
        *,
        shown: str,
        reserved_bytes: int = 0,
        on_close: Callable[[LocalPartial], None] | None = None,
    ) -> None:
        self.name = name
        self._fd = fd
        self._system = system
        self._shown = shown
        self._reserved = reserved_bytes
        self._on_close = on_close
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False
        self._sync_error: MachineError | None = None
        self._writeback_left = WRITEBACK_FROM_BYTES

    def __repr__(self) -> str:
        return f"<LocalPartial {self.name!r} users={self._users} closed={self._closed}>"

    def _begin(self) -> int:
        with self._lock:
            if self._closed:
                raise ValueError(f"unfinished file {self._shown!r} is closed")
            self._users += 1
            return self._fd

    def _end(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and self._users == 0
        if last:
            self._give_back()

    def _give_back(self) -> None:
        try:
            self._system.close(self._fd)
        except OSError as error:  # a network filesystem may tell only now that a write failed
            raise translate(error, "close", self._shown) from error

    def write(self, offset: int, data: Buffer) -> None:
        """Write all of `data` at `offset` bytes.

        Raises
        ------
        MachineError
            Disk full, quota, I/O error.
        ValueError
            The file is closed.
        """
        fd = self._begin()
        try:
            written_bytes = write_at(self._system, fd, offset, data)
            if self._writeback_due(written_bytes):
                self._system.start_writeback(fd)
        except OSError as error:
            raise translate(error, "write", self._shown) from error
        finally:
            self._end()

    def _writeback_due(self, written_bytes: int) -> bool:
        with self._lock:
            self._writeback_left -= written_bytes
            due = self._writeback_left <= 0
            if due:
                self._writeback_left = WRITEBACK_STEP_BYTES
        return due

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Read back up to `size_bytes` bytes at `offset`; less at the end of the file only.

        Raises
        ------
        MachineError
            I/O error.
        ValueError
            The file is closed.
        """
        fd = self._begin()
        try:
            return read_at(fd, offset, size_bytes)
        except OSError as error:
            raise translate(error, "read", self._shown) from error
        finally:
            self._end()

    def seal(self, size_bytes: int) -> None:
        """Check that the file is `size_bytes` long and make its bytes durable.

        Raises
        ------
        IntegrityError
            ``size_mismatch``: the file is longer or shorter.
        MachineError
            ``sync_failed``; sealing or syncing again raises it again, without another try.
        ValueError
            The file is closed.
        """
        fd = self._begin()
        try:
            self._check_size(fd, size_bytes)
            self._sync(fd)
        finally:
            self._end()

    def _check_size(self, fd: int, size_bytes: int) -> None:
        try:
            found = os.fstat(fd).st_size
            if found == size_bytes < self._reserved:
                self._system.truncate(fd, size_bytes)  # blocks reserved beyond the end are given back
        except OSError as error:
            raise translate(error, "seal", self._shown) from error
        if found != size_bytes:
            raise IntegrityError(
                f"unfinished file {self._shown!r} has {found} bytes, expected {size_bytes}; it is to be fetched again",
                kind=ErrorKind.SIZE_MISMATCH,
                location=self._shown,
            )

    def sync(self) -> None:
        """Make what was written durable, the file unfinished as it is.

        Raises
        ------
        MachineError
            ``sync_failed``, as for :meth:`seal`.
        ValueError
            The file is closed.
        """
        fd = self._begin()
        try:
            self._sync(fd)
        finally:
            self._end()

    def _sync(self, fd: int) -> None:
        if self._sync_error is not None:
            raise self._sync_error
        try:
            self._system.fdatasync(fd)
        except OSError as error:
            self._sync_error = sync_failed(error, self._shown)
            raise self._sync_error from error

    def close(self) -> None:
        """Give the descriptor back, now or when the last write in a thread ends; the file stays.

        Raises
        ------
        MachineError
            A network filesystem reports a failed write on close.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle = self._users == 0
        if self._on_close is not None:
            self._on_close(self)
        if idle:
            self._give_back()
