"""Opening the ledger's file, and finding out how its last owner left."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.database import Database
from emasync.ledger.machine import filesystem_id

FILE_NAME: Final = "state.sqlite"


def open_database(state_dir: Path, *, root: Path, now_s: float, boot_id: str, casefold: bool) -> tuple[Database, bool]:
    """Open the file, or make it; the second value says whether the last run ended cleanly here.

    Parameters
    ----------
    state_dir, root : Path
    now_s : float
        Seconds since 1970-01-01 UTC.
    boot_id : str
    casefold : bool
        Kept when the ledger is new.

    Raises
    ------
    MachineError
        As :meth:`emasync.ledger.store.SqliteLedger.open`.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{state_dir}: cannot make the ledger's folder ({error}); check its permissions",
            kind=ErrorKind.NO_PERMISSION,
        ) from error
    database = Database(state_dir / FILE_NAME)
    try:
        with database.transaction(durable=True):
            clean = _enter(database, boot_id, filesystem_id(root), now_s, casefold=casefold)
    except BaseException:
        database.close()
        raise
    return database, clean


def _enter(database: Database, boot: str, filesystem: str, now_s: float, *, casefold: bool) -> bool:
    """Whether the last run ended cleanly here; from now on it has not."""
    same_place = database.meta_text("boot_id") == boot and database.meta_text("filesystem_id") == filesystem
    clean = database.new or (bool(database.meta("clean", 0)) and same_place)
    if database.meta_text("casefold") is None:
        database.set_meta("casefold", int(casefold))
    database.set_meta("boot_id", boot)
    database.set_meta("filesystem_id", filesystem)
    database.set_meta("opened", int(now_s))
    database.set_meta("clean", 0)
    return clean
