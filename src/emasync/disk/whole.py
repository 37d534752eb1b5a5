"""Small files written whole: created, filled and handed to a batch (law 1's first steps at the kernel's own price)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
from typing import final

from typing_extensions import Buffer

from emasync.disk.batch import BatchSync, LocalBatch
from emasync.disk.faults import translate
from emasync.disk.folders import Folders
from emasync.disk.interface import WholeFile, WrittenBatch
from emasync.disk.names import is_ordinary
from emasync.disk.partial import write_at
from emasync.disk.syncing import SyncWay
from emasync.disk.system import System
from emasync.disk.unfinished import UnfinishedFiles
from emasync.errors import EmasyncError, ErrorKind, IntegrityError, MachineError

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_AT_MOST = 1024


def _files_to_keep() -> int:
    """Descriptors that all batches of a sink may keep for their sync: a quarter of what this process may open."""
    soft, _ = getrlimit(RLIMIT_NOFILE)
    return _KEPT_AT_MOST if soft == RLIM_INFINITY else min(soft // 4, _KEPT_AT_MOST)


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
        self._sync = BatchSync(system, ways, keep_files=_files_to_keep())
        self._open: set[LocalBatch] = set()

    def write(self, files: Sequence[WholeFile]) -> LocalBatch:
        """Create and write; see :meth:`emasync.disk.sink.LocalSink.write_whole`."""
        path = self._unfinished.path
        folder = self._folders.borrow(path, create=True)
        granted = self._sync.begin(len(files), self._folders.show(path))
        batch = LocalBatch(
            self._folders, folder, system=self._system, sync=self._sync, granted=granted, on_close=self._open.discard
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
