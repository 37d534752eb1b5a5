"""The folder of unfinished files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import final

from emasync.disk.faults import translate
from emasync.disk.folders import Folders
from emasync.disk.mounts import MEMORY_TYPES
from emasync.disk.names import UNSAFE, check_relative, problems_of
from emasync.disk.partial import LocalPartial
from emasync.disk.system import System
from emasync.errors import DestinationError, MachineError

PREALLOCATE_FROM_BYTES = 1 << 20
"""Smaller files are written in one go: the kernel finds their blocks together anyway."""

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO under the name would otherwise hold the open for ever; regular files ignore it
_REOPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO})
"""Errors of an open that say: no regular file of that name (a link, a folder, a pipe, nothing)."""


def _is_name(name: str) -> bool:
    return "/" not in name and not name.startswith(".") and UNSAFE.isdisjoint(problems_of(name))


@final
class UnfinishedFiles:
    """Unfinished files by name, in one folder below the root.

    Parameters
    ----------
    folders : Folders
    system : System
    path : str
        The folder, relative to the root; made at the first reservation.
    preallocate : bool
    """

    def __init__(self, folders: Folders, system: System, path: str, *, preallocate: bool) -> None:
        check_relative(path)
        self.path = path
        self._folders = folders
        self._system = system
        self._preallocate = preallocate
        self._open: set[LocalPartial] = set()

    def show(self, name: str) -> str:
        """Path for messages, of a name that is one.

        Raises
        ------
        DestinationError
            It is not one safe segment, or begins with a dot (those are documents on their way).
        """
        check_relative(name)
        if not _is_name(name):
            raise DestinationError(
                f"{name!r} is no name of an unfinished file: one segment, no leading dot", location=name
            )
        return self._folders.show(f"{self.path}/{name}")

    def reserve(self, name: str, size_bytes: int | None) -> LocalPartial:
        """Create `name` anew; see :meth:`emasync.disk.sink.LocalSink.reserve`."""
        shown = self.show(name)
        try:
            fd = self.create(name)
        except OSError as error:
            raise translate(error, "create", shown) from error
        wanted = size_bytes or 0
        if not self._preallocate or wanted < PREALLOCATE_FROM_BYTES:
            return self._opened(name, fd, shown)
        try:
            reserved = wanted if self._reserved(fd, wanted) else 0
        except OSError as error:
            self._system.close(fd)
            self.discard(name)
            raise translate(error, f"reserve {wanted} bytes for", shown) from error
        return self._opened(name, fd, shown, reserved)

    def _reserved(self, fd: int, size_bytes: int) -> bool:
        """Whether blocks were reserved. In memory that is the work of writing them, and 4 GiB wait 0.4 s for it."""
        if not self._in_memory:
            return self._system.preallocate(fd, size_bytes)
        facts = os.fstatvfs(fd)
        if facts.f_blocks and facts.f_bavail * facts.f_frsize < size_bytes:  # no blocks at all: no limit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return False

    @cached_property
    def _in_memory(self) -> bool:
        return self._system.filesystem_type(self._folders.show(self.path)) in MEMORY_TYPES

    def _opened(self, name: str, fd: int, shown: str, reserved_bytes: int = 0) -> LocalPartial:
        partial = LocalPartial(
            name, fd, self._system, shown=shown, reserved_bytes=reserved_bytes, on_close=self._open.discard
        )
        self._open.add(partial)  # one step of the interpreter, as the removal: threads need no lock here
        return partial

    def close(self) -> None:
        """Close what a run that was stopped left open; the files stay."""
        for partial in tuple(self._open):
            with suppress(MachineError):  # nobody was told that these bytes are on disk
                partial.close()

    def create(self, name: str) -> int:
        """Create a file in the folder, in place of an older one; gives its descriptor. OSError as the kernel says."""
        with self._folders.borrow(self.path, create=True) as folder:
            fd = self._create(name, folder)
        self._folders.touch(self.path)
        return fd

    def _create(self, name: str, folder: int) -> int:
        try:
            return self._system.open(name, _CREATE, folder)
        except FileExistsError:
            self._system.unlink(name, folder)
            return self._system.open(name, _CREATE, folder)

    def reopen(self, name: str) -> LocalPartial | None:
        """Open `name` to go on with it; see :meth:`emasync.disk.sink.LocalSink.reopen`."""
        shown = self.show(name)
        try:
            with self._folders.borrow(self.path) as folder:
                fd = self._system.open(name, _REOPEN, folder)
        except OSError as error:
            if error.errno in NO_FILE:
                return None
            raise translate(error, "open", shown) from error
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            self._system.close(fd)
            return None
        return self._opened(name, fd, shown)

    def discard(self, name: str) -> None:
        """Remove `name`; nothing happens when it is not there."""
        shown = self.show(name)
        try:
            with self._folders.borrow(self.path) as folder:
                self._system.unlink(name, folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translate(error, "remove", shown) from error
        self._folders.touch(self.path)

    def names(self) -> Iterator[str]:
        """Names of all unfinished files, in no order."""
        try:
            with self._folders.borrow(self.path) as folder:
                # a descriptor of its own: threads that share one share its reading position
                fd = self._system.open(".", _FOLDER, folder)
        except FileNotFoundError:
            return
        try:
            with os.scandir(fd) as entries:
                yield from (entry.name for entry in entries if _is_name(entry.name))
        finally:
            self._system.close(fd)
