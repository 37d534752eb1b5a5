"""The kernel calls a sink makes, behind one small class: tests and the crash disk hand in others."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache

from typing_extensions import Buffer

_RENAME_NOREPLACE = 1
"""renameat2(2), Linux 3.15."""
_RENAME_EXCL = 4
"""renameatx_np(2), macOS 10.12."""
_FALLOC_FL_KEEP_SIZE = 1
"""fallocate(2): a preallocated file does not look complete before its last byte is written."""

_NO_NATIVE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP})
_NO_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_NO_ALLOCATION = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENODEV})

Rename = Callable[[str, int, str, int], None]
"""``rename(old, old_dir_fd, new, new_dir_fd)``."""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, name: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def rename_natively(old: str, old_fd: int, new: str, new_fd: int) -> None:
    """Rename without replacing, in one kernel call."""
    symbol, flag = ("renameatx_np", _RENAME_EXCL) if sys.platform == "darwin" else ("renameat2", _RENAME_NOREPLACE)
    call = getattr(_libc(), symbol, None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), new)
    _check(call(old_fd, os.fsencode(old), new_fd, os.fsencode(new), ctypes.c_uint(flag)), new)


def rename_by_link(old: str, old_fd: int, new: str, new_fd: int) -> None:
    """Give the file its second name, which fails when that is taken, then drop the first.

    A crash in between leaves both names; recovery takes the final one and drops the other.
    """
    os.link(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)
    os.unlink(old, dir_fd=old_fd)


def rename_by_look(old: str, old_fd: int, new: str, new_fd: int) -> None:
    """Look, then rename: for filesystems without exclusive rename and without links (FAT, some FUSE).

    Another program may take the name in between. An exclusively created placeholder would close that gap, but
    a crash would leave it behind: an empty file under a final name, which must never be.
    """
    try:
        os.stat(new, dir_fd=new_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)


class System:
    """Kernel calls relative to directory descriptors. Methods raise OSError as the kernel does.

    Parameters
    ----------
    renames : tuple of callable
        Ways to rename without replacing, best first; the first that this filesystem knows is kept.
    """

    def __init__(self, renames: tuple[Rename, ...] = (rename_natively, rename_by_link, rename_by_look)) -> None:
        self._renames = renames

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        """openat(2)."""
        return os.open(name, flags, mode, dir_fd=dir_fd)

    def close(self, fd: int) -> None:
        """close(2)."""
        os.close(fd)

    def mkdir(self, name: str, dir_fd: int) -> None:
        """mkdirat(2), with the user's umask."""
        os.mkdir(name, 0o777, dir_fd=dir_fd)

    def unlink(self, name: str, dir_fd: int) -> None:
        """unlinkat(2)."""
        os.unlink(name, dir_fd=dir_fd)

    def stat(self, name: str, dir_fd: int) -> os.stat_result:
        """fstatat(2), without following a symbolic link."""
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        """pwrite(2): may write less than asked."""
        return os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size_bytes: int) -> None:
        """ftruncate(2)."""
        os.ftruncate(fd, size_bytes)

    def preallocate(self, fd: int, size_bytes: int) -> bool:
        """Reserve blocks without changing the file's size; False where the filesystem cannot.

        Not posix_fallocate(3): glibc imitates that by writing into each block where the kernel says no, which
        on a network filesystem takes as long as the download.
        """
        call = getattr(_libc(), "fallocate", None) if sys.platform == "linux" else None
        if call is None:
            return False
        try:
            _check(call(fd, _FALLOC_FL_KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size_bytes)), "fallocate")
        except OSError as error:
            if error.errno in _NO_ALLOCATION:
                return False
            raise
        return True

    def fdatasync(self, fd: int) -> None:
        """Make a file's bytes and size durable."""
        if sys.platform == "darwin":
            self.fsync(fd)
        else:
            os.fdatasync(fd)

    def fsync(self, fd: int) -> None:
        """Make a file or folder durable (macOS: through the drive's cache as well)."""
        if sys.platform == "darwin":
            from fcntl import F_FULLFSYNC, fcntl  # noqa: PLC0415  # exists on macOS only

            fcntl(fd, F_FULLFSYNC)
        else:
            os.fsync(fd)

    def rename(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        """Rename, replacing a file."""
        os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)

    def rename_exclusive(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        """Rename without replacing anything: FileExistsError when `new` is taken."""
        *fallible, last = self._renames
        for index, attempt in enumerate(fallible):
            try:
                attempt(old, old_fd, new, new_fd)
            except OSError as error:
                if error.errno not in (_NO_LINK if attempt is rename_by_link else _NO_NATIVE):
                    raise
            else:
                self._renames = self._renames[index:]
                return
        last(old, old_fd, new, new_fd)
        self._renames = (last,)
