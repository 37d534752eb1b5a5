"""A folder tree as a sink: every open confined to the root, every rename without replacing (law 1)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import final

from emasync.disk.batch import LocalBatch
from emasync.disk.faults import translate
from emasync.disk.finals import FinalFiles
from emasync.disk.folders import Folders
from emasync.disk.interface import FileFacts, WholeFile, WrittenBatch
from emasync.disk.partial import LocalPartial
from emasync.disk.placing import STATE_FOLDER, Placement
from emasync.disk.replacing import DocumentWriter
from emasync.disk.syncing import SyncWay
from emasync.disk.system import System
from emasync.disk.unfinished import UnfinishedFiles
from emasync.disk.whole import WholeFiles
from emasync.errors import EmasyncError

PARTIAL_FOLDER = STATE_FOLDER + "/partial"
"""Where unfinished files live, relative to the root."""


@final
class LocalSink:
    """Files below one root of a local (or mounted) filesystem. Thread safe; implements ``Sink``.

    No symbolic link below the root is followed, in any component, at any time: folders are opened component by
    component relative to their parent's descriptor. The root itself may be a link; it is resolved once.

    Parameters
    ----------
    root : Path
        Made when missing.
    partial_folder : str
        Where unfinished files live, relative to the root, on the root's filesystem.
    preallocate : bool
        Reserve blocks for files of known size from 1 MiB on.
    system : System, optional
        Kernel calls.
    sync_ways : tuple of SyncWay, optional
        How batches of whole files may be made durable; by default what is right for the filesystem.

    Raises
    ------
    MachineError
        The root cannot be made or opened.
    """

    def __init__(
        self,
        root: Path,
        *,
        partial_folder: str = PARTIAL_FOLDER,
        preallocate: bool = True,
        system: System | None = None,
        sync_ways: tuple[SyncWay, ...] | None = None,
    ) -> None:
        system = system if system is not None else System()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._root = str(root.resolve(strict=True))
            self._folders = Folders(self._root, system)
        except OSError as error:
            raise translate(error, "open the root", str(root)) from error
        self._unfinished = UnfinishedFiles(self._folders, system, partial_folder, preallocate=preallocate)
        self._whole = WholeFiles(self._folders, system, self._unfinished, sync_ways)
        self._placement = Placement(self._folders, system, self._unfinished)
        self._finals = FinalFiles(self._folders, system, self._unfinished)
        self._documents = DocumentWriter(self._folders, system, self._unfinished)

    def __repr__(self) -> str:
        return f"<LocalSink {self._root!r} folders={len(self._folders)}>"

    @property
    def spread(self) -> bool:
        """No: all unfinished files lie in one folder."""
        return False

    def reserve(self, name: str, size_bytes: int | None, destination: str = "") -> LocalPartial:  # noqa: ARG002
        """Create the unfinished file `name`; an older one of that name is discarded.

        Parameters
        ----------
        name : str
            One path segment.
        size_bytes : int or None
            Expected size, for preallocation; the file's own size stays 0.
        destination : str
            Makes no difference here.

        Raises
        ------
        MachineError
            Disk full (found out before the first byte), no permission, I/O error.
        """
        return self._unfinished.reserve(name, size_bytes)

    def reopen(self, name: str) -> LocalPartial | None:
        """Open the unfinished file `name` to go on with it.

        Returns
        -------
        LocalPartial or None
            None when it is not there, is no regular file, or has a second name: whoever made that name does not
            expect its bytes to change.

        Raises
        ------
        MachineError
        """
        return self._unfinished.reopen(name)

    def discard(self, name: str) -> None:
        """Remove the unfinished file `name`; nothing happens when it is not there.

        Raises
        ------
        MachineError
        """
        self._unfinished.discard(name)

    def partials(self) -> Iterator[str]:
        """Names of all unfinished files, in no order; documents on their way are not among them."""
        return self._unfinished.names()

    def place(self, name: str, destination: str) -> None:
        """Rename the sealed partial to its final name, replacing nothing; parents are made.

        Raises
        ------
        DestinationError
            ``destination_exists``: a file or link is there already; ``name_clash``: a folder is there, or a
            parent is a file; ``unsafe_name``: the name leaves the root, leads through a link, is ours
            (``.emasync``), or cannot be held by this filesystem.
        MachineError
            Also when the unfinished file is gone.
        """
        self._placement.place(name, destination)

    def place_many(self, pairs: Sequence[tuple[str, str]]) -> list[EmasyncError | None]:
        """Place many sealed partials, each (name, destination) as :meth:`place` does.

        Cheapest when files of one folder come in a row: it is checked and opened once for all of them.

        Returns
        -------
        list
            The DestinationError of each pair, None where it was placed.

        Raises
        ------
        MachineError
            Also when an unfinished file is gone. Pairs before it are placed, pairs after it are not.
        """
        return self._placement.place_many(pairs)

    def write_whole(self, files: Sequence[WholeFile]) -> LocalBatch:
        """Create and write unfinished files in one go; older ones of those names are discarded.

        Returns
        -------
        LocalBatch
            Its ``errors`` name the files that could not be written: ``unsafe_name`` (also a name this filesystem
            cannot hold), ``size_mismatch`` (the pieces add up to something else). Sync it, then close it.

        Raises
        ------
        MachineError
            Disk full, no permission, I/O error; nothing is left open, what was written is left to
            :meth:`discard`.
        """
        return self._whole.write(files)

    def sync_batches(self, batches: Sequence[WrittenBatch]) -> None:
        """Make several batches durable at the price of one.

        Raises
        ------
        MachineError
            ``sync_failed``: now, or by any batch of this sink before; never tried again.
        """
        self._whole.sync(batches)

    def retract(self, destination: str, name: str) -> None:
        """Rename a final file (ours, says the ledger) back to the partial `name`, replacing an older partial.

        Raises
        ------
        IntegrityError
            There is no such file (any more).
        MachineError
        """
        self._finals.retract(destination, name)

    def stat(self, destination: str) -> FileFacts | None:
        """Facts of a final file; None when there is none: a link, a folder, or a way through a link count as none.

        Raises
        ------
        DestinationError
            The name is unsafe.
        MachineError
        """
        return self._finals.stat(destination)

    def has_folder(self, path: str) -> bool:
        """Whether there is anything under the relative path `path` where files could lie."""
        return self._finals.has_folder(path)

    def read_final(self, destination: str, offset: int, size_bytes: int) -> bytes:
        """Read back up to `size_bytes` bytes of a final file at `offset`; less at its end only.

        Raises
        ------
        IntegrityError
            There is no such file.
        MachineError
        """
        return self._finals.read(destination, offset, size_bytes)

    def scan_final(self, destination: str, start: int, stop: int, buffer: memoryview) -> Iterator[memoryview]:
        """Read bytes `start` to `stop` (exclusive) of a final file piece by piece; each lies in `buffer`.

        Ends early where the file does. No memory is taken: half of the time of reading large files in fresh memory
        goes into the memory.

        Raises
        ------
        IntegrityError
            There is no such file.
        MachineError
        """
        return self._finals.scan(destination, start, stop, buffer)

    def sync_folders(self) -> None:
        """Make creations, renames and removals since the last call durable.

        Raises
        ------
        MachineError
            ``sync_failed``: now or earlier; never tried again.
        """
        self._folders.sync()

    def write_document(self, destination: str, data: bytes | Iterable[bytes]) -> None:
        """Write one of our own documents atomically and durably; replaces an older one.

        Parameters
        ----------
        destination : str
        data : bytes or iterable of bytes
            Whole, or in pieces when it may be long.

        Raises
        ------
        DestinationError
            ``unsafe_name``: the name leads through a link or is one; ``name_clash``: a folder is there.
        MachineError
        """
        self._documents.write(destination, data)

    def free_bytes(self) -> int:
        """Free space for this user on the root's filesystem."""
        with self._folders.borrow("") as root:
            facts = os.fstatvfs(root)
        return facts.f_bavail * facts.f_frsize

    def free_inodes(self) -> int | None:
        """Files that this user may still create; None where the filesystem does not count them (btrfs)."""
        with self._folders.borrow("") as root:
            facts = os.fstatvfs(root)
        return facts.f_favail if facts.f_files else None

    def close(self) -> None:
        """Give all descriptors back, those of unfinished files too; one that a thread writes to, when it is done."""
        self._whole.close()
        self._unfinished.close()
        self._folders.close()
