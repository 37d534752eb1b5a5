"""Task sets as rows, and a bounded cache of them."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any, Final

from emasync.errors import ErrorKind, MachineError
from emasync.model.grid import ChunkGrid, grid_of
from emasync.model.location import Location
from emasync.model.packing import pack_name, unpack_name
from emasync.model.slices import Packing
from emasync.model.task import TaskKey, TaskSetSpec

BLOCK: Final = 4096
"""Chunks of a block."""

_CACHED: Final = 4096

SELECT_SET: Final = (
    "SELECT s.id, s.dataset_id, d.name, s.asset, s.rank, s.base, s.destination, s.encoded, s.absent_ok, s.grid,"
    " s.plan, d.generation, s.slices FROM sets s JOIN datasets d ON d.id = s.dataset_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSet:
    """One task set of the ledger.

    Attributes
    ----------
    set_id, dataset_id : int
    spec : TaskSetSpec
    plan : int
        Plan generation that named the set last; members named in it count.
    current : bool
        Whether that is the dataset's generation: only current sets are worked on.
    folder : str
        What destinations begin with: empty, or the destination and a slash.
    """

    set_id: int
    dataset_id: int
    spec: TaskSetSpec
    plan: int
    current: bool
    folder: str

    def locate(self, key: TaskKey) -> Location:
        """Canonical location of a member."""
        return self.spec.locate(key)

    def destination(self, key: TaskKey, path: str | None = None) -> str:
        """Final path of a member."""
        return self.spec.place(key, path)

    @property
    def grid(self) -> ChunkGrid:
        """The grid of a gridded set."""
        if self.spec.grid is None:
            raise MachineError(
                f"task set {self.set_id} ({self.spec.dataset}) is listed, not gridded", kind=ErrorKind.LEDGER
            )
        return self.spec.grid


ACCEPTED: Final = 2
"""Leniency of a set whose members the manifest accepts to be missing; 1: a 404 is a statement."""


def pack_leniency(spec: TaskSetSpec) -> int:
    """What is thought of a member that is not there."""
    return ACCEPTED if spec.accepted else int(spec.absent_ok)


def pack_grid(grid: ChunkGrid | None) -> bytes | None:
    """The grid as JSON."""
    return None if grid is None else pack_name(json.dumps(asdict(grid), ensure_ascii=False, separators=(",", ":")))


def unpack_grid(data: bytes | None) -> ChunkGrid | None:
    """The grid back from :func:`pack_grid`."""
    if data is None:
        return None
    fields: dict[str, Any] = json.loads(unpack_name(data))  # Any: JSON of a frozen dataclass
    return grid_of(fields)


SetRow = tuple[int, int, str, bytes, int, bytes, bytes, int, int, bytes | None, int, int, Packing | None]
"""A row of :data:`SELECT_SET`."""


def unpack_set(row: SetRow) -> TaskSet:
    """Task set of one row of :data:`SELECT_SET`."""
    set_id, dataset_id, name, asset, rank, base, destination, encoded, absent_ok, grid, plan, generation, slices = row
    spec = TaskSetSpec(
        dataset=name,
        asset=unpack_name(asset),
        rank=rank,
        base=unpack_name(base),
        destination=unpack_name(destination),
        encoded=bool(encoded),
        grid=unpack_grid(grid),
        absent_ok=bool(absent_ok),
        accepted=absent_ok == ACCEPTED,
        slices=slices,
    )
    return TaskSet(
        set_id=set_id,
        dataset_id=dataset_id,
        spec=spec,
        plan=plan,
        current=plan == generation,
        folder=f"{spec.destination}/" if spec.destination else "",
    )


class TaskSets:
    """Task sets by id: a bounded cache over the table. :meth:`forget` after every change of plans.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[int, TaskSet] = {}

    def get(self, set_id: int) -> TaskSet:
        """Task set by its id.

        Raises
        ------
        MachineError
            The ledger has no such set.
        """
        found = self._known.get(set_id)
        if found is None:
            row = self._connection.execute(f"{SELECT_SET} WHERE s.id = ?", (set_id,)).fetchone()
            if row is None:
                raise MachineError(f"the ledger has no task set {set_id}", kind=ErrorKind.LEDGER)
            if len(self._known) >= _CACHED:
                self._known.clear()
            found = self._known[set_id] = unpack_set(row)
        return found

    def forget(self) -> None:
        """Drop the cache."""
        self._known.clear()
