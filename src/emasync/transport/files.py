"""Local folders as sources (``file://``): the same answers as over the wire, read in threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import anyio.to_thread

from emasync.errors import (
    AccessDeniedError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiedError,
    RefusedError,
    TransientError,
    TransportError,
)
from emasync.model.digest import Span, Tail, Validator
from emasync.transport.answers import OK, PARTIAL
from emasync.transport.interface import Head, ListedObject, ListPage, Receiver
from emasync.transport.listing import PAGE_KEYS

PIECE_BYTES = 1 << 20
"""A hop into a thread costs 50 us; a smaller piece would show."""


@dataclass(slots=True)
class OpenFile:
    """A file being read. Used by one thread at a time.

    Attributes
    ----------
    descriptor : int
    version : Validator
        From modification time and size.
    size_bytes : int
    name : str
        For messages.
    """

    descriptor: int
    version: Validator
    size_bytes: int
    name: str

    def read(self, offset: int, stop: int) -> bytes:
        """Next bytes of a span, at most :data:`PIECE_BYTES` (blocking).

        Raises
        ------
        PreconditionFailedError
            The file changed while it was read.
        TransientError
            The disk failed.
        """
        try:
            data = os.pread(self.descriptor, min(PIECE_BYTES, stop - offset), offset)
            same = version_of(os.fstat(self.descriptor)) == self.version
        except OSError as error:
            raise TransientError(f"{self.name}: cannot be read ({error.strerror})", location=self.name) from error
        if not same or (not data and offset < stop):
            raise PreconditionFailedError(f"{self.name}: changed while it was read", location=self.name)
        return data

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


def version_of(info: os.stat_result) -> Validator:
    """Validator of a file: an entity tag of modification time and size, as file servers make it."""
    return Validator(
        etag=f'"{info.st_mtime_ns:x}-{info.st_size:x}"', last_modified=formatdate(info.st_mtime, usegmt=True)
    )


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file that is asked for.

    Attributes
    ----------
    path : str
    folder : str or None
        Folder that symbolic links must not leave; None for a file that the user named.
    name : str
        For messages.
    """

    path: str
    folder: str | None
    name: str


def open_file(place: FilePlace) -> OpenFile:
    """Open a regular file for reading (blocking).

    Raises
    ------
    NotFoundError, AccessDeniedError, RefusedError
    """
    path, folder, name = place.path, place.folder, place.name
    try:
        if folder is not None and not Path(path).resolve().is_relative_to(Path(folder).resolve()):
            raise RefusedError(f"{name}: a symbolic link leads out of {folder}; refused", location=name)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold the thread
    except OSError as error:
        raise _translated(error, name) from error
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(info.st_mode):
            raise NotFoundError(f"{name}: is a folder, not a file", location=name)
        raise RefusedError(f"{name}: is no regular file; refused", location=name)
    return OpenFile(descriptor, version_of(info), info.st_size, name)


def _translated(error: OSError, name: str) -> TransportError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFoundError(f"{name}: there is no such file", location=name)
    if isinstance(error, PermissionError):
        return AccessDeniedError(f"{name}: no permission to read it", location=name)
    return TransientError(f"{name}: cannot be opened ({error.strerror})", location=name)


def head_of(file: OpenFile, span: Span | Tail | None, validator: Validator | None) -> Head:
    """The answer a server would give.

    Raises
    ------
    PreconditionFailedError
        The file is not the validator's.
    RangeNotSatisfiedError
        The span begins behind the end.
    """
    if validator is not None and validator != Validator() and not validator.same_object(file.version):
        message = f"{file.name}: is another file now ({validator} was expected, it has {file.version})"
        raise PreconditionFailedError(message, location=file.name)
    size = file.size_bytes
    span = span.of(size) if isinstance(span, Tail) else span
    if span is not None and span.start >= size:
        message = f"{file.name}: ends before the range (it has {size} bytes)"
        raise RangeNotSatisfiedError(message, location=file.name, total_bytes=size)
    return Head(
        status=OK if span is None else PARTIAL,
        start=0 if span is None else span.start,
        stop=size if span is None else min(span.stop, size),
        total_bytes=size,
        validator=file.version,
        headers={"content-length": str(size), "etag": file.version.etag or ""},
    )


async def copy(place: FilePlace, receiver: Receiver, span: Span | Tail | None, validator: Validator | None) -> Head:
    """Read a file, or a span of it, into `receiver`.

    Cancellation waits for the thread that uses the descriptor (law 5).

    Raises
    ------
    TransportError
    """
    file = await anyio.to_thread.run_sync(open_file, place)
    try:
        head = head_of(file, span, validator)
        receiver.begin(head)
        offset, stop = head.start, head.stop or 0
        while offset < stop:
            data = await anyio.to_thread.run_sync(file.read, offset, stop)
            await receiver.feed(data)
            offset += len(data)
        return head
    finally:
        file.close()


