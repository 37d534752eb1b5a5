"""What a plan would do, without doing it: the same compile into a ledger that is thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from emasync.ledger.interface import Admission, Clash, LedgerCalls, Tally
from emasync.model.cut import BOXES
from emasync.model.location import Location
from emasync.model.receipt import MAX_NAMED_FAILURES, Failure
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.plan.compile import compile_datasets
from emasync.plan.guards import Demand, Guard
from emasync.plan.layout import SOURCE_METADATA
from emasync.plan.tools import Documents, PlanTools
from emasync.plan.written import RECORD, MemoryDocuments
from emasync.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDemand:
    """What a plan asks of one origin.

    Attributes
    ----------
    origin : str
    objects : int
    bytes : int
        As far as sizes are known.
    requests : int
        Data requests: one an object, or one a part of a large one (``part_bytes`` of the host's policy). What
        planning itself asked for is not counted.
    unknown_sizes : int
        Objects whose size nobody said: at least one request each.
    """

    origin: str
    objects: int = 0
    bytes: int = 0
    requests: int = 0
    unknown_sizes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPreview:
    """What a plan wants of one dataset.

    Attributes
    ----------
    id : str
    planned : bool
        False: it could not be planned, `failures` say why.
    objects, bytes : int
    unknown_sizes : int
    failures : tuple of Failure
        The first :data:`~emasync.model.receipt.MAX_NAMED_FAILURES`: the dataset's own, unsafe names, name clashes.
    failed : int
        All of them, counted.
    """

    id: str
    planned: bool
    objects: int
    bytes: int
    unknown_sizes: int
    failures: tuple[Failure, ...] = ()
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a plan wants in all.

    Attributes
    ----------
    datasets : tuple of DatasetPreview
    hosts : tuple of HostDemand
        By name.
    demand : Demand
    longest_path : str
        Destination with the most bytes, relative to the root.
    clashes : int
        Names that collide.
    problem : str or None
        Why the plan does not fit this machine or its guards; None when it does.
    """

    datasets: tuple[DatasetPreview, ...]
    hosts: tuple[HostDemand, ...]
    demand: Demand
    longest_path: str
    clashes: int
    problem: str | None

    @property
    def objects(self) -> int:
        """All objects."""
        return self.demand.wanted_objects

    @property
    def bytes(self) -> int:
        """All bytes, as far as sizes are known."""
        return self.demand.wanted_bytes


class DryDocuments(MemoryDocuments):
    """Documents of a plan that nobody will read: what sources give to be kept is not held (law 4)."""

    async def write(self, destination: str, data: bytes) -> None:
        """Remember it, unless it is only to be kept."""
        folder, _, name = destination.rpartition("/")
        if f"{folder}/".partition("/")[0].endswith(SOURCE_METADATA) and name not in (RECORD, BOXES):
            return
        await super().write(destination, data)


async def preview(
    entries: Iterable[Any], tools: PlanTools, *, guard: Guard | None = None, documents: Documents | None = None
) -> Preview:
    """Compile into the ledger of `tools` and sum up; nothing is written below the root.

    Parameters
    ----------
    entries : iterable of manifest entries
        Any: each source has an entry model of its own.
    tools : PlanTools
        With a ledger in a folder that is thrown away. Its guard and its documents are not used.
    guard : Guard, optional
        Compared with the whole plan at its end, as if nothing were on disk.
    documents : Documents, optional
        :class:`DryDocuments` by default.

    Raises
    ------
    MachineError
        Of the ledger.
    """
    watch = Watch(tools.ledger, tools.context.settings)
    dry = replace(tools, ledger=watch, documents=documents or DryDocuments(), guard=None)
    await compile_datasets(entries, dry)
    tallies: list[Tally] = await tools.ledger.call("tallies")
    demand = Demand.of(tallies)
    return Preview(
        datasets=tuple([await _dataset(tally, tools.ledger) for tally in tallies]),
        hosts=watch.hosts,
        demand=demand,
        longest_path=watch.longest_path,
        clashes=watch.clashes,
        problem=None if guard is None else guard.problem(demand, await asyncio.to_thread(guard.measure)),
    )


async def _dataset(tally: Tally, ledger: LedgerCalls) -> DatasetPreview:
    failed, named = await ledger.call("failures", tally.dataset, MAX_NAMED_FAILURES)
    return DatasetPreview(
        id=tally.dataset,
        planned=tally.planned,
        objects=sum(tally.objects.values()),
        bytes=sum(tally.bytes.values()),
        unknown_sizes=tally.unknown_size,
        failures=tuple(named),
        failed=failed,
    )


@dataclass(slots=True)
class _Host:
    """Mutable sums of one origin."""

    part_bytes: int
    objects: int = 0
    bytes: int = 0
    requests: int = 0
    unknown_sizes: int = 0

    def add(self, size_bytes: int | None) -> None:
        self.objects += 1
        self.bytes += size_bytes or 0
        self.requests += max(1, -(-(size_bytes or 0) // self.part_bytes))
        self.unknown_sizes += size_bytes is None


@dataclass(slots=True)
class Watch:
    """A ledger that sums up what passes through: the plan is never held, and never read again.

    Attributes
    ----------
    longest_path : str
    clashes : int
    """

    ledger: LedgerCalls
    settings: Settings
    longest_path: str = ""
    clashes: int = 0
    _longest_bytes: int = 0
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _sets: dict[int, TaskSetSpec] = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[HostDemand, ...]:
        """Sums of each origin, by name."""
        return tuple(
            HostDemand(
                origin=name,
                objects=host.objects,
                bytes=host.bytes,
                requests=host.requests,
                unknown_sizes=host.unknown_sizes,
            )
            for name, host in sorted(self._hosts.items())
        )

    async def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call the ledger and take note (Any: as for :class:`LedgerCalls`)."""
        answer = await self.ledger.call(method, *args, **kwargs)
        if method == "add_set":
            self._note_set(args[0], answer)
        elif method == "add_entries":
            self._note_entries(args[0], args[1], answer)
        return answer

    def _note_set(self, spec: TaskSetSpec, set_id: int) -> None:
        self._sets[set_id] = spec
        if spec.grid is None or not len(spec.grid):
            return
        host = self._host(Location.parse(spec.base))
        host.objects += len(spec.grid)
        host.requests += len(spec.grid)
        host.unknown_sizes += len(spec.grid)
        self._note_path(spec.place(len(spec.grid) - 1))  # the largest numbers, so the longest name

    def _note_entries(self, set_id: int, entries: Iterable[ObjectEntry], admission: Admission) -> None:
        self._note_clashes(admission.clashes)
        if not admission.added:
            return
        spec = self._sets[set_id]
        host = self._host(Location.parse(spec.base))
        for entry in entries:
            host.add(entry.size_bytes)
            self._note_path(spec.place(entry.key, entry.path))

    def _note_clashes(self, clashes: Iterable[Clash]) -> None:
        self.clashes += sum(1 for _ in clashes)

    def _note_path(self, path: str) -> None:
        size = len(path.encode("utf-8", "surrogatepass"))
        if size > self._longest_bytes:
            self.longest_path, self._longest_bytes = path, size

    def _host(self, base: Location) -> _Host:
        name = base.origin
        if name not in self._hosts:
            self._hosts[name] = _Host(self.settings.policy(base).part_bytes)
        return self._hosts[name]
