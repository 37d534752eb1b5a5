"""Files that an index speaks of: their paths, and what they were when they were indexed."""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from crc32c import crc32c

from emasync.errors import SourceError
from emasync.volume.index_columns import FILE, Columns, ColumnWriter, stale

HEAD_BYTES: Final = 16 << 10
"""Of a file, compared where its time differs: copies of a root have new times and the same bytes."""


@dataclass(frozen=True, slots=True)
class FileTable:
    """Files by number.

    Attributes
    ----------
    columns : Columns
    """

    columns: Columns

    def __len__(self) -> int:
        return len(self.columns.get("path_ends"))

    def path(self, file: int) -> str:
        """Path relative to the root, with slashes."""
        ends = self.columns.get("path_ends")
        start = int(ends[file - 1]) if file else 0
        return self.columns.get("path_text")[start : int(ends[file])].tobytes().decode("utf-8", "surrogateescape")

    def require_unchanged(self, root: Path, file: int, *, same_time: bool = False) -> None:
        """Check that a file is what it was when it was indexed: size and time of change, or else size and first bytes.

        Parameters
        ----------
        root : Path
        file : int
        same_time : bool
            Whether the time alone must be the same: first bytes may be those of a file that was written again.

        Raises
        ------
        SourceError
            ``stale_index``.
        """
        known, path = self.columns.get("files")[file], root / self.path(file)
        try:
            found = path.lstat()
            same = found.st_size == known["size"] and found.st_mtime_ns == known["mtime_ns"]
            if not same and not same_time and found.st_size == known["size"]:
                same = head_crc32c(path) == known["head_crc32c"]
        except OSError as error:
            raise stale(f"{path}: was indexed, and cannot be looked at now ({error.strerror})") from error
        if not same:
            raise stale(
                f"{path}: changed since it was indexed, from {known['size']} to {found.st_size} bytes or in them"
            )


def head_crc32c(path: Path) -> int:
    """CRC-32C of the first :data:`HEAD_BYTES` of a file.

    Raises
    ------
    OSError
        It cannot be read, or is a link.
    """
    with open(path, "rb", buffering=0, opener=_no_link) as file:
        return crc32c(file.read(HEAD_BYTES))


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


class PathColumns:
    """Collects files: numbers, and text that follows itself; no object a file is kept but its path.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers: dict[str, int] = {}
        self._facts = array("q")
        self._heads = array("Q")
        self._crcs: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, path: str) -> int:
        """Number of the file at `path`, relative to the root; looks at it when it is new.

        Raises
        ------
        SourceError
            It cannot be read.
        """
        known = self._numbers.get(path)
        if known is None:
            place = self._root / path
            try:
                found, head = place.lstat(), head_crc32c(place)
            except OSError as error:
                raise SourceError(f"{place}: cannot be read ({error.strerror})", location=path) from error
            self._heads.append(head)
            self._facts.extend((found.st_size, found.st_mtime_ns))
            known = self._numbers[path] = len(self._numbers)
        return known

    def know_crc32c(self, path: str, value: int) -> None:
        """Say what the CRC-32C of a file is; one that was not added is passed over."""
        file = self._numbers.get(path)
        if file is not None:
            self._crcs[file] = value

    def write(self, text: ColumnWriter, ends: ColumnWriter, files: ColumnWriter) -> None:
        """Write all of it."""
        paths = [path.encode("utf-8", "surrogateescape") for path in self._numbers]
        text.append(np.frombuffer(b"".join(paths), np.uint8))
        ends.append(np.cumsum([len(path) for path in paths], dtype=np.uint64))
        files.append(self._rows())

    def _rows(self) -> npt.NDArray[np.void]:
        rows = np.zeros(len(self._numbers), FILE)
        facts = np.frombuffer(self._facts, np.int64).reshape(-1, 2)
        rows["size"], rows["mtime_ns"] = facts[:, 0], facts[:, 1]
        rows["head_crc32c"] = np.frombuffer(self._heads, np.uint64)
        numbers = list(self._crcs)
        rows["crc32c"][numbers], rows["has_crc32c"][numbers] = list(self._crcs.values()), 1
        return rows
