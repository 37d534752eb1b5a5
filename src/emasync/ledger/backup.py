"""Copies of a ledger that lives outside its root, into the root: what another machine, or a new disk, starts from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.placement import BACKUP, ROOT_FOLDER, root_of_state
from emasync.ledger.snapshot import Pace
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import Clock

MIN_PERIOD_S: Final = 30.0
MAX_SHARE: Final = 0.05
"""Of the ledger thread's time: a ledger of 2 M objects takes some seconds to copy."""


class Backups:
    """Copies the ledger into its root at durable epochs, not too often.

    Runs in the thread that owns the ledger: ``await thread.call(backups.at_epoch)``.

    Parameters
    ----------
    state_dir : Path
        Where the ledger lives. Inside the root: nothing is ever copied.
    clock : Clock
    min_period_s : float
        Least seconds between two copies.
    max_share : float
        Most of the time that copying may take, as a fraction.
    """

    def __init__(
        self, state_dir: Path, clock: Clock, *, min_period_s: float = MIN_PERIOD_S, max_share: float = MAX_SHARE
    ) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._pace = Pace(min_period_s, max_share)

    def at_epoch(self, ledger: SqliteLedger) -> bool:
        """Copy the ledger if it lives elsewhere and a copy is due; gives whether it did.

        Raises
        ------
        MachineError
            The copy cannot be written (``disk_full``, ``disk``); the older one is still there.
        """
        if not self._pace.due(self._clock.monotonic_s()):
            return False
        return self.now(ledger)

    def now(self, ledger: SqliteLedger) -> bool:
        """Copy the ledger if it lives elsewhere, due or not (at the end of a run)."""
        root = root_of_state(self._state_dir)
        if root is None:
            return False
        started_s = self._clock.monotonic_s()
        copy_ledger(ledger, self._state_dir, root / ROOT_FOLDER / BACKUP)
        self._pace.ran(started_s, self._clock.monotonic_s())
        return True


def copy_ledger(ledger: SqliteLedger, state_dir: Path, target: Path) -> None:
    """Copy the ledger to `target`, replacing an older copy when the new one is whole and on disk.

    SQLite writes beside the ledger, on the local disk: it does not touch the network filesystem.

    Raises
    ------
    MachineError
        ``disk_full``, ``disk``, ``no_permission``.
    """
    local = state_dir / f".{BACKUP}"
    local.unlink(missing_ok=True)
    temporary = target.with_name(f".{target.name}")
    try:
        ledger.save_copy(local)
        with local.open("rb") as source, temporary.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise MachineError(
            f"{target}: cannot copy the ledger there ({error}); make room or check the folder", kind=ErrorKind.DISK
        ) from error
    finally:
        local.unlink(missing_ok=True)
