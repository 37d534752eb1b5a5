"""Parts of files that are planned and not here: fetched by the engine of a run, and kept for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple, final

from emasync.api.blocking import blocking
from emasync.api.fetcher_line import FetcherLine
from emasync.api.fetching import Wants, keys_of, move, owning, settings_of
from emasync.assembly import Resources
from emasync.disk.sink import PARTIAL_FOLDER
from emasync.disk.spread import Outlying
from emasync.ledger.interface import PartialState
from emasync.ledger.store import SqliteLedger
from emasync.model.digest import Span
from emasync.model.task import TaskKey, partial_name
from emasync.settings import Settings
from emasync.transport.governed import GovernedFetcher
from emasync.volume.lazy_files import BLOCK_BYTES, HeldFile, LazyFiles, merged
from emasync.volume.lazy_stream import LazyContent
from emasync.volume.opening import shared_files


class Planned(NamedTuple):
    """An object of the ledger.

    Attributes
    ----------
    size_bytes : int or None
        As its source listed it.
    """

    set_id: int
    key: TaskKey
    size_bytes: int | None = None


@final
class PlannedFiles:
    """Files of one dataset; see :class:`~emasync.volume.lazy_files.PartSource`.

    Parameters
    ----------
    root : Path
    dataset : str
    line : FetcherLine, optional
        Keeps connections from one call to the next; without it each call has connections of its own.
    """

    def __init__(self, root: Path, dataset: str, line: FetcherLine | None = None) -> None:
        self._root = root
        self._dataset = dataset
        self._line = line
        self._known: dict[str, Planned] = {}

    def parts(self, wants: Mapping[str, Sequence[Span]]) -> Mapping[str, HeldFile]:
        """See :class:`~emasync.volume.lazy_files.PartSource`."""
        settings = settings_of(self._root, self._dataset)

        async def fetch(fetcher: GovernedFetcher | None = None) -> dict[str, HeldFile]:
            return await owning(self._root, settings, lambda resources: self._have(resources, settings, wants), fetcher)

        return blocking(fetch) if self._line is None else self._line.run(fetch)

    async def _have(
        self, resources: Resources, settings: Settings, wants: Mapping[str, Sequence[Span]]
    ) -> dict[str, HeldFile]:
        planned = await self._planned(resources, wants)
        lacking: dict[tuple[int, TaskKey], Sequence[Span]] = {}
        for path, one in planned.items():
            held = await _held(resources, path, one)
            if lacks := _lacking(wants[path], held):
                lacking[one.set_id, one.key] = lacks
        absent = await _fetched(resources, settings, self._dataset, lacking) if lacking else frozenset()
        found: dict[str, HeldFile] = {}
        for path, one in planned.items():
            if (one.set_id, one.key) in absent:
                found[path] = HeldFile(path="", generation=0, size_bytes=0, absent=True)
            elif (held := await _held(resources, path, one)) is not None:
                found[path] = held
        return found

    async def _planned(self, resources: Resources, paths: Iterable[str]) -> dict[str, Planned]:
        """Objects that go to these paths: what a set calls otherwise than by its key is looked for once only."""
        unknown = tuple(path for path in paths if path not in self._known)
        if unknown:
            self._known |= await resources.ledger.call(find_planned, self._dataset, unknown)
        return {path: self._known[path] for path in paths if path in self._known}


def open_planned(root: Path, dataset: str, path: str) -> LazyContent:
    """Open a file of a dataset of which not all is here; connections are kept until it is closed.

    Parameters
    ----------
    root : Path
    dataset : str
    path : str
        From the root.

    Raises
    ------
    NotDownloaded
        It is neither here nor planned as a file of its own, or its source does not give it.
    MachineError
        ``root_locked``: a run is going on; disk full, no permission.
    """
    line = FetcherLine(settings_of(root, dataset))
    files = LazyFiles(shared_files(str(root)), PlannedFiles(root, dataset, line))
    try:
        return LazyContent(files, path, line.close)
    except BaseException:
        line.close()
        raise


async def _fetched(
    resources: Resources, settings: Settings, dataset: str, wanted: Wants
) -> AbstractSet[tuple[int, TaskKey]]:
    """Fetch parts of objects; gives those that the publisher left out."""
    keys: dict[int, list[TaskKey]] = {}
    for set_id, key in wanted:
        keys.setdefault(set_id, []).append(key)
    chosen = await move(resources, settings, dataset, keys, wanted)
    return {(fact.set_id, fact.key) for fact in chosen.absent}


def _lacking(wants: Sequence[Span], held: HeldFile | None) -> list[Span]:
    """What to fetch; of a file of unknown size its beginning, for its answer tells how long it is."""
    if held is None:
        return list(wants) or [Span(0, BLOCK_BYTES)]
    inside = [Span(span.start, min(span.stop, held.size_bytes)) for span in wants if span.start < held.size_bytes]
    return [span for span in inside if not held.has(span)]


async def _held(resources: Resources, path: str, planned: Planned) -> HeldFile | None:
    """What is here of a file; None where nothing is, not even a word on its size."""
    generation = await resources.ledger.call("generation", planned.set_id, planned.key)
    facts = await resources.threads.submit(resources.sink.stat, path)
    if facts is not None:
        return HeldFile(path=path, generation=generation, size_bytes=facts.size_bytes)
    state: PartialState | None = await resources.ledger.call("partial", planned.set_id, planned.key)
    if state is None and planned.size_bytes is None:
        return None
    name = partial_name(planned.set_id, planned.key, generation if state is None else state.generation)
    return HeldFile(
        path=_unfinished(path, name, resources.outlying),
        generation=generation if state is None else state.generation,
        size_bytes=(planned.size_bytes or 0) if state is None else state.size_bytes,
        spans=() if state is None else merged(Span(part.start, part.stop) for part in state.parts),
    )


def _unfinished(path: str, name: str, outlying: Outlying) -> str:
    """Where the unfinished file of that name lies, relative to the root or through a folder outside it."""
    for place in outlying.folders:
        if path.startswith(f"{place}/"):
            return f"{place}/{outlying.unfinished}/{name}"
    return f"{PARTIAL_FOLDER}/{name}"


def find_planned(ledger: SqliteLedger, dataset: str, paths: Iterable[str]) -> dict[str, Planned]:
    """Objects that go to these paths; none of a path that none goes to."""
    paths = tuple(paths)
    found: dict[str, Planned] = {}
    sets = ledger.planned_sets(dataset)
    specs = {one.set_id: one.spec for one in sets}
    for set_id, keys in keys_of(sets, paths).items():
        if specs[set_id].grid is None:
            tasks = ledger.lease_named(set_id, keys)
            ledger.release(tasks)
            found |= {task.destination: Planned(set_id, task.key, task.size_bytes) for task in tasks}
        else:
            found |= {specs[set_id].place(key): Planned(set_id, key) for key in keys}
    if missing := set(paths) - found.keys():  # placed by now, or named otherwise than by their keys
        rows = (row for row in ledger.listed_rows(dataset) if row.destination in missing)
        found |= {row.destination: Planned(row.set_id, row.key, row.size_bytes) for row in rows}
    return found
