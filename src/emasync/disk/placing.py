"""Unfinished files get their final names: renamed without replacing, one by one or many in a row."""

from __future__ import annotations

import errno
import stat
from collections.abc import Sequence
from typing import final

from emasync.disk.faults import translate
from emasync.disk.folders import Folder, Folders
from emasync.disk.names import MAX_PATH_BYTES, check_relative, is_ordinary
from emasync.disk.system import System
from emasync.disk.unfinished import UnfinishedFiles
from emasync.errors import DestinationError, EmasyncError, ErrorKind, MachineError

STATE_FOLDER = ".emasync"
"""Ours at the root: no object may be placed in it."""

_TAKEN = frozenset({errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY})
_SURELY_SHORT = MAX_PATH_BYTES // 4
"""Characters; UTF-8 takes at most four bytes for one."""


def check_destination(destination: str, partial_folder: str) -> None:
    """Refuse a destination that is unsafe, or inside our own folders.

    Raises
    ------
    DestinationError
    """
    check_relative(destination)
    if destination.startswith((STATE_FOLDER + "/", partial_folder + "/")) or destination == STATE_FOLDER:
        raise DestinationError(
            f"cannot store {destination!r}: that folder is this program's own; choose another path",
            location=destination,
        )


@final
class Placement:
    """Renames from the folder of unfinished files; the methods are those of :class:`emasync.disk.sink.LocalSink`.

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

    def place(self, name: str, destination: str) -> None:
        """Rename an unfinished file to its final name, replacing nothing."""
        check_destination(destination, self._unfinished.path)
        shown = self._unfinished.show(name)
        try:
            if self._try_place(name, destination):
                return
            self._folders.forget()  # a kept folder was removed meanwhile, or the unfinished file is gone
            if self._try_place(name, destination):
                return
        except OSError as error:
            raise self._refusal(error, destination) from error
        raise MachineError(
            f"unfinished file {shown!r} is gone, somebody else removed it; run again to fetch it again",
            location=destination,
        )

    def _try_place(self, name: str, destination: str) -> bool:
        parent, _, final_name = destination.rpartition("/")
        with (
            self._folders.borrow(self._unfinished.path, create=True) as old,
            self._folders.borrow(parent, create=True) as new,
        ):
            try:
                self._system.rename_exclusive(name, old, final_name, new)
            except FileNotFoundError:
                return False
        self._folders.touch(parent)
        self._folders.touch(self._unfinished.path)
        return True

    def place_many(self, pairs: Sequence[tuple[str, str]]) -> list[EmasyncError | None]:
        """Rename many; a folder is checked and opened once for a run of files in it."""
        try:
            with self._folders.borrow(self._unfinished.path, create=True) as old, _Run(self._folders) as run:
                return [self._place_next(name, destination, old, run) for name, destination in pairs]
        finally:
            self._folders.touch(self._unfinished.path)

    def _place_next(self, name: str, destination: str, old: int, run: _Run) -> EmasyncError | None:
        parent, _, final_name = destination.rpartition("/")
        try:
            if (
                parent != run.path
                or is_ordinary(final_name) is None
                or is_ordinary(name) is None
                or len(destination) > _SURELY_SHORT
            ):
                check_destination(destination, self._unfinished.path)
                self._unfinished.show(name)
                run.enter(parent)
            self._system.rename_exclusive(name, old, final_name, run.fd)
        except DestinationError as error:
            return error
        except FileNotFoundError:
            run.leave()
            return self._place_again(name, destination)
        except OSError as error:
            refusal = self._refusal(error, destination)
            if isinstance(refusal, MachineError):
                raise refusal from error
            return refusal
        return None

    def _place_again(self, name: str, destination: str) -> EmasyncError | None:
        """With folders opened anew: one that was kept is gone, or the unfinished file is."""
        try:
            self.place(name, destination)
        except DestinationError as error:
            return error
        return None

    def _refusal(self, error: OSError, destination: str) -> EmasyncError:
        shown = self._folders.show(destination)
        if error.errno in _TAKEN and self._is_folder(destination):
            return DestinationError(
                f"{shown!r} is a folder where a file is to be placed; move it away or choose another path",
                kind=ErrorKind.NAME_CLASH,
                location=destination,
            )
        if error.errno in _TAKEN:
            return DestinationError(
                f"{shown!r} is there already and is not ours; adopt it, move it away or choose another root",
                kind=ErrorKind.DESTINATION_EXISTS,
                location=destination,
            )
        if error.errno == errno.EINVAL:  # FAT and its kin, for characters they do not allow
            return DestinationError(f"this filesystem cannot hold the name {shown!r}", location=destination)
        return translate(error, "place", shown)

    def _is_folder(self, destination: str) -> bool:
        parent, _, name = destination.rpartition("/")
        try:
            with self._folders.borrow(parent) as folder:
                return stat.S_ISDIR(self._system.stat(name, folder).st_mode)
        except OSError:
            return False


@final
class _Run:
    """The folder that a run of files is placed in, open as long as they go on."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._folder: Folder | None = None
        self.path: str | None = None
        self.fd = -1

    def enter(self, path: str) -> None:
        """Go over to the folder `path`, made when it is missing."""
        if path == self.path:
            return
        self.leave()
        self._folder = self._folders.borrow(path, create=True)
        self.path, self.fd = path, self._folder.fd

    def leave(self) -> None:
        """Mark the folder as changed and give it back."""
        if self._folder is not None:
            self._folders.touch(self._folder.path)
            self._folders.give_back(self._folder)
        self._folder, self.path, self.fd = None, None, -1

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
