"""What the engine asks of a disk. Synchronous: callers choose the thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from typing_extensions import Buffer

from emasync.errors import EmasyncError


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a stat says of a final file.

    Attributes
    ----------
    size_bytes : int
    mtime_ns : int
    """

    size_bytes: int
    mtime_ns: int


class WholeFile(NamedTuple):
    """A file to be written in one go: a plain tuple, because one is made for every small object.

    Attributes
    ----------
    name : str
        Of the unfinished file.
    pieces : sequence of buffers
        Its bytes in order. They belong to the call until it returns.
    size_bytes : int
        What the pieces must add up to.
    destination : str
        Where it will be placed; needed where :attr:`Sink.spread` says so.
    """

    name: str
    pieces: Sequence[Buffer]
    size_bytes: int
    destination: str = ""


class WrittenBatch(Protocol):
    """Unfinished files that were written whole, not durable yet. One user at a time; close it."""

    @property
    def errors(self) -> Sequence[EmasyncError | None]:
        """What kept each file from being written, None where nothing did: one a file, in the order given."""
        ...

    def sync(self) -> None:
        """Make bytes and sizes of the batch durable.

        Raises
        ------
        MachineError
            ``sync_failed``: now, or by any batch of this sink before; never tried again (law 1).
        """
        ...

    def close(self) -> None:
        """Give descriptors back; the files stay. May be called again."""
        ...


class Partial(Protocol):
    """An unfinished file, open. Its descriptor lives until :meth:`close`, and close waits for writes in threads."""

    name: str

    def write(self, offset: int, data: Buffer) -> None:
        """Write all of `data` at `offset` bytes.

        Raises
        ------
        MachineError
            Disk full, quota, I/O error.
        """
        ...

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Read back up to `size_bytes` bytes."""
        ...

    def seal(self, size_bytes: int) -> None:
        """Check the file's size and make its bytes durable (fdatasync).

        Raises
        ------
        IntegrityError
            The file is not `size_bytes` long.
        MachineError
            The sync failed; it must not be tried again (law 1).
        """
        ...

    def sync(self) -> None:
        """Make what was written durable, the file unfinished as it is (fdatasync)."""
        ...

    def close(self) -> None:
        """Give the descriptor back; the file stays."""
        ...


class Sink(Protocol):
    """Where objects land: one root. All paths are relative, ``/`` separated and confined to it."""

    @property
    def spread(self) -> bool:
        """Whether files begin in different places, by where they will be placed: whoever begins one says where."""
        ...

    def reserve(self, name: str, size_bytes: int | None, destination: str = "") -> Partial:
        """Create the unfinished file `name`, preallocated when the size is known (KEEP nothing older: it is new).

        An existing file of that name is discarded first: the ledger knows nothing of it.

        Parameters
        ----------
        name : str
        size_bytes : int or None
        destination : str
            Where it will be placed; needed where :attr:`spread` says so.
        """
        ...

    def reopen(self, name: str) -> Partial | None:
        """Open the unfinished file `name` to go on with it; None when it is not there."""
        ...

    def place(self, name: str, destination: str) -> None:
        """Rename the sealed partial to its final name, replacing nothing; parents are made.

        Raises
        ------
        DestinationError
            ``destination_exists``: something is there already; ``name_clash``: a parent is a file.
        """
        ...

    def write_whole(self, files: Sequence[WholeFile]) -> WrittenBatch:
        """Create and write unfinished files; an older one of the same name is discarded.

        Errors of single files (a name that cannot be, pieces of another total) are in the batch's ``errors``.

        Raises
        ------
        MachineError
            Disk full, no permission, I/O error; nothing is left open.
        """
        ...

    def sync_batches(self, batches: Sequence[WrittenBatch]) -> None:
        """Make several batches of this sink durable at the price of one.

        Raises
        ------
        MachineError
            ``sync_failed``, as for :meth:`WrittenBatch.sync`.
        """
        ...

    def place_many(self, pairs: Sequence[tuple[str, str]]) -> list[EmasyncError | None]:
        """Place many sealed partials, each (name, destination) as :meth:`place` does; files of one folder in a row.

        Returns
        -------
        list
            The DestinationError of each pair, None where it was placed.

        Raises
        ------
        MachineError
            Those before it are placed, those after it are not.
        """
        ...

    def retract(self, destination: str, name: str) -> None:
        """Rename a final file (ours, says the ledger) back to the partial `name`."""
        ...

    def discard(self, name: str) -> None:
        """Remove the unfinished file `name`; nothing happens when it is not there."""
        ...

    def partials(self) -> Iterator[str]:
        """Names of all unfinished files."""
        ...

    def stat(self, destination: str) -> FileFacts | None:
        """Facts of a final file; None when there is none. A symlink or folder of that name counts as none."""
        ...

    def has_folder(self, path: str) -> bool:
        """Whether there is anything under the relative path `path` where files could lie: a folder, a link, a file."""
        ...

    def read_final(self, destination: str, offset: int, size_bytes: int) -> bytes:
        """Read back part of a final file."""
        ...

    def scan_final(self, destination: str, start: int, stop: int, buffer: memoryview) -> Iterator[memoryview]:
        """Read bytes `start` to `stop` (exclusive) of a final file piece by piece into `buffer`; less at its end."""
        ...

    def sync_folders(self) -> None:
        """Make renames since the last call durable (fsync of the folders touched)."""
        ...

    def write_document(self, destination: str, data: bytes | Iterable[bytes]) -> None:
        """Write one of our own documents, whole or in pieces, atomically and durably; replaces an older one."""
        ...

    def free_bytes(self) -> int:
        """Free space for this user on the root's filesystem."""
        ...

    def free_inodes(self) -> int | None:
        """Files that may still be made; None where the filesystem does not count them."""
        ...

    def close(self) -> None:
        """Give all descriptors back."""
        ...
