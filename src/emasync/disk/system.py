"""The kernel calls a sink makes, behind one small class: tests and the crash disk hand in others."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import cast

from typing_extensions import Buffer

from emasync.disk.mounts import mount_of, parse_mountinfo

_RENAME_NOREPLACE = 1
"""renameat2(2), Linux 3.15."""
_RENAME_EXCL = 4
"""renameatx_np(2), macOS 10.12."""
_FALLOC_FL_KEEP_SIZE = 1
"""fallocate(2): a preallocated file does not look complete before its last byte is written."""

_SYNC_FILE_RANGE_WRITE = 2
"""sync_file_range(2): begin to write what is dirty, wait for nothing."""

_FILESYSTEM_ENCODING, _ENCODE_ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()

_MOUNTINFO = Path("/proc/self/mountinfo")

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


_RENAME = ("renameatx_np", _RENAME_EXCL) if sys.platform == "darwin" else ("renameat2", _RENAME_NOREPLACE)


@cache
def _rename_call() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """The library's call with its types set once: converting each argument anew costs as much as the system call."""
    call = getattr(_libc(), _RENAME[0], None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        call.restype = ctypes.c_int
    return cast("Callable[[int, bytes, int, bytes, int], int] | None", call)


def rename_natively(old: str, old_fd: int, new: str, new_fd: int) -> None:
    """Rename without replacing, in one kernel call."""
    call = _rename_call()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), new)
    # os.fsencode in one step: two are made for every small object
    names = old.encode(_FILESYSTEM_ENCODING, _ENCODE_ERRORS), new.encode(_FILESYSTEM_ENCODING, _ENCODE_ERRORS)
    if call(old_fd, names[0], new_fd, names[1], _RENAME[1]) != 0:
        _check(-1, new)


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

    def rmdir(self, name: str, dir_fd: int) -> None:
        """unlinkat(2) of a folder; one that is not empty stays."""
        os.rmdir(name, dir_fd=dir_fd)

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

    def start_writeback(self, fd: int) -> None:
        """Let the kernel begin to write a file's dirty pages, without waiting. A hint: the sync has the last word.

        sync_file_range(2) with SYNC_FILE_RANGE_WRITE alone takes no error away from a later fdatasync, and unlike
        posix_fadvise(POSIX_FADV_DONTNEED), the way where it is missing, drops no page from memory.
        """
        call = getattr(_libc(), "sync_file_range", None)
        if call is not None:
            call(fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE))
        elif hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def syncfs(self, fd: int) -> None:
        """Make everything on the filesystem of `fd` durable, other programs' data too.

        Errors are told to one caller a descriptor (Linux 5.8: of any file since the descriptor was opened).
        """
        _check(_libc().syncfs(fd), "syncfs")

    def filesystem_type(self, path: str) -> str:
        """Type of the filesystem that an absolute, resolved path lies on; ``unknown`` where nobody tells."""
        try:
            text = _MOUNTINFO.read_text(errors="surrogateescape")
        except OSError:
            return "unknown"
        mount = mount_of(parse_mountinfo(text), path)
        return mount.type if mount is not None else "unknown"

    def kernel(self) -> tuple[str, str]:
        """Name and release of the kernel, such as ``("Linux", "6.1.0-18-amd64")``."""
        return platform.system(), platform.release()

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
        attempt = self._renames[0]
        try:
            attempt(old, old_fd, new, new_fd)
        except OSError as error:
            if len(self._renames) == 1 or not _is_unknown(attempt, error):
                raise
            self._rename_otherwise(old, old_fd, new, new_fd)

    def _rename_otherwise(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        *fallible, last = self._renames[1:]
        for index, attempt in enumerate(fallible, 1):
            try:
                attempt(old, old_fd, new, new_fd)
            except OSError as error:
                if not _is_unknown(attempt, error):
                    raise
            else:
                self._renames = self._renames[index:]
                return
        last(old, old_fd, new, new_fd)
        self._renames = (last,)


def _is_unknown(attempt: Rename, error: OSError) -> bool:
    """Whether the error says that this filesystem does not know that way to rename."""
    return error.errno in (_NO_LINK if attempt is rename_by_link else _NO_NATIVE)
