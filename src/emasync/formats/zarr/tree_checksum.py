"""The checksum that DANDI gives a Zarr: a digest over the MD5 of every file, folder by folder. Pure.

Rules are those of ``zarr_checksum`` (``checksum.py``, ``tree.py``): a folder's digest is the MD5 of the text
``{"directories":[...],"files":[...]}``, compact and in ASCII, whose rows are sorted by name and hold digest, name and
size; behind it stand the number and the bytes of all files below, ``<md5>-<files>--<bytes>``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_HELD = 50_000
"""Files of one folder that are kept until its subfolders are known. A folder of more files has none, as a rule: then
nothing needs to be kept."""

_NO_FOLDERS = '{"directories":[],"files":['


class HashedFile(NamedTuple):
    """One file.

    Attributes
    ----------
    key : str
        Path below the root of the Zarr.
    md5 : str
        Lower-case hexadecimal.
    size_bytes : int
    """

    key: str
    md5: str
    size_bytes: int


class NotComparableError(Exception):
    """Files came in an order from which no checksum can be made within bounded memory."""


@dataclass(slots=True)
class _Folder:
    """A folder whose files still come."""

    folders: dict[str, str] = field(default_factory=dict)
    rows: list[str] | None = field(default_factory=list)
    size_bytes: int = 0
    last: str = ""
    count: int = 0
    flat: hashlib._Hash = field(default_factory=lambda: hashlib.md5(_NO_FOLDERS.encode(), usedforsecurity=False))

    def add(self, name: str, md5: str, size_bytes: int) -> None:
        if name <= self.last:
            raise NotComparableError(f"{name!r} came behind {self.last!r}")
        row = _row(md5, name, size_bytes)
        self.flat.update(f",{row}".encode() if self.last else row.encode())
        self.last = name
        self.count, self.size_bytes = self.count + 1, self.size_bytes + size_bytes
        if self.rows is not None:
            self.rows.append(row)
            if len(self.rows) > MOST_HELD:
                self.rows = None

    def digest(self) -> str:
        if not self.folders:
            state = self.flat.copy()
            state.update(b"]}")
            md5 = state.hexdigest()
        elif self.rows is None:
            raise NotComparableError(f"a folder of more than {MOST_HELD:,} files has folders, too")
        else:
            rows = ",".join(row for _, row in sorted(self.folders.items()))
            text = f'{{"directories":[{rows}],"files":[{",".join(self.rows)}]}}'
            md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return f"{md5}-{self.count}--{self.size_bytes}"


def _row(digest: str, name: str, size_bytes: int) -> str:
    return f'{{"digest":"{digest}","name":{json.dumps(name)},"size":{size_bytes}}}'


class TreeChecksum:
    """Takes the files of a tree in passes, and gives its checksum.

    A pass goes over one folder in key order. A folder may have passes of its own first, and be passed over later; what
    was seen must not come again. Memory goes with the depth of the tree and the width of its folders of folders.
    """

    def __init__(self) -> None:
        self._folders: dict[str, _Folder] = {"": _Folder()}
        self._path: list[str] = [""]

    def __repr__(self) -> str:
        return f"<TreeChecksum {len(self._folders)} folders open>"

    def begin(self, folder: str) -> None:
        """A pass over `folder` (without slash at its end) begins or goes on; one of another folder is at its end."""
        if folder == self._path[0]:
            return
        self._close_behind(self._path[0])
        if self._path[0]:
            self._close(self._path[0])
        self._path = [folder]

    def add(self, files: Iterable[HashedFile]) -> None:
        """Take files of this pass.

        Raises
        ------
        NotComparableError
        """
        for key, md5, size_bytes in files:
            parent, _, name = key.rpartition("/")
            if parent != self._path[-1]:
                self._go_to(parent)
            self._open(parent).add(name, md5, size_bytes)

    def _go_to(self, folder: str) -> None:
        while self._path[-1] != folder and not _below(folder, self._path[-1]) and len(self._path) > 1:
            self._close(self._path.pop())
        at = self._path[-1]
        for name in filter(None, folder[len(at) :].split("/")):
            at = f"{at}/{name}" if at else name
            self._path.append(at)

    def _open(self, folder: str) -> _Folder:
        found = self._folders.get(folder)
        if found is None:
            parent, _, name = folder.rpartition("/")
            if name in self._open(parent).folders:
                raise NotComparableError(f"{folder!r} was taken for complete")
            found = self._folders[folder] = _Folder()
        return found

    def _close_behind(self, folder: str) -> None:
        while len(self._path) > 1 and self._path[-1] != folder:
            self._close(self._path.pop())

    def _close(self, path: str) -> None:
        """A folder is complete, and so is what earlier passes left open in it."""
        for inner in [inner for inner in self._folders if inner.startswith(f"{path}/")]:
            self._close(inner)
        folder = self._folders.pop(path, None)
        if folder is None:
            return  # nothing came of it, or it was inside of one that was closed
        parent, _, name = path.rpartition("/")
        above = self._open(parent)
        above.folders[name] = _row(folder.digest(), name, folder.size_bytes)
        above.count, above.size_bytes = above.count + folder.count, above.size_bytes + folder.size_bytes

    def result(self) -> str:
        """The checksum of all that came.

        Raises
        ------
        NotComparableError
        """
        for path in [path for path in self._folders if path]:
            self._close(path)
        return self._folders[""].digest()


def _below(path: str, folder: str) -> bool:
    return not folder or path.startswith(folder + "/")
