"""A worker's ledger and upkeep: the owner's, at the other end of a socket. Named calls only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import count
from typing import Any, TypeVar

import msgspec

from emasync.errors import ErrorKind, MachineError
from emasync.executors import messages as wire
from emasync.executors.channel import Channel
from emasync.executors.rows import PartialRow, SetRow, TaskRow
from emasync.executors.values import (
    error_of,
    fact_row,
    key_row,
    partial_of,
    seal_row,
    spec_of,
    task_of,
)
from emasync.ledger.batch import Name, SealedRow
from emasync.ledger.interface import Fact, OpenSet, PartialState
from emasync.model.task import Task, TaskKey, TaskSetSpec

T = TypeVar("T")


class Questions:
    """Requests on their way: many at a time, each with a number.

    Parameters
    ----------
    channel : Channel
    """

    def __init__(self, channel: Channel[wire.FromOwner]) -> None:
        self._channel = channel
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}

    def __repr__(self) -> str:
        return f"<Questions {len(self._waiting)} open>"

    async def ask(self, make: Callable[[int], wire.Request], kind: type[T]) -> T:
        """Send a request and wait for its answer, which must be of `kind`.

        The request is on its way before the first wait, so it is carried out also when the caller is cancelled.

        Raises
        ------
        MachineError
            The owner could not do it.
        """
        number = next(self._numbers)
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._channel.send(make(number))
            await self._channel.drain()
            return msgspec.msgpack.decode(await answer, type=kind)
        finally:
            self._waiting.pop(number, None)

    def answered(self, answer: wire.Answer) -> None:
        """An answer came; nobody may be waiting any more."""
        waiting = self._waiting.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.value.copy())

    def refused(self, refusal: wire.Refusal) -> None:
        """A request was not carried out."""
        waiting = self._waiting.get(refusal.number)
        if waiting is not None and not waiting.done():
            waiting.set_exception(error_of(refusal.error))


class LedgerProxy:
    """The calls that an engine makes, by name; implements :class:`~emasync.ledger.interface.LedgerCalls`.

    Parameters
    ----------
    questions : Questions
    """

    def __init__(self, questions: Questions) -> None:
        self._ask = questions.ask
        self._specs: dict[int, TaskSetSpec] = {}
        self._calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "open_sets": self._open_sets,
            "lease": self._lease,
            "record": self._record,
            "seal_rows": self._seal_rows,
            "place_rows": self._place_rows,
            "set_durable_epoch": self._set_durable_epoch,
            "last_epoch": self._last_epoch,
            "partial": self._partial,
            "generation": self._generation,
        }

    async def call(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See :class:`~emasync.ledger.interface.LedgerCalls` (Any: as there).

        Raises
        ------
        MachineError
            A call that does not cross processes; or as the ledger.
        """
        found = self._calls.get(method) if isinstance(method, str) else None
        if found is None:
            raise MachineError(
                f"the ledger call {method!r} does not cross processes; report this as a bug", kind=ErrorKind.LEDGER
            )
        return await found(*args, **kwargs)

    async def _open_sets(self) -> list[OpenSet]:
        rows = await self._ask(wire.OpenSets, list[SetRow])
        for row in rows:
            if row.spec is not None:
                self._specs[row.set_id] = spec_of(row.spec)
        return [OpenSet(set_id=row.set_id, spec=self._specs[row.set_id], pending=row.pending) for row in rows]

    async def _lease(self, set_id: int, limit: int) -> list[Task]:
        rows = await self._ask(lambda number: wire.Lease(number, set_id, limit), list[TaskRow])
        spec = self._specs[set_id]
        return [task_of(row, spec, set_id) for row in rows]

    async def _record(self, facts: Sequence[Fact], *, durable: bool = False) -> None:
        rows = [fact_row(fact) for fact in facts]
        await self._ask(lambda number: wire.Record(number, rows, durable), type(None))

    async def _seal_rows(self, rows: Sequence[SealedRow], epoch: int) -> int:
        packed = [seal_row(row) for row in rows]
        return await self._ask(lambda number: wire.SealRows(number, packed, epoch), int)

    async def _place_rows(self, batch: int, refused: Collection[Name] = ()) -> None:
        names = [(set_id, key_row(key)) for set_id, key in refused]
        await self._ask(lambda number: wire.PlaceRows(number, batch, names), type(None))

    async def _set_durable_epoch(self, epoch: int) -> None:
        await self._ask(lambda number: wire.Durable(number, epoch), type(None))

    async def _last_epoch(self) -> int:
        """Epochs are this worker's own; the owner numbers them (``epochs.py``)."""
        return 0

    async def _partial(self, set_id: int, key: TaskKey) -> PartialState | None:
        row: PartialRow | None = await self._ask(
            lambda number: wire.PartialOf(number, set_id, key_row(key)),
            PartialRow | None,  # type: ignore[arg-type]  # a union is no type to mypy
        )
        return partial_of(row)

    async def _generation(self, set_id: int, key: TaskKey) -> int:
        return await self._ask(lambda number: wire.GenerationOf(number, set_id, key_row(key)), int)


class BorrowedUpkeep:
    """Upkeep of a worker: the owner recovered, sweeps, and clears before it leases.

    Parameters
    ----------
    questions : Questions
    suspect_after_epoch : int or None
        What the owner found.
    """

    def __init__(self, questions: Questions, suspect_after_epoch: int | None) -> None:
        self._questions = questions
        self._suspect_after_epoch = suspect_after_epoch

    async def recover(self) -> int | None:
        """See :class:`~emasync.engine.upkeep.Upkeep`."""
        return self._suspect_after_epoch

    async def sweep(self) -> None:
        """See :class:`~emasync.engine.upkeep.Upkeep`."""

    async def clear(self) -> None:
        """See :class:`~emasync.engine.upkeep.Upkeep`."""

    async def make_room(self, destination: str) -> bool:
        """See :class:`~emasync.engine.upkeep.Upkeep`."""
        return await self._questions.ask(lambda number: wire.MakeRoom(number, destination), bool)
