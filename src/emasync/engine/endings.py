"""How objects end: placed, absent, once more, failed, or with an origin that is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from emasync.engine.committer import Note, absent, failed
from emasync.engine.scheduler import OriginQueue, Scheduler
from emasync.engine.sealing import Outcome
from emasync.errors import EmasyncError, ErrorKind, IntegrityError, NotFoundError
from emasync.model.events import Event, OnEvent
from emasync.model.receipt import Failure
from emasync.model.redaction import redact
from emasync.model.task import Task

INTEGRITY_TRIES = 2
"""Bytes that are not what was promised are fetched once more, then the object fails."""


@dataclass(slots=True)
class EngineOutcome:
    """How a run of the engine ended.

    Attributes
    ----------
    stopped : EmasyncError or None
        A machine error or an interruption; None when the work was done as far as it could be.
    unreachable : dict of str to Failure
        Datasets that lost their origin, and why.
    placed, placed_bytes, failed, bytes_received : int
        Of this run: objects, their bytes on disk, objects, bytes from the network.
    races, races_won, raced_bytes : int
        Slow ranges at the ends of large objects that were asked for twice; how often that was quicker; bytes.
    """

    stopped: EmasyncError | None = None
    unreachable: dict[str, Failure] = field(default_factory=dict)
    placed: int = 0
    placed_bytes: int = 0
    failed: int = 0
    bytes_received: int = 0
    races: int = 0
    races_won: int = 0
    raced_bytes: int = 0


class Endings:
    """Counts what ended, and decides what an error means for its object.

    Parameters
    ----------
    scheduler : Scheduler
    note : callable
        Takes a fact for the ledger.
    on_event : callable
    objects : bool
        Tell of every placed object, not of failures only.

    Attributes
    ----------
    outcome : EngineOutcome
    """

    def __init__(self, scheduler: Scheduler, *, note: Callable[[Note], None], on_event: OnEvent, objects: bool) -> None:
        self.outcome = EngineOutcome()
        self._scheduler = scheduler
        self._note = note
        self._on_event = on_event
        self._objects = objects
        self._tries: dict[tuple[int, str | int], int] = {}

    def __repr__(self) -> str:
        return f"<Endings {self.outcome!r}>"

    def received(self, size_bytes: int) -> None:
        """So many body bytes came."""
        self.outcome.bytes_received += size_bytes

    def settled(self, outcome: Outcome) -> None:
        """Told by the committer."""
        if outcome.error is None:
            self.outcome.placed += 1
            self.outcome.placed_bytes += outcome.size_bytes
            if self._objects:
                self._on_event(_object_done(outcome))
        else:
            self.trouble(self._scheduler.queue_for(outcome.task), outcome.task, outcome.error)

    def trouble(self, queue: OriginQueue, task: Task, error: EmasyncError) -> None:
        """Decide what an error means for its object: absent, once more, origin lost, or failed."""
        if isinstance(error, NotFoundError) and task.absent_ok:
            self._note(Note(fact=absent(task)))
        elif error.kind is ErrorKind.CHECKSUM_MISMATCH and isinstance(error, IntegrityError) and self._try_again(task):
            self._on_event(
                Event("retry", {"location": redact(task.location), "kind": error.kind, "reason": error.message})
            )
            queue.tasks.append(task)
            queue.wake.set()
        elif error.kind is ErrorKind.UNREACHABLE:
            self._origin_lost(queue, task, error)
        else:
            self.fail(task, error)

    def _try_again(self, task: Task) -> bool:
        identity = (task.set_id, task.key)
        self._tries[identity] = self._tries.get(identity, 1) + 1
        if self._tries[identity] <= INTEGRITY_TRIES:
            return True
        del self._tries[identity]
        return False

    def _origin_lost(self, queue: OriginQueue, task: Task, error: EmasyncError) -> None:
        """A dead host is host state, not spent attempts: its objects stay pending (law 6)."""
        for other in (task, *self._scheduler.give_up(queue, error.message)):
            if other.dataset not in self.outcome.unreachable:
                failure = Failure(location=queue.origin, kind=error.kind, message=error.message, attempts=1)
                self.outcome.unreachable[other.dataset] = failure
                self._tell_failed(other.dataset, failure)

    def fail(self, task: Task, error: EmasyncError) -> None:
        """Write down that `task` failed; other objects go on."""
        self.outcome.failed += 1
        fact = failed(task, error)
        self._note(Note(fact=fact))
        failure = Failure(location=fact.location, kind=fact.kind, message=fact.message, attempts=fact.attempts)
        self._tell_failed(task.dataset, failure)

    def _tell_failed(self, dataset: str, failure: Failure) -> None:
        fields = {"location": failure.location, "kind": str(failure.kind), "message": failure.message}
        self._on_event(Event("failed", {"dataset": dataset, **fields}))


def _object_done(outcome: Outcome) -> Event:
    task = outcome.task
    return Event(
        "object_done",
        {
            "dataset": task.dataset,
            "location": redact(task.location),
            "destination": task.destination,
            "bytes": outcome.size_bytes,
        },
    )