@dataclass(slots=True)
class FolderListing:
    """Objects below a folder in key order, page by page (blocking; run it in a thread).

    Attributes
    ----------
    folder : str
        Keys are relative to it.
    prefix : str
        Keys begin with it.
    start_after : str
        Keys after this one only; empty for all.
    delimiter : bool
        Group what lies deeper than the prefix's folder.
    may_miss : bool
        Whether a folder that is not there is taken for an empty one when the folder above it is there.
    skipped : list of str
        Names that cannot be keys; taken away by whoever reports them.
    """

    folder: str
    prefix: str = ""
    start_after: str = ""
    delimiter: bool = False
    may_miss: bool = True
    skipped: list[str] = field(default_factory=list)
    _rows: Iterator[ListedObject | str] | None = None

    def page(self) -> ListPage:
        """Next page.

        Raises
        ------
        NotFoundError
            There is no such folder.
        AccessDeniedError
            A folder below it may not be read.
        """
        if self._rows is None:
            self._rows = self._walk()
        objects: list[ListedObject] = []
        folders: list[str] = []
        for row in self._rows:
            if isinstance(row, str):
                folders.append(row)
            else:
                objects.append(row)
            if len(objects) + len(folders) >= PAGE_KEYS:
                return ListPage(objects=tuple(objects), folders=tuple(folders), last=False)
        return ListPage(objects=tuple(objects), folders=tuple(folders), last=True)

    def _walk(self) -> Iterator[ListedObject | str]:
        # a missing folder beside others holds nothing, as a missing prefix does; further up a disk may not be mounted
        folder = Path(self.folder)
        if not folder.is_dir() and not (self.may_miss and folder.parent.is_dir()):
            raise NotFoundError(f"file://{self.folder}: there is no such folder", location=f"file://{self.folder}")
        above, slash, _ = self.prefix.rpartition("/")
        if not slash:
            yield from self._below("")
        elif (folder / above).resolve() == folder.resolve().joinpath(*above.split("/")) and _plain(above):
            yield from self._below(above + "/")  # a prefix that leads through links or dots is no prefix of any key

    def _below(self, parent: str) -> Iterator[ListedObject | str]:
        """Rows below one folder. A folder sorts as its keys do: by its name with the slash."""
        for key, path in self._entries(parent):
            if key.endswith("/"):
                if key <= self.start_after and not self.start_after.startswith(key):
                    continue
                if not key.startswith(self.prefix):
                    continue
                if self.delimiter:
                    yield key
                else:
                    yield from self._below(key)
            elif key.startswith(self.prefix) and key > self.start_after and (row := self._row(key, path)) is not None:
                yield row

    def _entries(self, parent: str) -> list[tuple[str, str]]:
        """Keys (folders with slash) and paths right below a folder, in key order."""
        found = []
        try:
            with os.scandir(os.path.join(self.folder, parent)) as entries:  # noqa: PTH118 - as above
                for entry in entries:
                    if not entry.name.isprintable() and not _writable(entry.name):
                        self.skipped.append(ascii(parent + entry.name))
                    elif entry.is_dir(follow_symlinks=False):
                        found.append((f"{parent}{entry.name}/", entry.path))
                    elif entry.is_file(follow_symlinks=False) or self._inside(entry):
                        found.append((parent + entry.name, entry.path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _translated(error, f"file://{self.folder}/{parent}") from error
        return sorted(found)

    def _inside(self, entry: os.DirEntry[str]) -> bool:
        """Whether a symbolic link leads to a file inside of the folder; links to folders are not followed."""
        if not entry.is_symlink() or not entry.is_file():
            return False
        return Path(entry.path).resolve().is_relative_to(Path(self.folder).resolve())

    def _row(self, key: str, path: str) -> ListedObject | None:
        try:
            info = os.stat(path)  # noqa: PTH116 - as above
        except FileNotFoundError:  # deleted while we looked
            return None
        modified = datetime.fromtimestamp(info.st_mtime, UTC).isoformat().replace("+00:00", "Z")
        return ListedObject(key=key, size_bytes=info.st_size, etag=version_of(info).etag, last_modified=modified)


def _plain(key: str) -> bool:
    return all(part not in ("", ".", "..") for part in key.split("/"))


def _writable(name: str) -> bool:
    """Whether a name can be a key: valid UTF-8 (bytes that are not come as lone surrogates)."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
