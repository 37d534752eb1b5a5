"""A new ledger in place of one that was lost: what is on disk is known again by size and CRC-32C.

The tables of checksums that each run leaves in the root say which files are ours and what is in them. They are read
into a small database, as they may name millions; it goes when a run has come to its end without it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.database import MARK
from emasync.ledger.opening import FILE_NAME
from emasync.ledger.placement import ROOT_FOLDER
from emasync.model.checksum_table import FOLDER, HEADER, ChecksumRow, read_row

KNOWN: Final = "known-files.sqlite"
_ROWS: Final = 10_000
_ASKED: Final = 500
"""Names in one question: SQLite takes 999 in old versions."""


def set_aside(state_dir: Path, now_s: float) -> Path:
    """Rename a damaged ledger, so that nothing of it is lost; gives its new name.

    Parameters
    ----------
    state_dir : Path
    now_s : float
        Seconds since 1970-01-01 UTC; part of the name.

    Raises
    ------
    MachineError
        It cannot be renamed.
    """
    stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = state_dir / f"{FILE_NAME}.damaged-{stamp}"
    try:
        for suffix in ("", "-wal", "-shm"):
            old = state_dir / f"{FILE_NAME}{suffix}"
            if old.exists():
                old.rename(f"{aside}{suffix}")
        (state_dir / MARK).unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(
            f"{state_dir}: the damaged ledger cannot be set aside ({error}); check the folder's permissions",
            kind=ErrorKind.NO_PERMISSION,
        ) from error
    return aside


class KnownFiles:
    """Files that tables of checksums speak of. Any thread may ask; each question opens the file anew.

    Parameters
    ----------
    path : Path
        Of the database.

    Attributes
    ----------
    by_themselves : bool
        Files that agree are taken over without being asked to: the ledger was damaged, not taken away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as connection:
            self.by_themselves = bool(connection.execute("PRAGMA user_version").fetchone()[0])

    def __repr__(self) -> str:
        return f"<KnownFiles {self._path}>"

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)

    @classmethod
    def of(cls, root: Path) -> KnownFiles | None:
        """What is known of the files of a root; None where nobody asked for it, or it cannot be read."""
        path = root / ROOT_FOLDER / KNOWN
        try:
            return cls(path) if path.exists() else None
        except sqlite3.Error:
            return None

    @classmethod
    def gather(cls, root: Path, *, by_themselves: bool) -> int:
        """Read all tables of checksums of a root; gives how many files are known.

        What is known already stays: a run that could not take everything over has written smaller tables.

        Raises
        ------
        MachineError
            The disk does not take it.
        """
        target = root / ROOT_FOLDER / KNOWN
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if cls.of(root) is None:
                target.unlink(missing_ok=True)
            with closing(sqlite3.connect(target, isolation_level=None)) as connection:
                return _fill(connection, root, by_themselves=by_themselves)
        except (OSError, sqlite3.Error) as error:
            raise MachineError(
                f"{target}: cannot be written ({error}); make room or check the folder", kind=ErrorKind.DISK
            ) from error

    @staticmethod
    def forget(root: Path, complete: Collection[str]) -> None:
        """Drop what is known, once all datasets that have a table are complete in the ledger again.

        Others may come from other manifests, which were not run again yet.
        """
        if all(table.stem in complete for table in (root / FOLDER).glob("*.tsv")):
            (root / ROOT_FOLDER / KNOWN).unlink(missing_ok=True)

    def find(self, paths: Sequence[str]) -> dict[str, ChecksumRow]:
        """What is known of some files, by path relative to the root."""
        found: dict[str, ChecksumRow] = {}
        with closing(self._connect()) as connection:
            for start in range(0, len(paths), _ASKED):
                names = [path.encode("utf-8", "surrogatepass") for path in paths[start : start + _ASKED]]
                marks = ", ".join("?" * len(names))
                statement = f"SELECT path, size, crc, verified FROM files WHERE path IN ({marks})"  # noqa: S608 - marks
                for name, size_bytes, crc, verified in connection.execute(statement, names):
                    path = name.decode("utf-8", "surrogatepass")
                    found[path] = ChecksumRow(path, size_bytes, crc, verified)
        return found


def _fill(connection: sqlite3.Connection, root: Path, *, by_themselves: bool) -> int:
    connection.execute("PRAGMA synchronous = OFF")  # it can be made again
    connection.execute(
        "CREATE TABLE IF NOT EXISTS files "
        "(path BLOB PRIMARY KEY, size INTEGER, crc INTEGER, verified TEXT) WITHOUT ROWID"
    )
    connection.execute(f"PRAGMA user_version = {int(by_themselves)}")
    for table in sorted((root / FOLDER).glob("*.tsv")):
        rows = _rows(table)
        while page := list(islice(rows, _ROWS)):
            connection.execute("BEGIN")
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", page)
            connection.execute("COMMIT")
    return int(connection.execute("SELECT count(*) FROM files").fetchone()[0])


def _rows(table: Path) -> Iterator[tuple[bytes, int, int, str]]:
    with table.open(encoding="utf-8", errors="surrogatepass", newline="\n") as lines:
        for line in lines:
            row = None if line == HEADER else read_row(line)
            if row is not None:
                yield row.path.encode("utf-8", "surrogatepass"), row.size_bytes, row.crc32c, row.verified
