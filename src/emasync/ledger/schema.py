"""Tables of the ledger, their version, and the way from older versions to this one.

Shape (laws 1, 4 and 13 of the architecture):

``pages``, ``page_names``, ``page_facts``
    Members of listed sets to which nothing unusual happened, 256 neighbours a row (``pages.py``).
``objects``
    All other members of listed sets, clustered by (set, key): appending in key order stays an append at any size.
``places``
    Claimed destinations that do not follow from a row of ``objects`` (see ``rooms.py``), once over the whole ledger.
    ``key`` is NULL where it follows from the place. A gridded set claims its folder with one row that ends in a slash.
``blocks``, ``block_facts``, ``chunks``
    Gridded sets: 4,096 chunks a block; two-bit states apart from sizes and CRCs, so that looking for work reads
    1 KiB a block; what does not fit (failures, generations, huge chunks, extra digests) in ``chunks``.
``fresh``
    Facts that recovery must look at: sealed but not placed, or newer than the durable epoch.
``journal``
    Batches of sealed small objects that are not in ``objects`` or ``blocks`` yet: one row a batch (``journal.py``).
``pieces``
    CRCs of the parts that large files were fetched in.
``leftovers``
    Files of ours under final names that no row stands for any more; they may be removed.
``set_counts``, ``dataset_counts``
    Tallies, changed in the transaction of each fact.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from emasync.errors import ErrorKind, MachineError

SCHEMA_VERSION = 4
APPLICATION_ID = 0x454D_4153  # "EMAS": tells our file from any other SQLite file

COUNTS = (
    "pending",
    "sealed",
    "placed",
    "absent",
    "failed",
    "pending_bytes",
    "sealed_bytes",
    "placed_bytes",
    "absent_bytes",
    "failed_bytes",
    "published",
    "computed",
    "size_only",
    "unknown_size",
    "on_disk",
)
"""Columns of the count tables: objects by state, bytes by state, placed by check, and files on disk, named or not."""

_COUNT_COLUMNS = ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COUNTS)

TABLES = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE datasets (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, generation INTEGER NOT NULL,
    complete INTEGER NOT NULL DEFAULT 0, failure TEXT, failure_message TEXT, failure_location TEXT
);
CREATE TABLE dataset_counts (id INTEGER PRIMARY KEY, {_COUNT_COLUMNS});
CREATE TABLE sets (
    id INTEGER PRIMARY KEY, dataset_id INTEGER NOT NULL, identity TEXT NOT NULL UNIQUE, asset BLOB NOT NULL,
    rank INTEGER NOT NULL, base BLOB NOT NULL, destination BLOB NOT NULL, encoded INTEGER NOT NULL,
    absent_ok INTEGER NOT NULL, grid BLOB, plan INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0, cursor BLOB,
    slices TEXT
);
CREATE INDEX sets_dataset ON sets (dataset_id);
CREATE TABLE set_counts (id INTEGER PRIMARY KEY, {_COUNT_COLUMNS});
CREATE INDEX set_counts_pending ON set_counts (id) WHERE pending > 0;
CREATE TABLE objects (
    set_id INTEGER NOT NULL, key BLOB NOT NULL, plan INTEGER NOT NULL, state INTEGER NOT NULL, size INTEGER,
    stored INTEGER, crc INTEGER, verified INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, failure TEXT, path BLOB, hint BLOB,
    published BLOB, validator BLOB, computed BLOB,
    PRIMARY KEY (set_id, key)
) WITHOUT ROWID;
CREATE INDEX objects_failed ON objects (set_id, plan, key) WHERE state = 4;
CREATE TABLE pages (
    set_id INTEGER NOT NULL, first BLOB NOT NULL, last BLOB NOT NULL, plan INTEGER NOT NULL, pending INTEGER NOT NULL,
    PRIMARY KEY (set_id, first)
) WITHOUT ROWID;
CREATE TABLE page_names (
    set_id INTEGER NOT NULL, first BLOB NOT NULL, names BLOB NOT NULL, PRIMARY KEY (set_id, first)
) WITHOUT ROWID;
CREATE TABLE page_facts (
    set_id INTEGER NOT NULL, first BLOB NOT NULL, facts BLOB NOT NULL, PRIMARY KEY (set_id, first)
) WITHOUT ROWID;
CREATE TABLE places (place BLOB PRIMARY KEY, set_id INTEGER NOT NULL, key BLOB) WITHOUT ROWID;
CREATE TABLE partials (
    set_id INTEGER NOT NULL, key NOT NULL, generation INTEGER NOT NULL, size INTEGER NOT NULL, validator BLOB,
    PRIMARY KEY (set_id, key)
) WITHOUT ROWID;
CREATE TABLE parts (
    set_id INTEGER NOT NULL, key NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, crc INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (set_id, key, start)
) WITHOUT ROWID;
CREATE TABLE pieces (
    set_id INTEGER NOT NULL, key NOT NULL, facts BLOB NOT NULL, PRIMARY KEY (set_id, key)
) WITHOUT ROWID;
CREATE TABLE fresh (
    set_id INTEGER NOT NULL, key NOT NULL, epoch INTEGER NOT NULL, sealed INTEGER NOT NULL,
    PRIMARY KEY (set_id, key)
) WITHOUT ROWID;
CREATE TABLE journal (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, placed INTEGER NOT NULL, facts BLOB NOT NULL);
CREATE TABLE failures (
    set_id INTEGER NOT NULL, key NOT NULL, location BLOB, message BLOB NOT NULL,
    PRIMARY KEY (set_id, key)
) WITHOUT ROWID;
CREATE TABLE leftovers (destination BLOB PRIMARY KEY, size INTEGER, crc INTEGER) WITHOUT ROWID;
CREATE TABLE blocks (
    set_id INTEGER NOT NULL, block INTEGER NOT NULL, pending INTEGER NOT NULL, states BLOB,
    PRIMARY KEY (set_id, block)
) WITHOUT ROWID;
CREATE INDEX blocks_pending ON blocks (set_id, block) WHERE pending > 0;
CREATE TABLE block_facts (
    set_id INTEGER NOT NULL, block INTEGER NOT NULL, facts BLOB NOT NULL,
    PRIMARY KEY (set_id, block)
) WITHOUT ROWID;
CREATE TABLE chunks (
    set_id INTEGER NOT NULL, chunk INTEGER NOT NULL, generation INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, failure TEXT, stored INTEGER, computed BLOB,
    PRIMARY KEY (set_id, chunk)
) WITHOUT ROWID;
CREATE INDEX chunks_failed ON chunks (set_id, chunk) WHERE failure IS NOT NULL;
"""

