"""Fetching a few files of a root that are planned and not here yet, for readers that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, final

from emasync.api.blocking import blocking
from emasync.api.manifests import manifests_of
from emasync.api.options import RunOptions, load
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.engine.engine import Engine
from emasync.errors import ErrorKind, MachineError, NotDownloaded
from emasync.ledger.interface import Absent, Failed, LedgerCalls, PlannedSet
from emasync.ledger.placement import place_ledger
from emasync.model.digest import Span
from emasync.model.events import ignore_event
from emasync.model.task import TaskKey
from emasync.settings import Settings
from emasync.transport.governed import GovernedFetcher
from emasync.volume.lazy import Fetch

T = TypeVar("T")

PATIENCE_S: Final = 60.0
"""Longest wait for a root that somebody else has: mostly another worker that fetches what it reads."""

LOOK_S: Final = 0.1

Keys = Mapping[int, Sequence[TaskKey]]
"""Task set → objects."""

Wants = Mapping[tuple[int, TaskKey], Sequence[Span]]
"""(Task set, object) → bytes of it."""


def fetching(root: Path, dataset: str) -> Fetch:
    """What fetches files of one dataset, through the engine, with ledger and checks: they are placed as in any run."""
    return partial(_fetch, root, dataset)


def _fetch(root: Path, dataset: str, paths: Sequence[str]) -> frozenset[str]:
    """As :data:`~emasync.volume.lazy.Fetch`.

    Raises
    ------
    MachineError
        ``root_locked``: a run is going on; disk full, no permission.
    NotDownloaded
        A file could not be fetched; says why.
    """
    return blocking(lambda: _afetch(root, dataset, paths))


async def _afetch(root: Path, dataset: str, paths: Sequence[str]) -> frozenset[str]:
    settings = await asyncio.to_thread(settings_of, root, dataset)
    return await owning(root, settings, lambda resources: _fetch_with(resources, settings, dataset, paths))


async def owning(
    root: Path,
    settings: Settings,
    work: Callable[[Resources], Coroutine[Any, Any, T]],
    fetcher: GovernedFetcher | None = None,
) -> T:
    """Do something as the one owner of a root, as soon as nobody else is.

    Any: what coroutines send and take is nobody's business.

    Raises
    ------
    MachineError
        ``root_locked``: a run is going on.
    """
    deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
    spec = RunSpec(root=root, state_dir=None, settings=settings)
    while True:
        try:
            async with open_resources(spec, ignore_event, fetcher=fetcher) as resources:
                return await work(resources)
        except MachineError as error:
            if error.kind is not ErrorKind.ROOT_LOCKED or asyncio.get_running_loop().time() > deadline_s:
                raise
        await asyncio.sleep(LOOK_S)


def settings_of(root: Path, dataset: str) -> Settings:
    """Of the manifest that the dataset came from: its mirrors, its policies of hosts."""
    manifest = manifests_of(place_ledger(root, None)).get(dataset)
    return Settings() if manifest is None else RunOptions().settings(load(manifest).settings)


async def _fetch_with(resources: Resources, settings: Settings, dataset: str, paths: Sequence[str]) -> frozenset[str]:
    planned: list[PlannedSet] = await resources.ledger.call("planned_sets", dataset)
    chosen = await move(resources, settings, dataset, keys_of(planned, paths))
    places = {one.set_id: one.spec for one in planned}
    return frozenset(places[absent.set_id].place(absent.key) for absent in chosen.absent)


async def move(
    resources: Resources, settings: Settings, dataset: str, keys: Keys, wanted: Wants | None = None
) -> ChosenObjects:
    """Fetch some objects of a dataset as a run does, or those parts of them that are wanted.

    Raises
    ------
    NotDownloaded
        One could not be fetched; says why.
    MachineError
        Disk full, no permission.
    """
    chosen = ChosenObjects(resources.ledger, keys)
    engine = Engine(
        fetcher=resources.fetcher,
        sink=resources.sink,
        ledger=chosen,
        threads=resources.threads,
        place=resources.place,
        settings=settings,
        on_event=ignore_event,
        datasets=(dataset,),
        wanted=wanted,
    )
    outcome = await engine.run()
    if outcome.stopped is not None:
        raise outcome.stopped
    troubles = [(one.location, one.message) for one in outcome.unreachable.values()]
    troubles += [(one.location, one.message) for one in chosen.failed]
    for location, message in troubles:
        raise NotDownloaded(message if location in message else f"{location}: {message}", location=location)
    return chosen


def keys_of(planned: Sequence[PlannedSet], paths: Sequence[str]) -> Keys:
    """Objects that go to these paths, as far as sets name them by their keys."""
    found: dict[int, list[TaskKey]] = {}
    for one in planned:
        lead = f"{one.spec.destination}/" if one.spec.destination else ""
        for path in paths:
            if not path.startswith(lead):
                continue
            name = path[len(lead) :]
            key: TaskKey | None = name if one.spec.grid is None else one.spec.grid.number_at(name)
            if key is not None:
                found.setdefault(one.set_id, []).append(key)
    return found


@final
class ChosenObjects:
    """A ledger that leases these objects and no others; implements ``LedgerCalls``.

    Parameters
    ----------
    ledger : LedgerCalls
    keys : mapping

    Attributes
    ----------
    absent : list of Absent
    failed : list of Failed
        What was recorded of them.
    """

    def __init__(self, ledger: LedgerCalls, keys: Keys) -> None:
        self._ledger = ledger
        self._keys = dict(keys)
        self.absent: list[Absent] = []
        self.failed: list[Failed] = []

    async def call(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See :class:`~emasync.ledger.interface.LedgerCalls` (Any: as there)."""
        if method == "lease":
            return await self._ledger.call("lease_named", args[0], self._keys.pop(args[0], ()))
        if method == "record":
            self.absent += [fact for fact in args[0] if isinstance(fact, Absent)]
            self.failed += [fact for fact in args[0] if isinstance(fact, Failed)]
        return await self._ledger.call(method, *args, **kwargs)
