"""Open folders below the root: every component opened by itself, no symbolic link followed, few kept open."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import OrderedDict
from contextlib import suppress
from types import TracebackType
from typing import final

from emasync.disk.faults import sync_failed, translate
from emasync.disk.system import System
from emasync.errors import DestinationError, ErrorKind, MachineError

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class Folder:
    """One open folder, lent out: its descriptor stays open until the last borrower is done."""

    __slots__ = ("_owner", "fd", "kept", "path", "users")

    def __init__(self, owner: Folders, path: str, fd: int) -> None:
        self._owner = owner
        self.path = path
        self.fd = fd
        self.users = 1
        self.kept = True

    def __enter__(self) -> int:
        return self.fd

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._owner.give_back(self)


@final
class Folders:
    """Folders below one root, by relative path; ``""`` is the root. Thread safe.

    Parameters
    ----------
    root : str
        Existing folder; may itself be reached through symbolic links, which are resolved once, here.
    system : System
    limit : int
        Folders kept open when nobody uses them.
    """

    def __init__(self, root: str, system: System, *, limit: int = 256) -> None:
        self._root = root
        self._system = system
        self._limit = limit
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Folder] = OrderedDict()
        self._touch_lock = threading.Lock()
        self._touched: set[str] = set()
        self._sync_lock = threading.Lock()
        self._sync_error: MachineError | None = None
        self._closed = False
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._base = Folder(self, "", fd)  # its own first user: never closed before close()

    def __len__(self) -> int:
        return len(self._open)

    def borrow(self, path: str, *, create: bool = False) -> Folder:
        """Open the folder `path`; use the answer in a ``with`` statement, which gives the descriptor.

        Parameters
        ----------
        path : str
            Relative, checked by the caller (no ``..``, no empty segment).
        create : bool
            Make what is missing, parents included.

        Raises
        ------
        FileNotFoundError
            It is not there, and `create` is False.
        DestinationError
            ``unsafe_name``: a component is a symbolic link; ``name_clash``: a component is a file.
        MachineError
        """
        if not create:
            return self._walk(path, create=False)
        try:
            return self._walk(path, create=True)
        except FileNotFoundError:
            self.forget()  # a folder was removed while its descriptor was kept here: start from the root
        try:
            return self._walk(path, create=True)
        except FileNotFoundError as error:
            raise translate(error, "make folder", self.show(path)) from error

    def _walk(self, path: str, *, create: bool) -> Folder:
        folder = self._deepest(path)
        while folder.path != path:
            begin = len(folder.path) + 1 if folder.path else 0
            end = path.find("/", begin)
            with folder:
                folder = self._step(folder, path[begin:] if end < 0 else path[begin:end], create=create)
        return folder

    def _deepest(self, path: str) -> Folder:
        with self._lock:
            if self._closed:
                raise ValueError(f"the sink of {self._root!r} is closed")
            while path and path not in self._open:
                path = path.rpartition("/")[0]
            folder = self._open[path] if path else self._base
            if path:
                self._open.move_to_end(path)
            folder.users += 1
            return folder

    def _step(self, parent: Folder, name: str, *, create: bool) -> Folder:
        path = f"{parent.path}/{name}" if parent.path else name
        try:
            fd = self._open_one(parent, name, create=create)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refusal(error, parent.fd, name, path) from error
        return self._keep(path, fd)

    def _open_one(self, parent: Folder, name: str, *, create: bool) -> int:
        try:
            return self._system.open(name, _FLAGS, parent.fd)
        except FileNotFoundError:
            if not create:
                raise
        # Making and marking are one step for sync(): a colleague who finds the new folder, puts a file into it
        # and syncs must find the parent marked.
        with self._touch_lock:
            with suppress(FileExistsError):
                self._system.mkdir(name, parent.fd)
            self._touched.add(parent.path)
        return self._system.open(name, _FLAGS, parent.fd)

    def _refusal(self, error: OSError, dir_fd: int, name: str, path: str) -> Exception:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            return translate(error, "open folder", self.show(path))
        try:
            mode = self._system.stat(name, dir_fd).st_mode
        except OSError:
            mode = 0
        if stat.S_ISLNK(mode):
            return DestinationError(
                f"{self.show(path)!r} is a symbolic link; nothing is written through links below the root, "
                "replace it by a real folder",
                location=path,
            )
        return DestinationError(
            f"{self.show(path)!r} is a file where a folder is needed; move it away or choose another path",
            kind=ErrorKind.NAME_CLASH,
            location=path,
        )

    def _keep(self, path: str, fd: int) -> Folder:
        with self._lock:
            known = self._open.get(path)
            if known is None and not self._closed:
                folder = self._open[path] = Folder(self, path, fd)
                self._evict()
                return folder
            if known is not None:  # another thread was faster
                known.users += 1
                self._system.close(fd)
                return known
        self._system.close(fd)
        raise ValueError(f"the sink of {self._root!r} is closed")

    def _evict(self) -> None:
        while len(self._open) > self._limit:
            _, oldest = self._open.popitem(last=False)
            self._drop(oldest)

    def _drop(self, folder: Folder) -> None:
        folder.kept = False
        if folder.users == 0:
            self._system.close(folder.fd)

    def give_back(self, folder: Folder) -> None:
        """End one use; the last one closes what is not kept."""
        with self._lock:
            folder.users -= 1
            if folder.users == 0 and not folder.kept:
                self._system.close(folder.fd)

    def forget(self) -> None:
        """Keep no folder open but the root; those in use are closed by their last user."""
        with self._lock:
            folders, self._open = list(self._open.values()), OrderedDict()
            for folder in folders:
                self._drop(folder)

    def touch(self, path: str) -> None:
        """Remember, after the fact, that entries of folder `path` changed."""
        with self._touch_lock:
            self._touched.add(path)

    def sync(self) -> None:
        """Make all changes of entries that were marked before this call durable.

        Calls take turns, so that none returns while an earlier one still syncs what it took.

        Raises
        ------
        MachineError
            ``sync_failed``: now, or by any earlier call (never tried again, law 1).
        """
        with self._sync_lock:
            if self._sync_error is not None:
                raise self._sync_error
            with self._touch_lock:
                touched, self._touched = self._touched, set()
            for path in sorted(touched):
                self._sync_one(path)

    def _sync_one(self, path: str) -> None:
        try:
            with self.borrow(path) as fd:
                self._system.fsync(fd)
        except (FileNotFoundError, DestinationError):
            return  # removed or replaced meanwhile, and with it what was to be kept
        except MachineError as error:
            self._sync_error = error
            raise
        except OSError as error:
            self._sync_error = sync_failed(error, self.show(path))
            raise self._sync_error from error

    def show(self, path: str) -> str:
        """Path as people know it, for messages."""
        return f"{self._root}/{path}" if path else self._root

    def close(self) -> None:
        """Give all descriptors back; those in use go with their last user."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.forget()
        with self._lock:
            self._base.kept = False
        self.give_back(self._base)
