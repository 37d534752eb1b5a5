"""Batches of files that were written and are to be made durable together.

Notes
-----
A batch keeps its folder's descriptor from before its first write until it is closed: syncfs tells a descriptor of the
errors since it was opened. Errors of a sync stay with the sink: what failed once is never asked again, and as the
kernel tells each error to one caller only, no later batch can be believed either (law 1).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self, final

from emasync.disk.faults import sync_failed, translate
from emasync.disk.folders import Folder, Folders
from emasync.disk.syncing import SyncChoice, SyncWay, ways_for
from emasync.disk.system import System
from emasync.errors import EmasyncError, MachineError

_BY_DESCRIPTOR = frozenset({SyncWay.EACH, SyncWay.TOGETHER})
_LEAST_KEPT = 16
"""Descriptors granted to a batch even when there is no room: fewer make each of its files a sync by itself."""


@final
class BatchSync:
    """Makes batches durable, in the way that proves cheapest. Thread safe: syncs take turns.

    Parameters
    ----------
    system : System
    ways : tuple of SyncWay, optional
        Ways to choose from; by default those that are right for the filesystem.
    keep_files : int
        Descriptors kept at once, all batches together.
    clock : callable
        Monotonic seconds.

    Attributes
    ----------
    may_close : bool
        Whether files can be made durable without their descriptors.
    """

    def __init__(
        self,
        system: System,
        ways: tuple[SyncWay, ...] | None,
        *,
        keep_files: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._system = system
        self._choice = SyncChoice(ways) if ways is not None else None
        self.may_close = _needs_no_descriptors(ways or ())
        self._clock = clock
        self._lock = threading.Lock()
        self._error: MachineError | None = None
        self._usual_files = 0
        self._room = keep_files
        self._room_lock = threading.Lock()

    def begin(self, files: int, folder: str) -> int:
        """How many descriptors a batch of so many files in a folder (absolute path, there) is to keep.

        Batches that are synced together count together: what the last sync had is what the next one will have.
        """
        if self._choice is None:
            self._choice = SyncChoice(ways_for(self._system.filesystem_type(folder), self._system.kernel()))
            self.may_close = _needs_no_descriptors(self._choice.ways)
        if self._choice.way(max(files, self._usual_files)) not in _BY_DESCRIPTOR:
            return 0
        with self._room_lock:
            granted = max(min(files, self._room), _LEAST_KEPT)
            self._room -= granted
        return granted

    def end(self, granted: int) -> None:
        """Take back what :meth:`begin` granted."""
        with self._room_lock:
            self._room += granted

    def sync(self, batches: Sequence[LocalBatch]) -> None:
        """Make all that is in `batches` durable."""
        with ExitStack() as stack:
            for batch in batches:
                stack.enter_context(batch)
            stack.enter_context(self._lock)
            if self._error is not None:
                raise self._error
            if self._choice is not None and (changed := [batch for batch in batches if batch.unsynced]):
                self._choice = self._sync_all(changed, self._choice)

    def _sync_all(self, batches: Sequence[LocalBatch], choice: SyncChoice) -> SyncChoice:
        files = self._usual_files = sum(batch.unsynced for batch in batches)
        way = choice.way(files)
        if way in _BY_DESCRIPTOR and any(batch.closed_some for batch in batches):
            way = SyncWay.WHOLE
        begin_s = self._clock()
        try:
            self._act(way, batches)
        except OSError as error:
            self._error = sync_failed(error, batches[0].folder_shown)
            raise self._error from error
        for batch in batches:
            batch.unsynced, batch.closed_some = 0, False
        return choice.observed(way, files, self._clock() - begin_s)

    def _act(self, way: SyncWay, batches: Sequence[LocalBatch]) -> None:
        if way is SyncWay.WHOLE:
            for fd in {batch.folder_fd for batch in batches}:  # each descriptor has its own view of errors
                self._system.syncfs(fd)
        fds = [fd for batch in batches for fd in batch.fds] if way in _BY_DESCRIPTOR else ()
        if way is SyncWay.TOGETHER:
            for fd in fds:
                self._system.start_writeback(fd)
        for fd in fds:
            self._system.fdatasync(fd)


def _needs_no_descriptors(ways: tuple[SyncWay, ...]) -> bool:
    return any(way not in _BY_DESCRIPTOR for way in ways)


@final
class LocalBatch:
    """Files written below the folder of unfinished files. May be closed while a thread syncs it.

    Attributes
    ----------
    errors : list of EmasyncError or None
        One a file.
    unsynced : int
        Files written since the last sync.
    fds : list of int
        Kept for the sync.
    closed_some : bool
        Whether one of the files that are not synced was closed.
    folder_fd : int
    """

    __slots__ = (
        "_closed",
        "_folder",
        "_folders",
        "_granted",
        "_lock",
        "_on_close",
        "_sync",
        "_system",
        "_users",
        "closed_some",
        "errors",
        "fds",
        "folder_fd",
        "unsynced",
    )

    def __init__(
        self,
        folders: Folders,
        folder: Folder,
        *,
        system: System,
        sync: BatchSync,
        granted: int,
        on_close: Callable[[LocalBatch], None],
    ) -> None:
        self._folders = folders
        self._folder = folder
        self._system = system
        self._sync = sync
        self._on_close = on_close
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False
        self._granted = granted
        self.errors: list[EmasyncError | None] = []
        self.fds: list[int] = []
        self.folder_fd = folder.fd
        self.unsynced = 0
        self.closed_some = False

    def __repr__(self) -> str:
        return f"<LocalBatch {len(self.errors)} files, {self.unsynced} unsynced, {len(self.fds)} open>"

    @property
    def folder_shown(self) -> str:
        """Path of the folder, for messages."""
        return self._folders.show(self._folder.path)

    def __enter__(self) -> Self:
        """Begin a use; the last one to end gives the descriptors of a closed batch back (law 5)."""
        with self._lock:
            if self._closed:
                raise ValueError("the batch is closed")
            self._users += 1
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and self._users == 0
        if last:
            self._give_back()

    def sync(self) -> None:
        """Make bytes and sizes of the batch durable.

        Raises
        ------
        MachineError
            ``sync_failed``: now, or by any batch of this sink before.
        ValueError
            The batch is closed.
        """
        self._sync.sync((self,))

    def keep(self, fd: int) -> None:
        """Take over a written file's descriptor; where there are too many, close it or sync what there is."""
        self.unsynced += 1
        if len(self.fds) >= self._granted and self._sync.may_close:
            self._system.close(fd)
            self.closed_some = True
            return
        self.fds.append(fd)
        if len(self.fds) > self._granted:
            self.sync()
            self._close_files()

    def _close_files(self) -> None:
        fds, self.fds = self.fds, []
        failed: OSError | None = None
        for fd in fds:
            try:
                self._system.close(fd)
            except OSError as error:  # a network filesystem may tell only now that a write failed
                failed = error
        if failed is not None:
            raise translate(failed, "close files in", self.folder_shown) from failed

    def close(self) -> None:
        """Give descriptors back, now or when a thread that writes or syncs is done; the files stay.

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
        if idle:
            self._give_back()

    def _give_back(self) -> None:
        self._on_close(self)
        self._sync.end(self._granted)
        try:
            self._close_files()
        finally:
            self._folders.give_back(self._folder)
