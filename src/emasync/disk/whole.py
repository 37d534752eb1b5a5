"""Small files in batches: created, written, made durable together (law 1's first steps at the kernel's own price).

Notes
-----
A batch keeps its folder's descriptor from before its first write until it is closed: syncfs tells a descriptor of the
errors since it was opened. Errors of a sync stay with the sink: what failed once is never asked again, and as the
kernel tells each error to one caller only, no later batch can be believed either (law 1).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self, final

from typing_extensions import Buffer

from emasync.disk.faults import sync_failed, translate
from emasync.disk.folders import Folder, Folders
from emasync.disk.interface import WholeFile, WrittenBatch
from emasync.disk.names import is_ordinary
from emasync.disk.partial import write_at
from emasync.disk.syncing import SyncChoice, SyncWay, ways_for
from emasync.disk.system import System
from emasync.disk.unfinished import UnfinishedFiles
from emasync.errors import EmasyncError, ErrorKind, IntegrityError, MachineError

OPEN_FILES = 256
"""Descriptors that one batch keeps for its sync. A longer batch is synced on its way, as often as needed."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class BatchSync:
    """Makes batches durable, in the way that proves cheapest. Thread safe: syncs take turns.

    Parameters
    ----------
    system : System
    ways : tuple of SyncWay, optional
        Ways to choose from; by default those that are right for the filesystem.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, system: System, ways: tuple[SyncWay, ...] | None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._system = system
        self._choice = SyncChoice(ways) if ways is not None else None
        self._clock = clock
        self._lock = threading.Lock()
        self._error: MachineError | None = None

    def way(self, files: int, folder: str) -> SyncWay:
        """Way for a batch of so many files in a folder (absolute path, there)."""
        if self._choice is None:
            self._choice = SyncChoice(ways_for(self._system.filesystem_type(folder), self._system.kernel()))
        return self._choice.way(files)

    def sync(self, batches: Sequence[LocalBatch]) -> None:
        """Make all that is in `batches` durable."""
        with ExitStack() as stack:
            for batch in batches:
                stack.enter_context(batch)
            stack.enter_context(self._lock)
            if self._error is not None:
                raise self._error
            for way in SyncWay:
                if chosen := [batch for batch in batches if batch.way is way and batch.unsynced]:
                    self._sync_alike(way, chosen)

    def _sync_alike(self, way: SyncWay, batches: Sequence[LocalBatch]) -> None:
        files = sum(batch.unsynced for batch in batches)
        begin_s = self._clock()
        try:
            self._act(way, batches)
        except OSError as error:
            self._error = sync_failed(error, batches[0].folder_shown)
            raise self._error from error
        for batch in batches:
            batch.unsynced = 0
        if self._choice is not None:
            self._choice = self._choice.observed(way, files, self._clock() - begin_s)

    def _act(self, way: SyncWay, batches: Sequence[LocalBatch]) -> None:
        if way is SyncWay.WHOLE:
            for fd in {batch.folder_fd for batch in batches}:  # each descriptor has its own view of errors
                self._system.syncfs(fd)
        if way is SyncWay.TOGETHER:
            for batch in batches:
                for fd in batch.fds:
                    self._system.start_writeback(fd)
        if way in (SyncWay.TOGETHER, SyncWay.EACH):
            for batch in batches:
                for fd in batch.fds:
                    self._system.fdatasync(fd)


@final
class LocalBatch:
    """Files written below the folder of unfinished files. May be closed while a thread syncs it.

    Attributes
    ----------
    errors : list of EmasyncError or None
        One a file.
    way : SyncWay
    unsynced : int
        Files written since the last sync.
    fds : list of int
        Kept for the sync.
    """

    __slots__ = (
        "_closed",
        "_folder",
        "_folders",
        "_lock",
        "_on_close",
        "_sync",
        "_system",
        "_users",
        "errors",
        "fds",
        "folder_fd",
        "unsynced",
        "way",
    )

    def __init__(
        self,
        folders: Folders,
        folder: Folder,
        *,
        system: System,
        sync: BatchSync,
        way: SyncWay,
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
        self.way = way
        self.errors: list[EmasyncError | None] = []
        self.fds: list[int] = []
        self.folder_fd = folder.fd
        self.unsynced = 0

    def __repr__(self) -> str:
        return f"<LocalBatch {len(self.errors)} files, {self.unsynced} unsynced, {self.way}>"

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
        """Take over a written file's descriptor."""
        self.unsynced += 1
        if self.way in (SyncWay.NOTHING, SyncWay.WHOLE):
            self._system.close(fd)
            return
        self.fds.append(fd)
        if len(self.fds) == OPEN_FILES:
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
        try:
            self._close_files()
        finally:
            self._folders.give_back(self._folder)


