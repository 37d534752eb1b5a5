"""Opening the ledger's file, and finding out how its last owner left."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.database import Database
from emasync.ledger.machine import filesystem_id
from emasync.ledger.sittings import Sittings

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
    written_s = _last_written_s(state_dir)
    database = Database(state_dir / FILE_NAME)
    try:
        with database.transaction(durable=True):
            if not database.new and not database.meta("clean", 0):
                _end_last_sitting(database, written_s)
            clean = _enter(database, boot_id, filesystem_id(root), now_s, casefold=casefold)
    except BaseException:
        database.close()
        raise
    return database, clean


def _last_written_s(state_dir: Path) -> int:
    """When the ledger's files changed for the last time; 0 when there are none."""
    times = [path.stat().st_mtime for path in state_dir.glob(f"{FILE_NAME}*")]
    return int(max(times, default=0.0))


def _end_last_sitting(database: Database, written_s: int) -> None:
    """A run that was killed wrote to its ledger almost until then."""
    known = Sittings.parse(database.meta_text("sittings"))
    database.set_meta("sittings", known.with_one(database.meta("opened", 0), written_s).text)


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
