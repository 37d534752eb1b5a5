"""One order of epochs over several committers. Pure.

Every worker's committer counts epochs of its own. The ledger wants one count, of which a prefix is durable: after a
power cut everything newer than ``durable_epoch`` is checked, everything older is trusted. So the owner gives each
(worker, epoch) a number when it first hears of it, from one counter, and remembers it until that worker says that the
epoch is durable. Then

    durable_epoch = the smallest number that is still open, minus one; the last number given, when none is open.

A fact that comes later gets a number above all given so far, so it is above any durable epoch that was written before
it: no fact is ever born durable, however far apart the workers' own counts are. An idle worker holds nothing open and
keeps nobody back. A worker that died leaves its numbers open, until the owner has made durable what it wrote.
"""

from __future__ import annotations


class EpochBook:
    """Numbers of the epochs of all workers.

    Parameters
    ----------
    last_epoch : int
        Newest epoch that the ledger speaks of.
    """

    def __init__(self, last_epoch: int) -> None:
        self._last = last_epoch
        self._open: dict[int, dict[int, int]] = {}

    def __repr__(self) -> str:
        return f"<EpochBook given {self._last}, durable {self.durable_epoch}, open {self._open}>"

    @property
    def durable_epoch(self) -> int:
        """All facts up to this epoch are on disk for good, as far as the workers said."""
        return min((number for epochs in self._open.values() for number in epochs.values()), default=self._last + 1) - 1

    def number(self, worker: int, epoch: int) -> int:
        """The ledger's number of a worker's epoch; open from now on. 0, of what is durable anyway, stays 0."""
        if epoch <= 0:
            return 0
        epochs = self._open.setdefault(worker, {})
        found = epochs.get(epoch)
        if found is None:
            self._last += 1
            found = epochs[epoch] = self._last
        return found

    def settle(self, worker: int, epoch: int) -> int:
        """A worker's epochs up to `epoch` are durable; gives the durable epoch of all."""
        epochs = self._open.get(worker, {})
        for known in [known for known in epochs if known <= epoch]:
            del epochs[known]
        return self.durable_epoch

    def leave(self, worker: int) -> int:
        """A worker is gone and everything it wrote is durable; gives the durable epoch of all."""
        self._open.pop(worker, None)
        return self.durable_epoch
