"""Volumes of which not all is here: what is missing is fetched when it is read, headers and indexes of shards too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, final

from emasync.api.blocking import blocking
from emasync.api.fetching import fetching, owning, settings_of
from emasync.api.hooking import known_facts
from emasync.api.planned_files import PlannedFiles, open_planned
from emasync.disk.outlying import open_root
from emasync.errors import EmasyncError, ErrorKind, InputError, NotDownloaded
from emasync.formats.interface import Format
from emasync.formats.json_document import JsonObject
from emasync.formats.paths import join
from emasync.formats.zarr.sharding import shard_layout
from emasync.hooks.index.file_writer import entry_of
from emasync.hooks.index.files import arrays_of, headers_of
from emasync.hooks.index.found_file import FoundArray
from emasync.hooks.index.manifest import completed
from emasync.hooks.index.trees import TreeArray, TreeOnDisk, tree_arrays
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.inventory import DataFile, FileKind, kind_of
from emasync.hooks.local import LocalTree
from emasync.ledger.store import SqliteLedger
from emasync.model.cut import BOXES, read_cuts
from emasync.plan.layout import source_metadata
from emasync.registry import FORMATS
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.index_entry import ArrayEntry, Coverage
from emasync.volume.interface import ChunkMap, IndexedArray
from emasync.volume.lazy import LazyMap
from emasync.volume.lazy_files import LazyFiles
from emasync.volume.lazy_shards import HashedShards, LazyShardMap, PlacedShards, ShardFinder
from emasync.volume.lazy_tables import TableMap
from emasync.volume.opening import MOST_SHOWN, Catalogue, Wanted, open_wanted, shared_files
from emasync.volume.volume import Volume

SHARDED: Final = {"zarr3": "zarr", "precomputed": "precomputed"}
"""Kinds of arrays whose chunks may lie together in objects, and the format that reads their metadata."""


def open_lazily(wanted: Wanted) -> Volume:
    """Open a volume that fetches what it is asked for; see :func:`emasync.open_volume`."""
    return open_wanted(wanted, LazyDataset(Path(wanted.root), wanted.dataset))


@final
class LazyDataset:
    """One dataset, read as it is fetched; see :class:`~emasync.volume.opening.Lazy`.

    Parameters
    ----------
    root : Path
    dataset : str
    """

    def __init__(self, root: Path, dataset: str) -> None:
        self._root = root
        self._dataset = dataset
        self._local = shared_files(str(root))
        self.files = LazyFiles(self._local, PlannedFiles(root, dataset))

    @property
    def reopen(self) -> Callable[[Wanted], Volume]:
        """See :class:`~emasync.volume.opening.Lazy`."""
        return open_lazily

    def catalogue(self, wanted: Wanted) -> Catalogue:
        """See :class:`~emasync.volume.opening.Lazy`: the index, or the headers of the file that is meant."""
        index = _index_of(self._root, self._dataset)
        if isinstance(index, DatasetIndex) and next(index.entries(wanted.asset), None) is not None:
            return index
        facts = next((facts for facts in known_facts(self._root) if facts.id == self._dataset), None)
        asset = wanted.asset if wanted.asset is not None or facts is None else self._only_file(facts)
        if facts is not None and asset is not None and (kind := _kind_of(asset)) is not None:
            return self._described(facts, DataFile(asset, kind))
        if isinstance(index, InputError):
            raise index
        return index

    def _only_file(self, facts: DatasetFacts) -> str | None:
        """The file that is meant where none is named; None where there is none.

        Raises
        ------
        EmasyncError
            ``ambiguous``: there are several.
        """
        settings = settings_of(self._root, facts.id)
        found = blocking(
            partial(owning, self._root, settings, lambda resources: resources.ledger.call(files_of, facts, MOST_SHOWN))
        )
        if len(found) > 1:
            raise EmasyncError(
                f"{facts.id}: several files are planned and in no index, choose one by asset: {', '.join(found)}",
                kind=ErrorKind.AMBIGUOUS,
                location=facts.id,
            )
        return found[0] if found else None

    def _described(self, facts: DatasetFacts, item: DataFile) -> Catalogue:
        path = join(facts.folder, item.path)
        with closing(open_planned(self._root, self._dataset, path)) as content:
            found = headers_of(item, content)
        return FileCatalogue(facts, tuple(arrays_of(item.path, path, found)))

    def chunks(self, array: IndexedArray) -> ChunkMap:
        """See :class:`~emasync.volume.opening.Lazy`."""
        if array.chunks.kind == "formula":
            return LazyMap(array.chunks, fetching(self._root, self._dataset), self._local.has)
        if array.format in SHARDED:
            return LazyShardMap(array.chunks, partial(shards_of, self._root, array), self.files)
        return array.chunks


def _index_of(root: Path, dataset: str) -> DatasetIndex | InputError:
    try:
        return open_index(root, dataset)
    except InputError as none:
        return none


def _kind_of(path: str) -> FileKind | None:
    """What a file's name promises, where that is something that holds arrays."""
    kind = kind_of(path)
    return kind if kind in FORMATS.built_in else None


