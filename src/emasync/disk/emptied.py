"""Folders that became empty: removed from the inside outwards, one that holds anything stays."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, final

from emasync.disk.faults import translate
from emasync.disk.folders import Folders
from emasync.disk.system import System
from emasync.errors import DestinationError

_STAYS: Final = frozenset((errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY, errno.EINVAL))
"""Something lies in it, it is a link or a file, something is mounted on it."""


@final
class EmptyFolders:
    """Takes away folders below one root in which nothing lies any more. No link is followed; the root itself stays.

    Parameters
    ----------
    root : Path
        Must exist.
    system : System, optional
        Kernel calls.
    outlying : mapping of str to str, optional
        Folders outside the root by their place in it; they stay, what is in them goes as anywhere else.
    """

    def __init__(self, root: Path, system: System | None = None, *, outlying: Mapping[str, str] | None = None) -> None:
        self._system = system if system is not None else System()
        self._outlying = {
            f"{place}/": EmptyFolders(Path(path), self._system) for place, path in (outlying or {}).items()
        }
        self._folders = Folders(str(root.resolve(strict=True)), self._system)

    def __repr__(self) -> str:
        return f"<EmptyFolders {self._folders.show('')!r}>"

    def remove(self, paths: Iterable[str]) -> int:
        """Remove folders, and those they lie in, as far as they are empty; durable when this returns.

        Parameters
        ----------
        paths : iterable of str
            Relative to the root.

        Returns
        -------
        int
            Folders removed.

        Raises
        ------
        MachineError
            No permission, I/O error.
        """
        left, removed = set(paths), 0
        for lead, folders in self._outlying.items():
            inside = {path for path in left if path.startswith(lead)}
            left -= inside
            removed += folders.remove(path.removeprefix(lead) for path in inside)
        for path in sorted(left, key=lambda path: -path.count("/")):
            folder = path
            while folder and self._is_gone(folder):
                removed += 1
                folder = folder.rpartition("/")[0]
        self._folders.forget()
        self._folders.sync()
        return removed

    def _is_gone(self, path: str) -> bool:
        """Whether a folder was removed now."""
        parent, _, name = path.rpartition("/")
        try:
            with self._folders.borrow(parent) as fd:
                self._system.rmdir(name, fd)
        except (FileNotFoundError, DestinationError):
            return False
        except OSError as error:
            if error.errno in _STAYS:
                return False
            raise translate(error, "remove folder", self._folders.show(path)) from error
        self._folders.touch(parent)
        return True

    def close(self) -> None:
        """Give all descriptors back."""
        for folders in self._outlying.values():
            folders.close()
        self._folders.close()
