"""Our own documents below the root: replaced whole, durably, never through a link."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Iterable
from typing import final

from emasync.disk.faults import translate
from emasync.disk.folders import Folders
from emasync.disk.names import check_relative
from emasync.disk.partial import LocalPartial
from emasync.disk.system import System
from emasync.disk.unfinished import UnfinishedFiles
from emasync.errors import DestinationError, ErrorKind


@final
class DocumentWriter:
    """Writes documents by way of the unfinished files' folder. Thread safe.

    Parameters
    ----------
    folders : Folders
    system : System
    unfinished : UnfinishedFiles
    """

    def __init__(self, folders: Folders, system: System, unfinished: UnfinishedFiles) -> None:
        self._folders = folders
        self._system = system
        self._unfinished = unfinished
        self._lock = threading.Lock()

    def write(self, destination: str, data: bytes | Iterable[bytes]) -> None:
        """Write `destination`; see :meth:`emasync.disk.sink.LocalSink.write_document`."""
        check_relative(destination)
        parent, _, name = destination.rpartition("/")
        token = hashlib.blake2b(destination.encode(), digest_size=12).hexdigest()
        temporary = f".document-{token}"  # one name a document: a killed writer leaves nothing to collect
        try:
            with self._lock:
                self._fill(temporary, (data,) if isinstance(data, bytes) else data)
                with (
                    self._folders.borrow(self._unfinished.path, create=True) as old,
                    self._folders.borrow(parent, create=True) as new,
                ):
                    self._check_replaceable(name, new, destination)
                    self._system.rename(temporary, old, name, new)
        except OSError as error:
            raise translate(error, "write", self._folders.show(destination)) from error
        self._folders.touch(parent)
        self._folders.touch(self._unfinished.path)
        self._folders.sync()

    def _fill(self, temporary: str, pieces: Iterable[bytes]) -> None:
        fd = self._unfinished.create(temporary)
        shown = self._folders.show(f"{self._unfinished.path}/{temporary}")
        partial = LocalPartial(temporary, fd, self._system, shown=shown)
        try:
            size_bytes = 0
            for piece in pieces:
                partial.write(size_bytes, piece)
                size_bytes += len(piece)
            partial.seal(size_bytes)
        finally:
            partial.close()

    def _check_replaceable(self, name: str, folder: int, destination: str) -> None:
        try:
            mode = self._system.stat(name, folder).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISREG(mode):
            return
        is_folder = stat.S_ISDIR(mode)
        raise DestinationError(
            f"{self._folders.show(destination)!r} is {'a folder' if is_folder else 'no regular file'} "
            "and is not replaced; move it away",
            kind=ErrorKind.NAME_CLASH if is_folder else ErrorKind.UNSAFE_NAME,
            location=destination,
        )
