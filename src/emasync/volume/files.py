"""Bytes of files below a root: every component opened by itself, no link followed, few descriptors kept."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

from emasync.disk.faults import translate
from emasync.disk.folders import Folders
from emasync.disk.names import check_relative, is_ordinary
from emasync.disk.outlying import declared
from emasync.disk.partial import read_at
from emasync.disk.system import System
from emasync.errors import DestinationError, FormatError, NotDownloaded
from emasync.model.task import escape_for_log
from emasync.volume.forking import begin_anew_after_fork
from emasync.volume.interface import WHOLE_FILE

MOST_OPEN: Final = 64
"""Files kept open a root. A data loader has many workers, and a process of many systems 1,024 descriptors."""

MOST_FOLDERS: Final = 64

MOST_KNOWN: Final = 4096
"""Folders whose paths were looked at: of the names in them only the last part is."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_WORTH_ANOTHER_TRY = _GONE | {errno.EMFILE, errno.ENFILE}


@final
class OpenFile:
    """One open file; its descriptor is closed with the last reference to it, so that no thread loses it while it reads.

    Attributes
    ----------
    fd : int
    opened_bytes : int
        Size that it had when it was opened.

    Parameters
    ----------
    fd : int
        Owned from now on.

    Raises
    ------
    FileNotFoundError
        It is no regular file.
    """

    __slots__ = ("_mapping", "fd", "opened_bytes")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._mapping: mmap.mmap | None = None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "no regular file")
        self.opened_bytes = status.st_size

    def __del__(self) -> None:
        os.close(self.fd)

    def size_bytes(self) -> int:
        """As the file is now."""
        return os.fstat(self.fd).st_size

    def mapped(self, size_bytes: int) -> mmap.mmap:
        """The whole file, which has so many bytes now, as memory; mapped once."""
        if self._mapping is None or len(self._mapping) != size_bytes:
            self._mapping = mmap.mmap(self.fd, size_bytes, access=mmap.ACCESS_READ)
        return self._mapping


@final
class LocalContent:
    """An open file; see :class:`~emasync.volume.streams.Content`.

    Parameters
    ----------
    name : str
    file : OpenFile
    """

    def __init__(self, name: str, file: OpenFile) -> None:
        self.name = name
        self.size_bytes = file.size_bytes()
        self._file: OpenFile | None = file

    def read_into(self, start: int, room: memoryview) -> int:
        """Put bytes from `start` on into `room`.

        Raises
        ------
        MachineError
            I/O error.
        """
        if self._file is None:
            raise ValueError(f"{self.name} is closed")
        try:
            return os.preadv(self._file.fd, [room], start)
        except OSError as error:
            raise translate(error, "read", self.name) from error

    def close(self) -> None:
        """Give the descriptor back, as soon as nobody reads."""
        self._file = None


