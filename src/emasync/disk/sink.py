"""A folder tree as a sink: every open confined to the root, every rename without replacing (law 1)."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import final

from emasync.disk.faults import translate
from emasync.disk.folders import Folders
from emasync.disk.interface import FileFacts
from emasync.disk.names import UNSAFE, check_relative, problems_of
from emasync.disk.partial import LocalPartial, read_at
from emasync.disk.system import System
from emasync.errors import DestinationError, ErrorKind, IntegrityError

STATE_FOLDER = ".emasync"
"""Ours at the root: no object may be placed in it."""

PREALLOCATE_FROM_BYTES = 1 << 20
"""Smaller files are written in one go: the kernel finds their blocks together anyway."""

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO under the name would otherwise hold the open for ever; regular files ignore it
_REOPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO})


def _split(destination: str) -> tuple[str, str]:
    parent, _, name = destination.rpartition("/")
    return parent, name


def _is_partial_name(name: str) -> bool:
    return "/" not in name and not name.startswith(".") and UNSAFE.isdisjoint(problems_of(name))


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

    Raises
    ------
    MachineError
        The root cannot be made or opened.
    """

    def __init__(
        self,
        root: Path,
        *,
        partial_folder: str = STATE_FOLDER + "/partial",
        preallocate: bool = True,
        system: System | None = None,
    ) -> None:
        check_relative(partial_folder)
        self._system = system if system is not None else System()
        self._partial_folder = partial_folder
        self._preallocate = preallocate
        self._document_lock = threading.Lock()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._root = str(root.resolve(strict=True))
            self._folders = Folders(self._root, self._system)
        except OSError as error:
            raise translate(error, "open the root", str(root)) from error

    def __repr__(self) -> str:
        return f"<LocalSink {self._root!r} folders={len(self._folders)}>"

    # --- unfinished files ---------------------------------------------------------------------------------------

    def reserve(self, name: str, size_bytes: int | None) -> LocalPartial:
        """Create the unfinished file `name`; an older one of that name is discarded.

        Parameters
        ----------
        name : str
            One path segment.
        size_bytes : int or None
            Expected size, for preallocation; the file's own size stays 0.

        Raises
        ------
        MachineError
            Disk full (found out before the first byte), no permission, I/O error.
        """
        shown = self._shown_partial(name)
        try:
            with self._folders.borrow(self._partial_folder, create=True) as folder:
                fd = self._create(name, folder)
            self._folders.touch(self._partial_folder)
        except OSError as error:
            raise translate(error, "create", shown) from error
        reserved = size_bytes if self._preallocate and size_bytes and size_bytes >= PREALLOCATE_FROM_BYTES else 0
        try:
            reserved = reserved if reserved and self._system.preallocate(fd, reserved) else 0
        except OSError as error:
            self._system.close(fd)
            self.discard(name)
            raise translate(error, f"reserve {size_bytes} bytes for", shown) from error
        return LocalPartial(name, fd, self._system, shown=shown, reserved_bytes=reserved)

    def _create(self, name: str, folder: int) -> int:
        try:
            return self._system.open(name, _CREATE, folder)
        except FileExistsError:
            self._system.unlink(name, folder)
            return self._system.open(name, _CREATE, folder)

    def reopen(self, name: str) -> LocalPartial | None:
        """Open the unfinished file `name` to go on with it.

        Returns
        -------
        LocalPartial or None
            None when it is not there, is no regular file, or has a second name: whoever made that name does not
            expect its bytes to change.
        """
        shown = self._shown_partial(name)
        try:
            with self._folders.borrow(self._partial_folder) as folder:
                fd = self._system.open(name, _REOPEN, folder)
        except OSError as error:
            if error.errno in _NO_FILE:
                return None
            raise translate(error, "open", shown) from error
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            self._system.close(fd)
            return None
        return LocalPartial(name, fd, self._system, shown=shown)

    def discard(self, name: str) -> None:
        """Remove the unfinished file `name`; nothing happens when it is not there."""
        shown = self._shown_partial(name)
        try:
            with self._folders.borrow(self._partial_folder) as folder:
                self._system.unlink(name, folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translate(error, "remove", shown) from error
        self._folders.touch(self._partial_folder)

    def partials(self) -> Iterator[str]:
        """Names of all unfinished files, in no order; documents on their way are not among them."""
        try:
            with self._folders.borrow(self._partial_folder) as folder:
                # a descriptor of its own: threads that share one share its reading position
                fd = self._system.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, folder)
        except FileNotFoundError:
            return
        try:
            with os.scandir(fd) as entries:
                yield from (entry.name for entry in entries if _is_partial_name(entry.name))
        finally:
            self._system.close(fd)

    def _shown_partial(self, name: str) -> str:
        check_relative(name)
        if not _is_partial_name(name):
            raise DestinationError(f"{name!r} is no name of an unfinished file: one segment, no leading dot")
        return f"{self._root}/{self._partial_folder}/{name}"

    # --- final files --------------------------------------------------------------------------------------------

    def place(self, name: str, destination: str) -> None:
        """Rename the sealed partial to its final name, replacing nothing; parents are made.

        Raises
        ------
        DestinationError
            ``destination_exists``: a file or link is there already; ``name_clash``: a folder is there, or a
            parent is a file; ``unsafe_name``: the name leaves the root, leads through a link, is ours
            (``.emasync``), or cannot be held by this filesystem.
        IntegrityError
            The unfinished file is gone: fetch it again.
        MachineError
        """
        self._check_final(destination)
        shown = self._shown_partial(name)
        parent, final_name = _split(destination)
        try:
            if self._try_place(name, parent, final_name):
                return
            self._folders.forget()  # a kept folder was removed meanwhile, or the partial is gone
            if self._try_place(name, parent, final_name):
                return
        except OSError as error:
            raise self._refused(error, parent, destination) from error
        raise IntegrityError(
            f"unfinished file {shown!r} is gone; {destination!r} is to be fetched again",
            kind=ErrorKind.SIZE_MISMATCH,
            location=destination,
        )

    def _check_final(self, destination: str) -> None:
        check_relative(destination)
        if destination.startswith((STATE_FOLDER + "/", self._partial_folder + "/")) or destination == STATE_FOLDER:
            raise DestinationError(
                f"cannot store {destination!r}: that folder is this program's own; choose another path",
                location=destination,
            )

    def _try_place(self, name: str, parent: str, final_name: str) -> bool:
        with (
            self._folders.borrow(self._partial_folder, create=True) as old,
            self._folders.borrow(parent, create=True) as new,
        ):
            try:
                self._system.rename_exclusive(name, old, final_name, new)
            except FileNotFoundError:
                return False
        self._folders.touch(parent)
        self._folders.touch(self._partial_folder)
        return True

    def _refused(self, error: OSError, parent: str, destination: str) -> Exception:
        shown = self._folders.show(destination)
        if error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY):
            if self._is_folder(parent, destination):
                return DestinationError(
                    f"{shown!r} is a folder where a file is to be placed; move it away or choose another path",
                    kind=ErrorKind.NAME_CLASH,
                    location=destination,
                )
            return DestinationError(
                f"{shown!r} is there already and is not ours; adopt it, move it away or choose another root",
                kind=ErrorKind.DESTINATION_EXISTS,
                location=destination,
            )
        if error.errno == errno.EINVAL:  # FAT and its kin, for characters they do not allow
            return DestinationError(f"this filesystem cannot hold the name {shown!r}", location=destination)
        return translate(error, "place", shown)

    def _is_folder(self, parent: str, destination: str) -> bool:
        try:
            with self._folders.borrow(parent) as folder:
                return stat.S_ISDIR(self._system.stat(_split(destination)[1], folder).st_mode)
        except OSError:
            return False

    def retract(self, destination: str, name: str) -> None:
        """Rename a final file (ours, says the ledger) back to the partial `name`, replacing an older partial.

        Raises
        ------
        IntegrityError
            There is no such file (any more).
        MachineError
        """
        self._check_final(destination)
        self._shown_partial(name)
        parent, final_name = _split(destination)
        if self.stat(destination) is None:
            raise self._missing(destination)
        try:
            with (
                self._folders.borrow(parent) as old,
                self._folders.borrow(self._partial_folder, create=True) as new,
            ):
                self._system.rename(final_name, old, name, new)
        except FileNotFoundError as error:
            raise self._missing(destination) from error
        except OSError as error:
            raise translate(error, "take back", self._folders.show(destination)) from error
        self._folders.touch(parent)
        self._folders.touch(self._partial_folder)

    def stat(self, destination: str) -> FileFacts | None:
        """Facts of a final file; None when there is none: a link, a folder, or a way through a link count as none.

        Raises
        ------
        DestinationError
            The name is unsafe.
        MachineError
        """
        check_relative(destination)
        parent, name = _split(destination)
        try:
            with self._folders.borrow(parent) as folder:
                facts = self._system.stat(name, folder)
        except (FileNotFoundError, DestinationError):
            return None
        except OSError as error:
            raise translate(error, "look at", self._folders.show(destination)) from error
        if not stat.S_ISREG(facts.st_mode):
            return None
        return FileFacts(facts.st_size, facts.st_mtime_ns)

    def read_final(self, destination: str, offset: int, size_bytes: int) -> bytes:
        """Read back up to `size_bytes` bytes of a final file at `offset`; less at its end only.

        Raises
        ------
        IntegrityError
            There is no such file.
        MachineError
        """
        check_relative(destination)
        parent, name = _split(destination)
        try:
            with self._folders.borrow(parent) as folder:
                fd = self._system.open(name, _READ, folder)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise self._missing(destination)
                return read_at(fd, offset, size_bytes)
            finally:
                self._system.close(fd)
        except OSError as error:
            if error.errno in _NO_FILE:
                raise self._missing(destination) from error
            raise translate(error, "read", self._folders.show(destination)) from error

    def _missing(self, destination: str) -> IntegrityError:
        return IntegrityError(
            f"{self._folders.show(destination)!r} is not there (or is no regular file); it is to be fetched again",
            kind=ErrorKind.SIZE_MISMATCH,
            location=destination,
        )

    # --- durability, documents, facts ---------------------------------------------------------------------------

    def sync_folders(self) -> None:
        """Make creations, renames and removals since the last call durable.

        Raises
        ------
        MachineError
            ``sync_failed``: now or earlier; never tried again.
        """
        self._folders.sync()

    def write_document(self, destination: str, data: bytes) -> None:
        """Write one of our own documents atomically and durably; replaces an older one.

        Raises
        ------
        DestinationError
            ``unsafe_name``: the name leads through a link or is one; ``name_clash``: a folder is there.
        MachineError
        """
        check_relative(destination)
        parent, name = _split(destination)
        token = hashlib.blake2b(destination.encode(), digest_size=12).hexdigest()
        temporary = f".document-{token}"  # one name a document: a killed writer leaves nothing to collect
        try:
            with self._document_lock:
                self._write_temporary(temporary, data)
                with (
                    self._folders.borrow(self._partial_folder, create=True) as old,
                    self._folders.borrow(parent, create=True) as new,
                ):
                    self._check_replaceable(name, new, destination)
                    self._system.rename(temporary, old, name, new)
        except OSError as error:
            raise translate(error, "write", self._folders.show(destination)) from error
        self._folders.touch(parent)
        self._folders.touch(self._partial_folder)
        self._folders.sync()

    def _write_temporary(self, temporary: str, data: bytes) -> None:
        with self._folders.borrow(self._partial_folder, create=True) as folder:
            fd = self._create(temporary, folder)
        partial = LocalPartial(temporary, fd, self._system, shown=self._folders.show(self._partial_folder))
        try:
            partial.write(0, data)
            partial.seal(len(data))
        finally:
            partial.close()

    def _check_replaceable(self, name: str, folder: int, destination: str) -> None:
        try:
            mode = self._system.stat(name, folder).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISREG(mode):
            return
        kind, what = (
            (ErrorKind.NAME_CLASH, "a folder") if stat.S_ISDIR(mode) else (ErrorKind.UNSAFE_NAME, "no regular file")
        )
        raise DestinationError(
            f"{self._folders.show(destination)!r} is {what} and is not replaced; move it away",
            kind=kind,
            location=destination,
        )

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
        """Give all folder descriptors back; partials keep their own until they are closed."""
        self._folders.close()
