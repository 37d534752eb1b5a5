"""Kernels that fail."""

from __future__ import annotations

import os
from pathlib import Path

from typing_extensions import Buffer

from emasync.disk.system import System


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
        self.fail("create" if flags & os.O_CREAT else "open folder" if flags & os.O_DIRECTORY else "open")
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

    def start_writeback(self, fd: int) -> None:
        self.fail("start_writeback")
        super().start_writeback(fd)

    def syncfs(self, fd: int) -> None:
        self.fail("syncfs")
        super().syncfs(fd)

    def fsync(self, fd: int) -> None:
        self.fail("fsync")
        super().fsync(fd)

    def mkdir(self, name: str, dir_fd: int) -> None:
        if name != ".emasync":
            self.fail("mkdir")
        super().mkdir(name, dir_fd)

    def unlink(self, name: str, dir_fd: int) -> None:
        self.fail("unlink")
        super().unlink(name, dir_fd)

    def stat(self, name: str, dir_fd: int) -> os.stat_result:
        self.fail("stat")
        return super().stat(name, dir_fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self.fail("truncate")
        super().truncate(fd, size_bytes)

    def rename(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        self.fail("rename back")
        super().rename(old, old_fd, new, new_fd)

    def rename_exclusive(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        self.fail("rename")
        super().rename_exclusive(old, old_fd, new, new_fd)


class ShortWrites(System):
    """Writes at most three bytes a call."""

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        return super().pwrite(fd, memoryview(data)[:3], offset)
