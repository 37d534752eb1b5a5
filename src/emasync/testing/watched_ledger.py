"""A ledger whose files are copied after every change: what a power cut may leave of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from emasync.ledger.interface import Invalidated
from emasync.ledger.opening import FILE_NAME
from emasync.ledger.thread import LedgerThread

READS: Final = frozenset({
    "open_sets",
    "lease",
    "partial",
    "generation",
    "last_epoch",
    "durable_epoch",
    "tallies",
    "leftovers",
    "unfinished",
})  # fmt: skip
"""Calls that change nothing."""


@dataclass(frozen=True, slots=True)
class LedgerCopy:
    """The ledger's files after one transaction.

    Attributes
    ----------
    folder : Path
    operations : int
        What the disk had done by then.
    synced : bool
        Whether the transaction was committed with a sync.
    """

    folder: Path
    operations: int
    synced: bool


class WatchedLedger:
    """A :class:`~emasync.ledger.interface.LedgerCalls` that copies the ledger's files whenever they may have changed.

    Parameters
    ----------
    inner : LedgerThread
    state : Path
        Folder of the ledger.
    target : Path
        Where the copies go.
    operations : callable
        How much the disk has done.
    """

    def __init__(self, inner: LedgerThread, state: Path, target: Path, operations: Callable[[], int]) -> None:
        self._inner = inner
        self._state = state
        self._target = target
        self._operations = operations
        self.copies: list[LedgerCopy] = []

    def __repr__(self) -> str:
        return f"<WatchedLedger {len(self.copies)} copies>"

    async def call(self, method: Any, /, *args: Any, **options: Any) -> Any:
        """As the ledger's (Any: its signature)."""
        result = await self._inner.call(method, *args, **options)
        if method not in READS and not callable(method):
            synced = method in ("set_durable_epoch", "seal_rows") or (
                method == "record"
                and (bool(options.get("durable")) or any(isinstance(fact, Invalidated) for fact in args[0]))
            )
            await self.copy(synced=synced)
        return result

    async def copy(self, *, synced: bool) -> None:
        """Copy as it is now."""
        await self._inner.call(lambda _: self._copy(synced=synced))

    def _copy(self, *, synced: bool) -> None:
        folder = self._target / str(len(self.copies))
        folder.mkdir(parents=True)
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            if (self._state / name).exists():
                shutil.copy(self._state / name, folder / name)
        self.copies.append(LedgerCopy(folder, self._operations(), synced))

    def after_a_cut(self, operations: int, random: Random) -> LedgerCopy:
        """What may be left when the power goes after so many operations of the disk.

        That is any prefix of the ledger's history that is not shorter than its last synced transaction.
        """
        before = [copy for copy in self.copies if copy.operations <= operations]
        least = max(index for index, copy in enumerate(before) if copy.synced)
        return before[random.randint(least, len(before) - 1)]