@final
class LocalFiles:
    """Files below one root, read by several threads at once; see :class:`~emasync.volume.interface.FileReader`.

    Parameters
    ----------
    root : str
        Existing folder; may itself be reached through symbolic links. Folders outside that it declares
        (:mod:`emasync.disk.outlying`) are read where they are.

    Raises
    ------
    InputError
        Its declaration cannot be read.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._bases = {"": root, **{f"{place}/": path for place, path in _outside(root).items()}}
        self.after_fork()
        begin_anew_after_fork(self)

    def __del__(self) -> None:
        for folders in getattr(self, "_folders", {}).values():
            folders.close()

    def after_fork(self) -> None:
        """Open everything anew: locks may be held by threads that are not here. Folders stay open in this child."""
        self._lock = threading.Lock()
        self._folders: dict[str, Folders] = {}
        self._known: dict[str, tuple[Folders, str]] = {}
        self._open: OrderedDict[str, OpenFile] = OrderedDict()

    def read(self, path: str, start: int, size_bytes: int) -> bytes:
        """Exactly the bytes asked for, or the whole file for :data:`~emasync.volume.interface.WHOLE_FILE`.

        A whole file is not kept open: arrays of such chunks have thousands of them.

        Raises
        ------
        FormatError
            The file is shorter.
        NotDownloaded
            There is no such file.
        MachineError
            No permission, I/O error.
        """
        whole = size_bytes == WHOLE_FILE
        file = self._opened(path) if whole else self.file(path)
        if whole:
            size_bytes = file.opened_bytes - start
        try:
            data = read_at(file.fd, start, size_bytes)
        except OSError as error:
            raise translate(error, "read", self._show(path)) from error
        if len(data) != size_bytes:
            raise self._short(path, start, size_bytes, start + len(data))
        return data

    def mapped(self, path: str, start: int, size_bytes: int) -> mmap.mmap:
        """A file as memory, at least up to byte ``start + size_bytes``; valid as long as the answer is referred to.

        Raises
        ------
        FormatError
            The file is shorter.
        NotDownloaded
            There is no such file.
        MachineError
            No permission, I/O error.
        """
        file = self.file(path)
        there_bytes = file.size_bytes()
        if there_bytes < start + size_bytes:  # memory beyond the end of a file kills the process that reads it
            raise self._short(path, start, size_bytes, there_bytes)
        try:
            return file.mapped(there_bytes)
        except OSError as error:
            raise translate(error, "map", self._show(path)) from error

    def has(self, path: str) -> bool:
        """Whether there is such a file now.

        Raises
        ------
        MachineError
            No permission.
        """
        try:
            self._opened(path)
        except NotDownloaded:
            return False
        return True

    def content(self, path: str) -> LocalContent:
        """A file for :mod:`emasync.volume.streams`; it stays open as long as the answer is referred to.

        Raises
        ------
        NotDownloaded
            There is no such file.
        MachineError
            No permission.
        """
        return LocalContent(self._show(path), self._opened(path))

    def file(self, path: str) -> OpenFile:
        """An open file, kept for the next call."""
        with self._lock:
            file = self._open.get(path)
            if file is not None:
                self._open.move_to_end(path)
                return file
        file = self._opened(path)
        with self._lock:
            self._open[path] = file
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return file

    def _opened(self, path: str) -> OpenFile:
        try:
            return self._try_open(path)
        except OSError as error:
            if error.errno not in _WORTH_ANOTHER_TRY:
                raise translate(error, "open", self._show(path)) from error
        self._close_all()
        try:
            return self._try_open(path)
        except OSError as error:
            if error.errno not in _GONE:
                raise translate(error, "open", self._show(path)) from error
            raise self._missing(path) from error

    def _try_open(self, path: str) -> OpenFile:
        parent, _, name = path.rpartition("/")
        known = self._known.get(parent)
        if known is None or not is_ordinary(name):
            check_relative(path)
            known = self._beneath(path)
        folders, inside = known
        try:
            with folders.borrow(inside) as folder:
                return OpenFile(os.open(name, _FLAGS, dir_fd=folder))
        except DestinationError as error:
            raise self._missing(path) from error

    def _beneath(self, path: str) -> tuple[Folders, str]:
        """Folders of the root, or of a folder outside it, and the path of the file's folder below that."""
        place = max((place for place in self._bases if path.startswith(place)), key=len)
        with self._lock:
            folders = self._folders.get(place)
            if folders is None:
                folders = self._folders[place] = Folders(self._bases[place], System(), limit=MOST_FOLDERS)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[path.rpartition("/")[0]] = folders, path[len(place) :].rpartition("/")[0]
            return found

    def _close_all(self) -> None:
        """Close what nobody uses: the process may open no more, or a folder that was kept is not the one there now."""
        with self._lock:
            self._open.clear()
            folders = list(self._folders.values())
        for one in folders:
            one.forget()

    def _missing(self, path: str) -> NotDownloaded:
        return NotDownloaded(
            f"{self._show(path)} is not there, or is no regular file (nothing is read through symbolic links below the "
            "root); run the manifest again, or `emasync verify --repair`",
            location=path,
        )

    def _short(self, path: str, start: int, size_bytes: int, end: int) -> FormatError:
        return FormatError(
            f"{self._show(path)}: bytes {start} to {start + size_bytes} were expected, the file ends at byte {end}; "
            "`emasync verify --repair` fetches what is damaged",
            location=path,
        )

    def _show(self, path: str) -> str:
        return escape_for_log(f"{self.root}/{path}")


def _outside(root: str) -> Mapping[str, str]:
    """Folders outside a root, by their place in it."""
    outlying = declared(Path(root))
    return {} if outlying is None else outlying.folders