def files_of(ledger: SqliteLedger, facts: DatasetFacts, limit: int) -> list[str]:
    """The first files of a plan that are named as files that hold data, here or not; below the dataset."""
    paths = (row.destination for row in ledger.listed_rows(facts.id))
    return list(islice((path.removeprefix(f"{facts.folder}/") for path in paths if _kind_of(path) is not None), limit))


@dataclass(frozen=True, slots=True)
class FileCatalogue:
    """Arrays of one file that no index speaks of; see :class:`~emasync.volume.opening.Catalogue`.

    Attributes
    ----------
    facts : DatasetFacts
    arrays : sequence of FoundArray
    """

    facts: DatasetFacts
    arrays: Sequence[FoundArray]

    def entries(self, asset: str | None = None) -> Iterator[ArrayEntry]:
        """See :class:`~emasync.volume.opening.Catalogue`."""
        for array in self.arrays:
            if asset in (None, array.asset):
                places: JsonObject = {"kind": "dense"}
                yield completed(entry_of(array, places, Coverage(chunks=0), ()), self.facts.metadata)

    def indexed(self, entry: ArrayEntry) -> IndexedArray:
        """See :class:`~emasync.volume.opening.Catalogue`."""
        found = next(one for one in self.arrays if one.path == entry.path)
        if found.table is not None:
            return entry.over(self.facts.id, TableMap(found.files[0], found.table))
        if found.whole is None:
            raise AssertionError(f"{found.asset}: {found.path} is nowhere")
        return entry.over(self.facts.id, TableMap.of_piece(found.files[0], found.whole))


def shards_of(root: Path, array: IndexedArray) -> ShardFinder:
    """What finds chunks in the shards of an array, as its metadata on disk tells.

    Raises
    ------
    NotDownloaded
        Its metadata are not here.
    """
    facts = next((facts for facts in known_facts(root) if facts.id == array.dataset), None)
    found = None if facts is None else _tree_array(root, facts, array)
    if found is None:
        raise NotDownloaded(
            f"{array.dataset}/{array.asset}: the metadata of {array.path!r} are not here; run the manifest again",
            location=array.dataset,
        )
    cells = array.grid_shape
    if found.description.sharding is None:
        if found.grid is None:
            raise AssertionError(f"{found.place} has no shards")
        return PlacedShards(found.folder, found.grid, shard_layout(found.description), cells)
    z, y, x = found.description.grid_shape[-3:]
    start_z, start_y, start_x = found.start[-3:]
    return HashedShards(found.place, found.description.sharding, (z, y, x), cells, (start_z, start_y, start_x))


def _tree_array(root: Path, facts: DatasetFacts, array: IndexedArray) -> TreeArray | None:
    form: Format = FORMATS.load(SHARDED[array.format])()
    with closing(open_root(root)) as sink:
        disk = LocalTree(root, sink, facts.folder)
        published = LocalTree(root, sink, source_metadata(facts.id))
        cuts = read_cuts(published.document(BOXES))
        place = TreeOnDisk.of(array.asset, form, disk=disk, published=published, cuts=cuts, facts=facts)
        arrays, _ = tree_arrays(place, form)
    return next((one for one in arrays if one.path == array.path), None)
