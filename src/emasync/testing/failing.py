"""Kernels that fail, or take their time."""

from __future__ import annotations

import os
import time

from typing_extensions import Buffer

from emasync.disk.system import System


class Faulty(System):
    """Fails one kind of call with one error number.

    Parameters
    ----------
    call : str
        ``create``, ``open``, ``open folder``, ``mkdir``, ``rename``, ``rename back`` or a method of
        :class:`~emasync.disk.system.System`.
    number : int
        As in :mod:`errno`.
    passes : int
        Calls that go well before.

    Attributes
    ----------
    error : OSError
        What is raised.
    calls : int
        How often the call was made.
    """

    def __init__(self, call: str, number: int, passes: int = 0) -> None:
        super().__init__()
        self.error = OSError(number, os.strerror(number))
        self.calls = 0
        self.call = call
        self.passes = passes

    def __repr__(self) -> str:
        return f"<Faulty {self.call}: {self.error}>"

    def fail(self, call: str) -> None:
        """Raise, if it is that call."""
        if call == self.call:
            self.calls += 1
            if self.calls > self.passes:
                raise self.error

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        """As the kernel."""
        self.fail("create" if flags & os.O_CREAT else "open folder" if flags & os.O_DIRECTORY else "open")
        return super().open(name, flags, dir_fd, mode)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        """As the kernel."""
        self.fail("pwrite")
        return super().pwrite(fd, data, offset)

    def preallocate(self, fd: int, size_bytes: int) -> bool:
        """As the kernel."""
        self.fail("preallocate")
        return super().preallocate(fd, size_bytes)

    def fdatasync(self, fd: int) -> None:
        """As the kernel."""
        self.fail("fdatasync")
        super().fdatasync(fd)

    def start_writeback(self, fd: int) -> None:
        """As the kernel."""
        self.fail("start_writeback")
        super().start_writeback(fd)

    def syncfs(self, fd: int) -> None:
        """As the kernel."""
        self.fail("syncfs")
        super().syncfs(fd)

    def fsync(self, fd: int) -> None:
        """As the kernel."""
        self.fail("fsync")
        super().fsync(fd)

    def mkdir(self, name: str, dir_fd: int) -> None:
        """As the kernel."""
        if name != ".emasync":
            self.fail("mkdir")
        super().mkdir(name, dir_fd)

    def unlink(self, name: str, dir_fd: int) -> None:
        """As the kernel."""
        self.fail("unlink")
        super().unlink(name, dir_fd)

    def stat(self, name: str, dir_fd: int) -> os.stat_result:
        """As the kernel."""
        self.fail("stat")
        return super().stat(name, dir_fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        """As the kernel."""
        self.fail("truncate")
        super().truncate(fd, size_bytes)

    def rename(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        """As the kernel."""
        self.fail("rename back")
        super().rename(old, old_fd, new, new_fd)

    def rename_exclusive(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        """As the kernel."""
        self.fail("rename")
        super().rename_exclusive(old, old_fd, new, new_fd)


class SlowSyncs(System):
    """Makes every sync take so long.

    Parameters
    ----------
    delay_s : float
    """

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self._delay_s = delay_s

    def fdatasync(self, fd: int) -> None:
        """As the kernel, late."""
        time.sleep(self._delay_s)
        super().fdatasync(fd)

    def syncfs(self, fd: int) -> None:
        """As the kernel, late."""
        time.sleep(self._delay_s)
        super().syncfs(fd)

    def fsync(self, fd: int) -> None:
        """As the kernel, late."""
        time.sleep(self._delay_s)
        super().fsync(fd)
