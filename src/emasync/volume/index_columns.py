"""Columns of an index: flat ``.npy`` files, which are mapped into memory and not read, and grow while they are written.

Any reader of numpy opens them (``numpy.load``); format 1.0 of numpy's NEP 1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from emasync.errors import EmasyncError, ErrorKind, SourceError

RECORD: Final = np.dtype([("file", "<i4"), ("size", "<u4"), ("start", "<u8")])
"""Place of one chunk, 16 bytes; `file` below zero: :data:`~emasync.volume.interface.ABSENT` and its neighbours."""

FILE: Final = np.dtype(
    [("size", "<i8"), ("mtime_ns", "<i8"), ("head_crc32c", "<u4"), ("crc32c", "<u4"), ("has_crc32c", "<u4")]
)
"""What an indexed file was when it was indexed; the CRC-32C of all of it only where the ledger knows that."""

ROW: Final = np.dtype([("start", "<u8"), ("size", "<u4")])
"""Place of one line of the table of arrays."""

COLUMNS: Final[Mapping[str, np.dtype[Any]]] = {
    "records": RECORD,
    "keys": np.dtype("<u8"),
    "skipped": np.dtype("<u4"),
    "crc32c": np.dtype("<u4"),
    "stats": np.dtype([(name, "<f8") for name in ("min", "max", "mean", "zeros")]),
    "blocks": np.dtype("<u8"),
    "bits": np.dtype("|u1"),
    "path_text": np.dtype("|u1"),
    "path_ends": np.dtype("<u8"),
    "files": FILE,
    "rows": ROW,
}
"""Every column there is; those without a row have no file."""

_PAIRS: Final = "records as pairs"

Column = npt.NDArray[Any]
"""Any: of the column's own type, see :data:`COLUMNS`."""


class Columns:
    """Columns of one generation of an index, mapped when they are first asked for.

    Pickles as its folder; forked processes share the mapped pages.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Column] = {}

    def __repr__(self) -> str:
        return f"<Columns {self.folder}: {', '.join(self._known) or 'none'} mapped>"

    def __reduce__(self) -> tuple[type[Columns], tuple[Path]]:
        return Columns, (self.folder,)

    def get(self, name: str) -> Column:
        """One column of :data:`COLUMNS`; empty where it has no file.

        Raises
        ------
        SourceError
            ``stale_index``: the file is no such column, or its generation is gone.
        """
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._mapped(name)
        return found

    def pairs(self) -> npt.NDArray[np.int64]:
        """``records`` as two integers each, which are looked up three times as fast: size and file, then start."""
        found = self._known.get(_PAIRS)
        if found is None:
            found = self._known[_PAIRS] = self.get("records").view("<i8").reshape(-1, 2)
        return found

    def _mapped(self, name: str) -> Column:
        dtype, path = COLUMNS[name], self.folder / f"{name}.npy"
        try:
            # a plain array over the mapping: looking things up in numpy's own subclass takes twice as long
            found = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except FileNotFoundError:
            if self.folder.is_dir():
                return np.empty(0, dtype)
            raise stale(f"{self.folder}: this generation of the index is gone") from None
        except (OSError, ValueError) as error:
            raise stale(f"{path}: cannot be mapped ({error})") from error
        if found.dtype != dtype or found.ndim != 1:
            raise stale(f"{path}: holds {found.dtype} of {found.ndim} axes, {dtype} of one was expected")
        return found


def stale(what: str) -> EmasyncError:
    """The error of an index that cannot be used as it is, and how to mend it."""
    return SourceError(f"{what}; run `emasync index` for this dataset again", kind=ErrorKind.STALE_INDEX)


class ColumnWriter:
    """Writes one column from its beginning to its end, piece by piece.

    Parameters
    ----------
    path : Path
        Must not be there.
    dtype : dtype
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._file: IO[bytes] = path.open("xb")
        self._dtype = dtype
        self.rows = 0
        self._write_header()

    def _write_header(self) -> None:
        """Numpy leaves room in a header for rows to come (``numpy.lib.format``, growth axis)."""
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self.rows,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, values: npt.ArrayLike) -> int:
        """Write rows behind the last; gives the number of the first of them."""
        first, rows = self.rows, np.ascontiguousarray(values, self._dtype).reshape(-1)
        self._file.write(rows.tobytes())
        self.rows += rows.size
        return first

    def room(self, rows: int) -> Column:
        """Make room for rows that are filled in any order, and map it; they are behind those that were written.

        The mapping holds no memory of this process for good, however many rows there are.

        Raises
        ------
        OSError
            Disk full: found out here, for writing to a mapping of what is not there kills the process.
        """
        self._file.flush()
        start, size_bytes = self._file.tell(), rows * self._dtype.itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), start, size_bytes)
        else:  # macOS
            self._file.truncate(start + size_bytes)
        self._file.seek(0, os.SEEK_END)
        self.rows += rows
        return np.memmap(self._file.name, self._dtype, "r+", offset=start, shape=(rows,))

    def close(self) -> None:
        """Say in the header how many rows there are, and make all durable."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Give the descriptor back, whatever became of the file."""
        self._file.close()
