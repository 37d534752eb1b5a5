"""The SQLite connection: settings, transactions, and SQLite's errors in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.schema import prepare

_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = NORMAL",  # a power cut may lose the last commits, never order; negative facts use FULL
    "cache_size = -16384",  # 16 MiB, whatever the size of the ledger
    "mmap_size = 0",  # a truncated file under a mapping kills the process
    "wal_autocheckpoint = 2000",  # pages: the WAL stays near 8 MiB
    "journal_size_limit = 67108864",  # a large transaction's WAL is cut back afterwards
    "busy_timeout = 0",  # one writer: waiting would hide a second one
    "foreign_keys = OFF",
    "temp_store = MEMORY",
    "trusted_schema = OFF",  # the file may have been copied from somewhere else
)

_HEADER_BYTES: Final = 100
"""Database file format, section 1.3, https://www.sqlite.org/fileformat2.html."""

_REMEDY: Final = "`emasync run` makes a new one from what is on disk; or move {folder} aside and run again with --adopt"

MARK: Final = "damaged"
"""File beside a ledger that was found damaged while it was in use: opening it might not notice."""


def translated(error: sqlite3.Error, path: Path) -> MachineError:
    """Say in our words what SQLite said about the ledger at `path`."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return MachineError(
            f"{path}: no space left for the ledger ({error}); free some space and run again",
            kind=ErrorKind.DISK_FULL,
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return MachineError(
            f"{path}: another process has the ledger open ({error}); wait for it or stop it", kind=ErrorKind.ROOT_LOCKED
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return MachineError(
            f"{path}: the ledger cannot be written ({error}); check the folder's permissions",
            kind=ErrorKind.NO_PERMISSION,
        )
    if code == sqlite3.SQLITE_IOERR:
        return MachineError(f"{path}: the disk failed under the ledger ({error}); check the disk", kind=ErrorKind.DISK)
    return damaged(path, str(error))


class DamagedLedgerError(MachineError):
    """A ledger that cannot be read any more."""

    default_kind = ErrorKind.LEDGER


def damaged(path: Path, what: str) -> DamagedLedgerError:
    """The ledger at `path` cannot be read any more."""
    return DamagedLedgerError(f"{path}: {what}; {_REMEDY.format(folder=path.parent)}")


class Transaction:
    """An open transaction.

    Attributes
    ----------
    durable : bool
        Whether it must be on disk when it is over; may be set until then.
    """

    __slots__ = ("durable",)

    def __init__(self, *, durable: bool) -> None:
        self.durable = durable


class Database:
    """One connection to one ledger file, used by the thread that opened it.

    Parameters
    ----------
    path : Path
        The SQLite file; made when it is not there.

    Attributes
    ----------
    connection : sqlite3.Connection
    path : Path
    new : bool
        Whether the tables were made just now.

    Raises
    ------
    MachineError
        Kinds ``ledger`` (damaged, another program's, newer), ``no_permission``, ``disk_full``, ``root_locked``.
    """

    __slots__ = ("_open", "connection", "new", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = False
        if path.with_name(MARK).exists():
            raise damaged(path, "was found damaged by an earlier run")
        try:
            self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        except sqlite3.Error as error:
            raise translated(error, path) from error
        try:
            self.new = self._prepare()
        except BaseException:
            self.connection.close()
            raise
        self._open = True

    def _prepare(self) -> bool:
        with self.errors():
            self._check_size()
            for pragma in _PRAGMAS:
                self.connection.execute(f"PRAGMA {pragma}")
            return prepare(self.connection, self.path)

    def _check_size(self) -> None:
        """Notice a cut-off file before its missing pages are needed; only a checkpointed one has a known size."""
        wal = self.path.with_name(self.path.name + "-wal")
        if wal.exists() and wal.stat().st_size:
            return
        with self.path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            if header:
                raise damaged(self.path, f"is {len(header)} bytes long, shorter than an SQLite header")
            return
        page_bytes = int.from_bytes(header[16:18], "big")
        expected = int.from_bytes(header[28:32], "big") * (65536 if page_bytes == 1 else page_bytes)
        size = self.path.stat().st_size
        if size < expected:
            raise damaged(self.path, f"is {size} bytes long, expected {expected}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate SQLite's errors at this one seam."""
        try:
            yield
        except sqlite3.Error as error:
            meaning = translated(error, self.path)
            if self._open and isinstance(meaning, DamagedLedgerError):
                with suppress(OSError):
                    self.path.with_name(MARK).touch()
            raise meaning from error

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Transaction]:
        """Write in one transaction: all of it or nothing.

        ``PRAGMA synchronous`` cannot change inside a transaction: it is set around one that is known to need it;
        one that finds out later is made durable by an empty commit behind it, which syncs the whole WAL.

        Parameters
        ----------
        durable : bool
            Commit with synchronous=FULL.
        """
        current = Transaction(durable=durable)
        with self.errors():
            if durable:
                self.connection.execute("PRAGMA synchronous = FULL")
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    yield current
                    self.connection.execute("COMMIT")
                except BaseException:
                    if self.connection.in_transaction:  # SQLite itself rolls back on a full disk
                        self.connection.execute("ROLLBACK")
                    raise
            finally:
                if durable:
                    self.connection.execute("PRAGMA synchronous = NORMAL")
        if current.durable and not durable:
            self.sync()

    def sync(self) -> None:
        """Make all earlier commits durable."""
        with self.transaction(durable=True):
            self.set_meta("synced", self.meta("synced", 0) + 1)

    def meta(self, name: str, default: int) -> int:
        """One of the ledger's own numbers."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return default if row is None else int(row[0])

    def meta_text(self, name: str) -> str | None:
        """One of the ledger's own texts."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: int | str) -> None:
        """Keep a number or text; inside a transaction."""
        self.connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Checkpoint what a reader allows and close."""
        with self.errors():
            self.connection.close()


_ROWS_A_STATEMENT: Final = 25
"""A statement for several rows saves a third of the time of one for each."""


def insert_many(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows of one length, several a statement.

    Parameters
    ----------
    connection : sqlite3.Connection
    table : str
        Name and columns, such as ``places (place, set_id, key)``.
    rows : sequence of tuple
    """
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        part = rows[start : start + _ROWS_A_STATEMENT]
        one = f"({', '.join('?' * len(part[0]))})"
        statement = f"INSERT INTO {table} VALUES {', '.join([one] * len(part))}"  # noqa: S608  # own names
        connection.execute(statement, tuple(chain.from_iterable(part)))