@final
class WholeFiles:
    """Writes batches into the folder of unfinished files.

    Parameters
    ----------
    folders : Folders
    system : System
    unfinished : UnfinishedFiles
    ways : tuple of SyncWay, optional
        As for :class:`BatchSync`.
    """

    def __init__(
        self, folders: Folders, system: System, unfinished: UnfinishedFiles, ways: tuple[SyncWay, ...] | None
    ) -> None:
        self._folders = folders
        self._system = system
        self._unfinished = unfinished
        self._sync = BatchSync(system, ways)
        self._open: set[LocalBatch] = set()

    def write(self, files: Sequence[WholeFile]) -> LocalBatch:
        """Create and write; see :meth:`emasync.disk.sink.LocalSink.write_whole`."""
        path = self._unfinished.path
        folder = self._folders.borrow(path, create=True)
        way = self._sync.way(len(files), self._folders.show(path))
        batch = LocalBatch(
            self._folders, folder, system=self._system, sync=self._sync, way=way, on_close=self._open.discard
        )
        self._open.add(batch)  # one step of the interpreter, as the removal: threads need no lock here
        try:
            with batch:
                for file in files:
                    batch.errors.append(self._write_one(file, batch, folder.fd))
        except BaseException:
            batch.close()
            raise
        finally:
            self._folders.touch(path)
        return batch

    def _write_one(self, file: WholeFile, batch: LocalBatch, folder_fd: int) -> EmasyncError | None:
        name = file.name
        try:
            if is_ordinary(name) is None:
                self._unfinished.show(name)
            fd = self._create(name, folder_fd)
            try:
                written_bytes = self._fill(fd, file.pieces)
            except BaseException:
                self._system.close(fd)
                raise
            if written_bytes != file.size_bytes:
                return self._wrong_size(fd, file, written_bytes, folder_fd)
            batch.keep(fd)
        except MachineError:
            raise
        except EmasyncError as error:
            return error
        except OSError as error:
            refusal = translate(error, "write", self._folders.show(f"{self._unfinished.path}/{name}"))
            if isinstance(refusal, MachineError):
                raise refusal from error
            return refusal
        return None

    def _create(self, name: str, folder_fd: int) -> int:
        try:
            return self._system.open(name, _CREATE, folder_fd)
        except FileExistsError:
            self._system.unlink(name, folder_fd)
            return self._system.open(name, _CREATE, folder_fd)

    def _fill(self, fd: int, pieces: Sequence[Buffer]) -> int:
        offset = 0
        for piece in pieces:
            size_bytes = memoryview(piece).nbytes
            done = self._system.pwrite(fd, piece, offset)
            if done != size_bytes:
                with memoryview(piece) as view, view.cast("B") as flat, flat[done:] as rest:
                    write_at(self._system, fd, offset + done, rest)
            offset += size_bytes
        return offset

    def _wrong_size(self, fd: int, file: WholeFile, found_bytes: int, folder_fd: int) -> IntegrityError:
        self._system.close(fd)
        self._system.unlink(file.name, folder_fd)
        shown = self._folders.show(f"{self._unfinished.path}/{file.name}")
        return IntegrityError(
            f"unfinished file {shown!r} got {found_bytes} bytes, expected {file.size_bytes}; it is to be fetched again",
            kind=ErrorKind.SIZE_MISMATCH,
            location=shown,
        )

    def sync(self, batches: Sequence[WrittenBatch]) -> None:
        """Make batches durable together; see :meth:`emasync.disk.sink.LocalSink.sync_batches`."""
        ours = [batch for batch in batches if isinstance(batch, LocalBatch)]
        if len(ours) != len(batches):
            raise TypeError("a batch of another sink")
        self._sync.sync(ours)

    def close(self) -> None:
        """Close what a run that was stopped left open; the files stay."""
        for batch in tuple(self._open):
            with suppress(MachineError):  # nobody was told that these bytes are on disk
                batch.close()
