"""Final files: looked at, read and taken back without following links."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import final

from emasync.disk.faults import translate
from emasync.disk.folders import Folders
from emasync.disk.interface import FileFacts
from emasync.disk.names import check_relative
from emasync.disk.partial import read_at
from emasync.disk.placing import check_destination
from emasync.disk.system import System
from emasync.disk.unfinished import NO_FILE, UnfinishedFiles
from emasync.errors import DestinationError, ErrorKind, IntegrityError

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@final
class FinalFiles:
    """Final files below one root; the methods are those of :class:`emasync.disk.sink.LocalSink`.

    Parameters
    ----------
    folders : Folders
    system : System
    unfinished : UnfinishedFiles
        Where files go back to.
    """

    def __init__(self, folders: Folders, system: System, unfinished: UnfinishedFiles) -> None:
        self._folders = folders
        self._system = system
        self._unfinished = unfinished

    def _look(self, destination: str) -> os.stat_result:
        parent, _, name = destination.rpartition("/")
        with self._folders.borrow(parent) as folder:
            return self._system.stat(name, folder)

    def retract(self, destination: str, name: str) -> None:
        """Rename a final file back to the unfinished `name`."""
        check_destination(destination, self._unfinished.path)
        self._unfinished.show(name)
        parent, _, final_name = destination.rpartition("/")
        if self.stat(destination) is None:
            raise self._missing(destination)
        try:
            with (
                self._folders.borrow(parent) as old,
                self._folders.borrow(self._unfinished.path, create=True) as new,
            ):
                self._system.rename(final_name, old, name, new)
        except FileNotFoundError as error:
            raise self._missing(destination) from error
        except OSError as error:
            raise translate(error, "take back", self._folders.show(destination)) from error
        self._folders.touch(parent)
        self._folders.touch(self._unfinished.path)

    def stat(self, destination: str) -> FileFacts | None:
        """Facts of a final file; None when there is none."""
        check_relative(destination)
        try:
            facts = self._look(destination)
        except (FileNotFoundError, DestinationError):
            return None
        except OSError as error:
            raise translate(error, "look at", self._folders.show(destination)) from error
        return FileFacts(facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None

    def has_folder(self, path: str) -> bool:
        """Whether there is anything under `path`; a way that is no folder counts as something."""
        check_relative(path)
        try:
            self._look(path)
        except FileNotFoundError:
            return False
        except (DestinationError, OSError):
            return True
        return True

    def read(self, destination: str, offset: int, size_bytes: int) -> bytes:
        """Read back part of a final file."""
        fd = self._open(destination)
        try:
            return read_at(fd, offset, size_bytes)
        except OSError as error:
            raise translate(error, "read", self._folders.show(destination)) from error
        finally:
            self._system.close(fd)

    def scan(self, destination: str, start: int, stop: int, buffer: memoryview) -> Iterator[memoryview]:
        """Read a span of a final file piece by piece into `buffer`."""
        fd = self._open(destination)
        try:
            while start < stop and (got := os.preadv(fd, (buffer[: stop - start],), start)):
                yield buffer[:got]
                start += got
        except OSError as error:
            raise translate(error, "read", self._folders.show(destination)) from error
        finally:
            self._system.close(fd)

    def _open(self, destination: str) -> int:
        check_relative(destination)
        parent, _, name = destination.rpartition("/")
        try:
            with self._folders.borrow(parent) as folder:
                fd = self._system.open(name, _READ, folder)
        except OSError as error:
            if error.errno in NO_FILE:
                raise self._missing(destination) from error
            raise translate(error, "read", self._folders.show(destination)) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            self._system.close(fd)
            raise self._missing(destination)
        return fd

    def _missing(self, destination: str) -> IntegrityError:
        return IntegrityError(
            f"{self._folders.show(destination)!r} is not there (or is no regular file); it is to be fetched again",
            kind=ErrorKind.SIZE_MISMATCH,
            location=destination,
        )