Migration = Callable[[sqlite3.Connection], None]
"""Brings tables of one version to the next; runs inside the transaction that moves ``user_version``."""


def _to_2(connection: sqlite3.Connection) -> None:
    """Claims that follow from rows lose theirs, pending objects their index; journal and pages begin empty."""
    connection.execute("DROP INDEX objects_pending")
    casefold = connection.execute("SELECT value FROM meta WHERE name = 'casefold'").fetchone()
    if casefold is None or not casefold[0]:
        connection.execute("DELETE FROM places WHERE key IS NULL AND substr(place, -1) <> x'2f'")
    for table in ("journal", "pages", "page_names", "page_facts"):
        connection.execute(next(text for text in TABLES.split(";") if f"CREATE TABLE {table} (" in text))


def _to_3(connection: sqlite3.Connection) -> None:
    """Sets whose members are slices of objects say so."""
    connection.execute("ALTER TABLE sets ADD COLUMN slices TEXT")


def _to_4(connection: sqlite3.Connection) -> None:
    """CRCs of pieces are kept from now on."""
    connection.execute(next(text for text in TABLES.split(";") if "CREATE TABLE pieces (" in text))


MIGRATIONS: Mapping[int, Migration] = {1: _to_2, 2: _to_3, 3: _to_4}
"""Version that a migration starts from → migration. Never edit one that was released."""


def prepare(
    connection: sqlite3.Connection,
    path: Path,
    *,
    version: int = SCHEMA_VERSION,
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> bool:
    """Make the tables, or bring older ones forward, in one transaction each.

    Parameters
    ----------
    connection : sqlite3.Connection
        In autocommit mode.
    path : Path
        For messages.
    version : int
        The version this program writes.
    migrations : mapping of int to callable

    Returns
    -------
    bool
        Whether the ledger is new.

    Raises
    ------
    MachineError
        Kind ``ledger``: another program's file, or one a newer version of this program wrote.
    """
    found = _pragma(connection, "user_version")
    if found == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        _run(connection, _create, version)
        return True
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise MachineError(
            f"{path}: is an SQLite file of another program; move it away and run again with --adopt",
            kind=ErrorKind.LEDGER,
        )
    if found > version:
        raise MachineError(
            f"{path}: has schema version {found}, this program knows up to {version}; use the newer emasync",
            kind=ErrorKind.LEDGER,
        )
    for step in range(found, version):
        _run(connection, migrations[step], step + 1)
    return False


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    for statement in TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _run(connection: sqlite3.Connection, step: Migration, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        step(connection)
        connection.execute(f"PRAGMA user_version = {version}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
