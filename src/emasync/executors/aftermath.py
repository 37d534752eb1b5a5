"""What a worker that died left behind, put in order while the others go on."""

from __future__ import annotations

import os
from pathlib import Path

from emasync.disk.faults import sync_failed
from emasync.disk.interface import Sink
from emasync.disk.syncing import SyncWay, ways_for
from emasync.disk.system import System
from emasync.engine.interface import Threads
from emasync.engine.recovery import settle_sealed
from emasync.executors.leases import Name
from emasync.executors.owner import Books


class RootSync:
    """Makes durable what other processes wrote below a root, and in folders outside that it is laid into.

    Opened before they begin: syncfs tells a descriptor of the errors since it was opened (syncfs(2)).

    Parameters
    ----------
    *roots : Path
        All of them.
    system : System, optional
        Kernel calls.
    """

    def __init__(self, *roots: Path, system: System | None = None) -> None:
        self._system = system if system is not None else System()
        self._open: list[tuple[str, int, tuple[SyncWay, ...]]] = []
        for root in map(str, roots):
            ways = ways_for(self._system.filesystem_type(root), self._system.kernel())
            self._open.append((root, os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), ways))

    def sync(self) -> bool:
        """In a thread: make everything on the filesystems of all of them durable.

        Returns
        -------
        bool
            False where that cannot be trusted (network, FUSE, overlayfs): the epochs of the worker stay open then,
            and after a power cut what is newer is checked.

        Raises
        ------
        MachineError
            ``sync_failed``.
        """
        return all(self._sync(*opened) for opened in self._open)

    def _sync(self, root: str, descriptor: int, ways: tuple[SyncWay, ...]) -> bool:
        if SyncWay.NOTHING in ways:
            return True
        if SyncWay.WHOLE not in ways:
            return False
        try:
            self._system.syncfs(descriptor)
        except OSError as error:
            raise sync_failed(error, root) from error
        return True

    def close(self) -> None:
        """Give the descriptors back."""
        for _, descriptor, _ in self._open:
            os.close(descriptor)


async def settle(worker: int, books: Books, sink: Sink, threads: Threads, root: RootSync) -> None:
    """Finish what a dead worker sealed, make durable what it placed, and free what it held.

    Its process must be gone: nobody else writes to its unfinished files.

    Raises
    ------
    MachineError
        Disk or ledger cannot go on.
    """
    names: frozenset[Name] = books.leases.names(worker)
    async with books.room:
        await settle_sealed(books.ledger, sink, threads, only=names)
    if await threads.submit(root.sync):
        await books.ledger.call("set_durable_epoch", books.epochs.leave(worker))
    await books.ledger.call("release", books.leases.leave(worker))
