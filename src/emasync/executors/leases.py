"""Who holds which tasks, and how much of what is left one worker may hold. Pure.

A worker asks for 256 tasks at a time. Near the end that would leave all of them with one worker, so a worker holds no
more than its part of half of what is left (guided self-scheduling: Polychronopoulos and Kuck, IEEE Transactions on
Computers C-36, 1987), and a few in any case. Ten files of a terabyte are dealt out two by two; a million chunks are
not held back at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from emasync.ledger.interface import OpenSet
from emasync.model.task import Task, TaskKey

Name = tuple[int, TaskKey]
"""Set id and key."""

FEW = 2
"""What a worker may hold of an origin however little is left: one under way, one to go on with."""


@dataclass(slots=True)
class _Held:
    task: Task
    origin: str
    sealed: bool = False


class LeaseBook:
    """Tasks by the worker that holds them: as many as the workers have leased, whatever the size of the plan.

    Parameters
    ----------
    workers : int
        Among whom tasks are dealt out.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._held: dict[int, dict[Name, _Held]] = {}
        self._unsealed: Counter[int] = Counter()
        self._of_origin: Counter[tuple[int, str]] = Counter()

    def __repr__(self) -> str:
        return f"<LeaseBook { ({worker: len(held) for worker, held in self._held.items()}) }>"

    def add(self, worker: int, origin: str, tasks: Iterable[Task]) -> None:
        """A worker was given `tasks`."""
        held = self._held.setdefault(worker, {})
        for task in tasks:
            held[task.set_id, task.key] = _Held(task, origin)
            self._unsealed[task.set_id] += 1
            self._of_origin[worker, origin] += 1

    def seal(self, worker: int, names: Iterable[Name]) -> None:
        """These are sealed: the ledger counts them no longer as pending."""
        held = self._held.get(worker, {})
        for name in names:
            found = held.get(name)
            if found is not None and not found.sealed:
                found.sealed = True
                self._unsealed[name[0]] -= 1

    def reopen(self, worker: int, names: Iterable[Name]) -> None:
        """These are pending again, and still held."""
        held = self._held.get(worker, {})
        for name in names:
            found = held.get(name)
            if found is not None and found.sealed:
                found.sealed = False
                self._unsealed[name[0]] += 1

    def settle(self, worker: int, names: Iterable[Name]) -> None:
        """These are done with."""
        held = self._held.get(worker, {})
        for name in names:
            found = held.pop(name, None)
            if found is not None:
                self._unsealed[name[0]] -= not found.sealed
                self._of_origin[worker, found.origin] -= 1

    def names(self, worker: int) -> frozenset[Name]:
        """What a worker holds."""
        return frozenset(self._held.get(worker, ()))

    def leave(self, worker: int) -> list[Task]:
        """A worker is gone; gives what it held."""
        tasks = [found.task for found in self._held.get(worker, {}).values()]
        self.settle(worker, self.names(worker))
        return tasks

    def waiting(self, opened: OpenSet) -> int:
        """Pending objects of a set that nobody holds."""
        return max(0, opened.pending - self._unsealed[opened.set_id])

    def portion(self, worker: int, origin: str, waiting: int) -> int:
        """How many more tasks of an origin a worker may hold.

        Parameters
        ----------
        worker : int
        origin : str
        waiting : int
            Pending objects of the origin that nobody holds.
        """
        held = sum(count for (_, of), count in self._of_origin.items() if of == origin)
        most = max(FEW, -(-(waiting + held) // (2 * self._workers)))
        return max(0, most - self._of_origin[worker, origin])
